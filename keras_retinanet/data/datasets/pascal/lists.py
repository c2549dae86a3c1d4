"""The lists of a Pascal VOC data set (`ImageSets/Main`), and its `labelmap.txt`."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from keras_retinanet.data.datasets.shared.text_files import read_text
from keras_retinanet.data.errors import DataError, short_repr

BACKGROUND = "background"
"""The entry of a label map that is not a class."""

_KIND = "a list of image names"


def list_folder(folder: Path) -> Path:
    """Folder of the lists of a data set."""
    return folder / "ImageSets" / "Main"


def read_list(file: Path, known: Collection[str]) -> list[str]:
    """Read a list.

    Args:
        file: Its path.
        known: Names that have a file. The name in a line is all of it, the same without a suffix, or its first word,
            whichever is known.

    Returns:
        The names.

    Raises:
        DataError: It cannot be read, or lists an image twice.
    """
    there = ", ".join(sorted(found.stem for found in file.parent.glob("*.txt"))[:20]) or "none"
    lines = read_text(file, _KIND, f"check the path and the set's name (sets there: {there})").splitlines()
    ids: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        candidates = _candidates(line)
        name = next((name for name in candidates if name in known), candidates[-1])
        if name in ids:
            found = f"{short_repr(name)} is listed twice (first in line {ids[name]})"
            raise DataError(f"{file}, line {number}", found, "each image once", "remove one of the lines")
        if name:
            ids[name] = number
    return list(ids)


def names_in_lists(folder: Path) -> set[str]:
    """Whatever any list of a data set may name."""
    found: set[str] = set()
    for file in list_folder(folder).glob("*.txt"):
        try:
            lines = read_text(file, _KIND).splitlines()
        except DataError:
            continue  # a list of another set; it is an error when that set is read
        found.update(name for line in lines for name in _candidates(line))
    return found


def _candidates(line: str) -> tuple[str, ...]:
    whole = line.strip()
    return whole, os.path.splitext(whole)[0], (whole.split() or [""])[0]


def read_label_map(folder: Path) -> tuple[str, ...] | None:
    """Read the class names of `labelmap.txt`, which CVAT and Datumaro write.

    Args:
        folder: The data set.

    Returns:
        The names in its order without `BACKGROUND`, or `None` if there is no file.

    Raises:
        DataError: A line does not have its four fields, or a name is listed twice.
    """
    file = folder / "labelmap.txt"
    if not file.is_file():
        return None
    names: dict[str, int] = {}
    allowed = "lines of label:color:parts:actions, as 'cat:255,0,0::'"
    for number, line in enumerate(read_text(file, "a label map").splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, *others = line.strip().rsplit(":", 3)
        if len(others) != 3 or not name or name in names:
            found = f"{short_repr(line)} repeats line {names[name]}" if name in names else short_repr(line)
            fix = "correct the line, or remove the file: classes are then the names of the boxes"
            raise DataError(f"{file}, line {number}", found, allowed, fix)
        names[name] = number
    return tuple(name for name in names if name != BACKGROUND)
