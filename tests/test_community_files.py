"""What the host of the repository reads: citation, issue forms and workflows; and the state of tracked files."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from keras_retinanet import __version__

ROOT = Path(__file__).resolve().parents[1]
FORMS = sorted(path for path in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml")
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def test_the_citation_names_this_version_and_the_paper() -> None:
    citation = read(ROOT / "CITATION.cff")
    assert {"cff-version", "message", "title", "authors"} <= set(citation), "required by the format"
    assert citation["version"] == __version__
    (paper,) = citation["references"]
    assert paper["doi"] == "10.1109/ICCV.2017.324"
    assert [author["family-names"] for author in paper["authors"]] == ["Lin", "Goyal", "Girshick", "He", "Dollár"]


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.name)
def test_issue_forms_are_what_the_host_accepts(path: Path) -> None:
    form = read(path)
    assert all(isinstance(form[key], str) and form[key] for key in ("name", "description"))
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    assert {field["type"] for field in fields} <= {"textarea", "input", "dropdown", "checkboxes"}
    assert all(field["attributes"]["label"] for field in fields)
    names = [field["id"] for field in fields]
    assert len(set(names)) == len(names) > 0
    assert any(field.get("validations", {}).get("required") for field in fields)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_run_the_scripts_of_the_repository(path: Path) -> None:
    """Nothing is checked by the host alone: each job is a script that anybody can run, with no right to write."""
    workflow = read(path)
    assert workflow["permissions"] == {"contents": "read"}
    commands = [step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step]
    assert commands
    for command in commands:
        assert re.fullmatch(r"\.ci/\w+", command)
        assert os.access(ROOT / command, os.X_OK)


def test_every_python_version_of_the_package_is_checked() -> None:
    listed = re.findall(r"Python :: (3\.\d+)", (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert read(ROOT / ".github/workflows/ci.yml")["jobs"]["check"]["strategy"]["matrix"]["python"] == listed


def test_vulnerabilities_are_reported_in_private_and_to_no_invented_address() -> None:
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    assert "private vulnerability report" in re.sub(r"\s+", " ", text)
    assert "@" not in text


def tracked_files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).is_file()]


def test_no_tracked_file_is_large() -> None:
    assert [path.name for path in tracked_files() if path.stat().st_size > 1_000_000] == []


def test_text_files_end_with_one_newline_and_hold_no_conflict() -> None:
    marker = re.compile(rb"^(<{7}|>{7}) ", re.MULTILINE)
    wrong = []
    for path in tracked_files():
        content = path.read_bytes()
        is_text = content and b"\0" not in content
        if is_text and (not content.endswith(b"\n") or content.endswith(b"\n\n") or marker.search(content)):
            wrong.append(path.relative_to(ROOT).as_posix())
    assert wrong == []
