"""Folders are listed once, and again after they changed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from keras_retinanet.data.datasets.shared import folder_contents
from keras_retinanet.data.datasets.shared.folder_contents import files_ending, list_contents, subfolders


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.JSON", "a.json", "c.txt", ".hidden.json"):
        (tmp_path / name).touch()
    for name in ("z", "v1.0", ".git"):
        (tmp_path / name).mkdir()
    return tmp_path


def age(folder: Path) -> None:
    os.utime(folder, (1_000_000_000, 1_000_000_000))


def test_names_are_sorted_and_hidden_ones_left_out(folder: Path) -> None:
    assert list_contents(folder) == (("v1.0", "z"), ("a.json", "b.JSON", "c.txt"))
    assert subfolders(folder) == [folder / "v1.0", folder / "z"]
    assert files_ending(folder, ".json", ".yaml") == [folder / "a.json", folder / "b.JSON"]


def test_links_are_what_they_lead_to(folder: Path) -> None:
    (folder / "linked").symlink_to(folder / "z")
    (folder / "nowhere").symlink_to(folder / "gone")
    assert list_contents(folder).folders == ("linked", "v1.0", "z")
    assert "nowhere" in list_contents(folder).files


@pytest.mark.parametrize("name", ["gone", "a.json", "a\0b"])
def test_what_cannot_be_listed_is_empty(folder: Path, name: str) -> None:
    assert list_contents(folder / name) == ((), ())


def test_an_old_folder_is_listed_once_until_it_changes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scanned = []
    scan = folder_contents._scan
    monkeypatch.setattr(folder_contents, "_scan", lambda path: scanned.append(path) or scan(path))
    age(folder)
    first = list_contents(folder)
    assert list_contents(folder) == first
    assert len(scanned) == 1
    (folder / "d.json").touch()  # the folder is fresh now, and may change again within one tick of its clock
    assert "d.json" in list_contents(folder).files
    (folder / "e.json").touch()
    assert "e.json" in list_contents(folder).files
    assert len(scanned) == 3
