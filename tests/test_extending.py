"""docs/extending.md is followed literally in a copy of the package: files written, edits applied, checks run.

A section takes part once it has a `diff` block. What its blocks mean stands at the top of the page.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "extending.md"
BLOCK = re.compile(r"^```(python|python after-the-edits|diff)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# (keras_retinanet/\S+\.py)\n")
MAX_FILES = 3


class Section(NamedTuple):
    """A section of the page: new files by path, edits as `(path, before, after)`, code to run after all edits."""

    title: str
    files: dict[str, str]
    edits: list[tuple[str, str, str]]
    code: list[str]


def edits_of(diff: str) -> list[tuple[str, str, str]]:
    """The edits of a `diff` block: a line `--- path`, then hunks separated by `@@`."""
    head, _, body = diff.partition("\n")
    assert head.startswith("--- "), f"a diff block begins with the path of its file, not {head!r}"
    edits = []
    for hunk in re.split(r"^@@.*\n", body, flags=re.MULTILINE):
        lines = hunk.splitlines(keepends=True)
        assert all(line[0] in " +-" for line in lines), f"lines of a diff begin with a space, + or -:\n{hunk}"
        before = "".join(line[1:] for line in lines if line[0] != "+")
        edits.append((head[4:], before, "".join(line[1:] for line in lines if line[0] != "-")))
    return edits


def sections(page: str) -> list[Section]:
    """The sections of the page with what their blocks say; the first is what stands before all headings."""
    found = []
    for text in re.split(r"^## ", page, flags=re.MULTILINE):
        section = Section(text.partition("\n")[0], {}, [], [])
        for kind, source in BLOCK.findall(text):
            if kind == "diff":
                section.edits.extend(edits_of(source))
                continue
            section.code.append(source)
            if file := FILE.match(source):
                section.files[file[1]] = source[file.end() :]
        found.append(section)
    return found


SECTIONS = sections(PAGE.read_text(encoding="utf-8"))
FOLLOWED = [section for section in SECTIONS if section.edits]


def apply(section: Section, root: Path) -> None:
    """Writes the files of a section and makes its edits."""
    for path, source in section.files.items():
        assert not (root / path).exists(), f"{section.title}: {path} is there already"
        (root / path).write_text(source, encoding="utf-8")
    for path, before, after in section.edits:
        text = (root / path).read_text(encoding="utf-8")
        assert text.count(before) == 1, f"{section.title}: not in one place of {path}:\n{before}"
        (root / path).write_text(text.replace(before, after), encoding="utf-8")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the checks of all sections print in a copy of the package with all their edits."""
    root = tmp_path_factory.mktemp("extended")
    shutil.copytree(ROOT / "keras_retinanet", root / "keras_retinanet", ignore=shutil.ignore_patterns("__pycache__"))
    for section in FOLLOWED:
        apply(section, root)
    script = root / "checks.py"
    parts = ["import traceback", "names = {'__name__': 'page'}"]
    for section in [SECTIONS[0], *FOLLOWED]:
        parts += [
            "try:",
            *(f"    exec(compile({source!r}, {section.title!r}, 'exec'), names)" for source in section.code),
            f"    print({f'passed: {section.title}'!r})",
            "except Exception:",
            f"    print({f'failed: {section.title}'!r}, traceback.format_exc())",
        ]
    script.write_text("\n".join(parts), encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(root), "TF_CPP_MIN_LOG_LEVEL": "2"}
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=False, cwd=root, env=environment
    )
    return done.stdout + done.stderr


def test_sections_are_found() -> None:
    page = "```python\nx = 1\n```\n## One\n```python\n# keras_retinanet/a.py\ny\n```\n"
    page += "```diff\n--- b.py\n a\n+b\n@@\n-c\n```\n"
    start, one = sections(page)
    assert (start.code, start.edits) == (["x = 1\n"], [])
    assert one.files == {"keras_retinanet/a.py": "y\n"}
    assert one.edits == [("b.py", "a\n", "a\nb\n"), ("b.py", "c\n", "")]
    expected = {"A backbone", "A loss", "An assigner", "A format to open", "An export format", "An importer"}
    expected |= {"A metric", "A check of the doctor"}
    assert expected <= {section.title for section in FOLLOWED}


@pytest.mark.parametrize("section", FOLLOWED, ids=lambda section: section.title)
def test_the_page_followed_literally_works(section: Section, report: str) -> None:
    assert f"passed: {section.title}\n" in report, report[-3000:]


@pytest.mark.parametrize("section", FOLLOWED, ids=lambda section: section.title)
def test_an_extension_touches_few_files(section: Section) -> None:
    touched = {*section.files, *(path for path, _, _ in section.edits)}
    assert len(touched) <= MAX_FILES, sorted(touched)
