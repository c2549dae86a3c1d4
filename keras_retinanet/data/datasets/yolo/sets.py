"""Finds the sets of a YOLO data set without a YAML file: lists of images, and folders named as sets."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from keras_retinanet.data.datasets.shared.text_files import has_file, is_image

TRAIN_SETS = ("train", "training", "trainval")
VAL_SETS = ("val", "valid", "validation")
TEST_SETS = ("test", "testing")
WHOLE = "."
"""The set of all images, where there is nothing that divides them."""

IMAGE_FOLDERS = ("images", "image", "imgs", "img", "jpegimages")
LABEL_FOLDERS = ("labels", "label", "annotations", "txt")
_SET = re.compile(
    r"(?:images?[-_ ])?(trainval|training|train|validation|valid|val|testing|test|dev|eval)[-_ ]?\d*", re.IGNORECASE
)


def is_set_name(name: str) -> bool:
    """Whether a folder or list of this name is a set."""
    return _SET.fullmatch(name) is not None


def first_set(sets: Mapping[str, object], names: Sequence[str]) -> str | None:
    """The first set that has one of the names, or one of them with a year or another prefix."""
    for name in names:
        if name in sets:
            return name
    words = {key: found[1].lower() for key in sets if (found := _SET.fullmatch(key))}
    return next((key for name in names for key, word in words.items() if word == name), None)


def folders_named(folder: Path, names: Sequence[str]) -> list[str]:
    """Sub-folders that have one of these names, in any case of letters, in this order."""
    there = sorted(entry.name for entry in _scan(folder) if entry.name.lower() in names and entry.is_dir())
    return sorted(there, key=lambda name: names.index(name.lower()))


def _scan(folder: Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from (entry for entry in entries if not entry.name.startswith("."))
    except (OSError, ValueError):
        return


def find_sets(folder: Path) -> tuple[dict[str, list[str]], tuple[str, ...]]:
    """Find the sets of a folder without a YAML file.

    Args:
        folder: The data set.

    Returns:
        Lists (`train.txt`), else folders named as sets in `images` or in the folder, else one set of all images; each
        as paths relative to the folder. And notes about images that belong to none of these folders.
    """
    lists = {
        entry.name[:-4]: [entry.name]
        for entry in sorted(_scan(folder), key=lambda entry: entry.name)
        if entry.name.lower().endswith(".txt") and is_set_name(entry.name[:-4]) and is_image_list(Path(entry.path))
    }
    if lists:
        return dict(_in_order(lists)), ()
    parts = [folder / name for name in folders_named(folder, IMAGE_FOLDERS)]
    for home in (*parts, folder):
        divided = {
            entry.name: [_image_part(folder, Path(entry.path))]
            for entry in _scan(home)
            if is_set_name(entry.name) and entry.is_dir() and has_file(entry.path, is_image)
        }
        if divided:
            return dict(_in_order(divided)), _describe_outside(home, set(divided), is_part=home != folder)
    for home in (*parts, folder):
        if has_file(home, is_image):
            return {WHOLE: [str(home.relative_to(folder))]}, ()
    return {}, ()


def _in_order(sets: dict[str, list[str]]) -> list[tuple[str, list[str]]]:
    usual = (*TRAIN_SETS, *VAL_SETS, *TEST_SETS)

    def place(item: tuple[str, list[str]]) -> tuple[int, str]:
        found = _SET.fullmatch(item[0])
        word = found[1].lower() if found else ""
        return (usual.index(word) if word in usual else len(usual)), item[0]

    return sorted(sets.items(), key=place)


def _image_part(folder: Path, place: Path) -> str:
    """The folder of the images of a set, relative: its `images` if it has any."""
    parts = (place / name for name in folders_named(place, IMAGE_FOLDERS))
    return str(next((part for part in parts if has_file(part, is_image)), place).relative_to(folder))


def _describe_outside(home: Path, sets: set[str], *, is_part: bool) -> tuple[str, ...]:
    """A note about images next to the folders of the sets."""
    loose = sorted(entry.name for entry in _scan(home) if is_image(entry.name) and not entry.is_dir())
    others = sorted(
        entry.name
        for entry in _scan(home)
        if is_part and entry.is_dir() and entry.name not in sets and has_file(entry.path, is_image)
    )
    notes = []
    if loose:
        notes.append(f"{home}: {len(loose)} images outside of {', '.join(sorted(sets))} are left out: {loose[0]} …")
    if others:
        notes.append(f"{home}: folders with images that are not sets are left out: {', '.join(others[:5])}")
    return tuple(notes)


def is_image_list(file: Path) -> bool:
    """Whether a text file lists images, one per line, as its first lines show; never raises."""
    try:
        with file.open("rb") as content:
            lines = content.read(4096).decode("utf-8", "replace").splitlines()
    except (OSError, ValueError):
        return False
    first = next((line.strip() for line in lines if line.strip()), "")
    return is_image(first) and "," not in first
