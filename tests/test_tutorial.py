"""The tutorial: its notebook follows the page, and every cell runs."""

from __future__ import annotations

import json
import os
import runpy
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).resolve().parents[1] / "docs"
NOTEBOOK: dict[str, Any] = json.loads((DOCS / "tutorial.ipynb").read_text(encoding="utf-8"))


def notebook(page: str) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(runpy.run_path(str(DOCS / "notebook.py"))["notebook"](page))
    return made


def test_a_page_becomes_cells() -> None:
    page = "# A\n\nSee [B](b.md#c).\n\n```py\nx = 1\n\nx\n```\n\n```sh\nls\npwd\n```\n\nEnd.\n"
    cells = notebook(page)["cells"]
    assert [(cell["cell_type"], "".join(cell["source"])) for cell in cells] == [
        ("markdown", "# A\n\nSee B."),
        ("code", "x = 1\n\nx"),
        ("code", "!ls\n!pwd"),
        ("markdown", "End."),
    ]
    assert len({cell["id"] for cell in cells}) == 4


def test_the_notebook_is_that_of_the_page() -> None:
    made = notebook((DOCS / "tutorial.md").read_text(encoding="utf-8"))
    assert made == NOTEBOOK, "run python docs/notebook.py"


def test_no_output_is_stored() -> None:
    code = [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]
    assert code
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)


@pytest.mark.slow
# A picture that ends a cell is closed when Jupyter shows it; here nobody does.
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_every_cell_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """All cells in turn, as Jupyter would run them: Python in one namespace, commands in a shell."""
    pytest.importorskip("uvicorn", reason="needs the extra `serve`")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{DOCS.parent / 'bin'}{os.pathsep}{os.environ['PATH']}")  # where nothing is installed
    monkeypatch.setenv("PYTHONPATH", str(DOCS.parent))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    names: dict[str, Any] = {}
    try:
        for cell in NOTEBOOK["cells"]:
            source = "".join(cell["source"]).replace("8501", port)
            if cell["cell_type"] != "code":
                continue
            if source.startswith("!"):
                for line in source.splitlines():
                    status = subprocess.run(["bash", "-c", line.removeprefix("!")], check=False).returncode
                    assert status == 0, line
            else:
                exec(compile(source, cell["id"], "exec"), names)
    finally:
        if "server" in names:
            names["server"].kill()
            names["server"].wait()
    assert names["server"].returncode == 0, "the server ended gracefully"
    found, answer = names["found"], names["answer"]
    assert len(found.scores) > 0
    sure = answer["scores"] > 0.3
    assert [answer["names"][k] for k in sure.nonzero()[0]] == list(found.names)
    drawn = sys.modules["PIL.Image"].open("sheet.png").size
    assert min(drawn) > 200
    assert "AP" in capfd.readouterr().out
