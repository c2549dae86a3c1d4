"""docs/extending.md followed literally: a new format in three edits of a copy of the package."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from PIL import Image

ROOT = Path(__file__).resolve().parents[2]


def follow_the_page(package: Path) -> None:
    """One new file, one import, one line of the table."""
    page = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
    section = page[page.index("## A data set format") :]
    source = re.search(r"^```python\n(.*?)^with tempfile", section, re.MULTILINE | re.DOTALL)
    assert source is not None
    (package / "data" / "datasets" / "text.py").write_text(source[1], encoding="utf-8")
    table = package / "data" / "datasets" / "__init__.py"
    text = table.read_text(encoding="utf-8")
    text = text.replace('    "demo": DemoDataset,\n', '    "demo": DemoDataset,\n    "text": TextFiles,\n')
    text = text.replace(
        "from keras_retinanet.schema import Sample\n",
        "from keras_retinanet.data.datasets.text import TextFiles\nfrom keras_retinanet.schema import Sample\n",
    )
    assert text.count("TextFiles") == 2
    table.write_text(text, encoding="utf-8")


RUN = """
import contextlib, importlib, io, json, sys

answers = []
for command, *words in json.loads(sys.argv[1]):
    printed, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(errors):
        try:
            code = importlib.import_module(f"keras_retinanet.cli.{command}").main(words)
        except SystemExit as end:
            code = end.code
    answers.append((code, printed.getvalue(), errors.getvalue()))
print(json.dumps(answers))
"""


class Answer(NamedTuple):
    """What a command ends with and prints."""

    returncode: int
    stdout: str
    stderr: str


def run(*commands: list[str], home: Path) -> list[Answer]:
    """What commands answer, one after the other in a fresh process that has the copy of the package."""
    environment = {**os.environ, "PYTHONPATH": str(home), "XDG_CACHE_HOME": str(home / "cache")}
    arguments = [sys.executable, "-c", RUN, json.dumps(commands)]
    done = subprocess.run(arguments, capture_output=True, text=True, env=environment, cwd=home, timeout=300)
    assert done.returncode == 0, done.stderr
    return [Answer(*answer) for answer in json.loads(done.stdout.splitlines()[-1])]


def test_a_format_in_three_edits(tmp_path: Path) -> None:
    shutil.copytree(
        ROOT / "keras_retinanet", tmp_path / "keras_retinanet", ignore=shutil.ignore_patterns("__pycache__")
    )
    follow_the_page(tmp_path / "keras_retinanet")
    data = tmp_path / "data"
    data.mkdir()
    for name in ("a", "b", "c"):
        Image.new("RGB", (40, 30)).save(data / f"{name}.png")
    (data / "a.txt").write_text("cat 1 2 11 12\ncat 1 2 3\ndog 5 5 9 9\ncat one 2 3 4\n")
    (data / "b.txt").write_text("dog 3 4 5\n")

    words = ["convert_data", "text", str(data), str(tmp_path / "out"), "--to", "csv"]
    usage, report, strict, conversion = run(
        ["doctor", "--help"],
        ["doctor", str(data), "--json", str(tmp_path / "report.json")],  # the path alone is enough
        [*words, "--bad-data", "error"],
        words,
        home=tmp_path,
    )
    assert "text PATH" in usage.stdout, usage.stderr
    assert report.returncode == 2, report.stderr
    findings = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["findings"]
    (structure,) = [finding for finding in findings if finding["kind"] == "structure"]
    broken = [(case["where"].removeprefix(f"{data}/"), case["what"]) for case in structure["examples"]]
    assert broken == [
        ("a.txt, line 2", "4 words"),
        ("a.txt, line 4", "a side is 'one'"),
        ("b.txt, line 1", "4 words"),
    ]
    assert structure["count"] == 3

    assert strict.returncode == 2
    assert f"{data}/a.txt, line 2: 4 words. allowed: class x1 y1 x2 y2. fix: correct the line" in strict.stderr
    assert conversion.returncode == 0, conversion.stderr
    assert f"3 annotations left out: {data}/a.txt, line 2: 4 words" in conversion.stdout + conversion.stderr
