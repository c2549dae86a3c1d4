"""The documentation site builds without a warning, and what its checks find is found."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parents[1]
BUILD = SimpleNamespace(**runpy.run_path(str(ROOT / "docs" / "build.py")))
CONF = SimpleNamespace(**runpy.run_path(str(ROOT / "docs" / "conf.py")))


@pytest.mark.slow
def test_the_site_builds_strictly(tmp_path: Path) -> None:
    for package in ("sphinx", "myst_parser", "furo"):
        pytest.importorskip(package, reason="needs the extra `docs`")
    site = tmp_path / "site"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "docs/build.py", str(site)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    geometry = (site / "docs" / "keras_retinanet.geometry.html").read_text(encoding="utf-8")
    assert 'id="keras_retinanet.geometry.anchors.base_anchors"' in geometry
    assert "Height over width." in geometry, "arguments come from the docstrings"
    anchors = geometry[geometry.index('id="keras_retinanet.geometry.anchors.Anchors"') :].partition("</dt>")[0]
    assert "stride_mode" in anchors, "the arguments of a layer are those of its own constructor"
    assert sum(path.stat().st_size for path in site.rglob("*") if path.is_file()) < 10_000_000


@pytest.mark.parametrize(
    ("page", "faults"),
    [
        ("<a href='b.html#there'>", []),
        ("<a href='b.html#missing'>", ["a.html: b.html#missing leads nowhere"]),
        ("<a href='c.html'>", ["a.html: c.html leads nowhere"]),
        ("<img src='missing.png'>", ["a.html: missing.png leads nowhere"]),
        ("<p id='own'><a href='#own'><a href='#other'>", ["a.html: #other leads nowhere"]),
        ("<a href='https://elsewhere.example/x'><a href='mailto:me'>", []),
    ],
)
def test_links_that_lead_nowhere(tmp_path: Path, page: str, faults: list[str]) -> None:
    (tmp_path / "a.html").write_text(page)
    (tmp_path / "b.html").write_text("<h1 id=there>")
    assert list(BUILD.broken_links(tmp_path)) == faults


@pytest.mark.parametrize(
    ("name", "text", "foreign"),
    [
        ("a.html", "<script src='https://cdn.example/x.js'></script>", "https://cdn.example/x.js"),
        ("a.html", "<link rel=stylesheet href='//fonts.example/css'>", "//fonts.example/css"),
        ("a.html", "<a href='https://elsewhere.example/'><img src='own.png'>", None),
        ("a.css", "@font-face { src: url('https://fonts.example/a.woff2') }", "https://fonts.example/a.woff2"),
        ("a.css", "@import 'https://fonts.example/a.css';", "https://fonts.example/a.css"),
        ("a.css", "a { background: url(data:image/png;base64,AA) }", None),
        ("a.js", "load('https://cdn.example/mermaid.min.js')", "https://cdn.example/mermaid.min.js"),
        ("a.js", "namespace = 'http://www.w3.org/2000/svg'", None),
    ],
)
def test_what_another_host_would_send(tmp_path: Path, name: str, text: str, foreign: str | None) -> None:
    (tmp_path / name).write_text(text)
    assert list(BUILD.foreign_resources(tmp_path)) == ([f"{name}: loads {foreign}"] if foreign else [])


@pytest.mark.parametrize(
    ("markdown", "rst"),
    [
        (["`(B, A)` floats"], ["``(B, A)`` floats"]),
        (["many `float`s"], ["many ``float``\\ s"]),
        (["``a`` stays"], ["``a`` stays"]),
        (["from `a", "    b` on"], ["from ``a b`` on"]),
        (["x", "", "| a | b |", "|---|---|"], ["x", "", "::", "", "    | a | b |", "    |---|---|", ""]),
    ],
)
def test_markdown_of_docstrings(markdown: list[str], rst: list[str]) -> None:
    assert CONF.markdown_to_rst(markdown) == rst


def test_every_room_but_the_commands_has_a_reference_page() -> None:
    rooms = {
        path.stem for path in (ROOT / "keras_retinanet").iterdir()
        if not path.name.startswith("_") and (path.suffix == ".py" or (path / "__init__.py").exists())
    }  # fmt: skip
    pages = dict(BUILD.reference_pages())
    assert set(pages) == {"keras_retinanet"} | {f"keras_retinanet.{room}" for room in rooms - {"cli"}}
    assert ".. automodule:: keras_retinanet.geometry.boxes\n" in pages["keras_retinanet.geometry"]
