"""The class names of a YOLO data set: of its YAML file, or of the text file that the tool wrote in place of one."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keras_retinanet.data.datasets.shared.text_files import read_text
from keras_retinanet.data.errors import DataError, short_repr

CLASS_FILES = (
    "classes.txt", "obj.names", "classes.names", "data.names", "predefined_classes.txt", "_darknet.labels",
    "labels.txt", "class_names.txt", "classnames.txt", "names.txt", "notes.json",
)  # fmt: skip
"""Names of files that list classes, one name per line; `notes.json` is Label Studio's. In any case of letters."""

_ALLOWED = "a list of names, or a mapping from ids 0, 1, … to names"


@dataclass(frozen=True)
class YoloClasses:
    """Class names by id.

    Attributes:
        names: Names by id, sorted by id; none if there is no list.
        is_counted: Whether ids are positions in a list, so that a tool may have counted them from 1.
        file: The file that lists them.
        notes: What in the list is odd.
    """

    names: Mapping[int, str] = field(default_factory=dict)
    is_counted: bool = True
    file: Path | None = None
    notes: tuple[str, ...] = ()


def parse_names(content: Mapping[str, Any], file: Path) -> YoloClasses:
    """Read `names` of a YAML file.

    Args:
        content: The whole file.
        file: Its path.

    Returns:
        The names; none if the file has neither `names` nor `nc`.

    Raises:
        DataError: `names` is neither a list nor a mapping from ids.
    """
    names = content.get("names")
    if names is None and "names" not in content:
        return YoloClasses(file=file)
    items = dict(enumerate(names)) if isinstance(names, list) else names
    if not isinstance(items, dict) or not items:
        raise DataError(str(file), f"'names' is {short_repr(names)}", _ALLOWED, "write the classes there")
    fix = "correct it; put names such as yes, no, on and off in quotes"
    found: dict[int, str] = {}
    for key, name in items.items():
        number = int(key) if isinstance(key, str) and key.isascii() and key.isdigit() and len(key) < 10 else key
        is_name = isinstance(name, (str, int, float)) and not isinstance(name, bool)
        if type(number) is not int or number < 0 or not is_name:
            raise DataError(str(file), f"'names' has {short_repr(key)}: {short_repr(name)}", _ALLOWED, fix)
        found[number] = str(name)
    notes = [*_describe_copies(found, file)]
    if (count := content.get("nc", len(found))) != len(found):
        notes.append(f"{file}: 'nc' is {short_repr(count)}, but there are {len(found)} names, which are used")
    return YoloClasses(dict(sorted(found.items())), isinstance(names, list), file, tuple(notes))


def find_classes(folders: Iterable[Path]) -> YoloClasses:
    """Find the file that lists the classes.

    Args:
        folders: Where to look, the likeliest first.

    Returns:
        The names of the first file found. If others name more classes in the same order (labelImg appends to each copy
        on its own), the longest; if others differ, a note names them.
    """
    files = [file for folder in dict.fromkeys(folders) for file in find_class_files(folder)]
    lists = {file: names for file in files if (names := _read_list(file))}
    if not lists:
        return YoloClasses()
    first = next(iter(lists))
    best = first
    for file, names in lists.items():
        if len(names) > len(lists[best]) and list(names.items())[: len(lists[best])] == list(lists[best].items()):
            best = file
    chosen = lists[best]
    others = [str(file) for file, names in lists.items() if any(chosen.get(key) != names[key] for key in names)]
    notes = [f"{best} lists the classes; {', '.join(others[:5])} differs from it and is not used"] if others else []
    return YoloClasses(chosen, True, best, (*notes, *_describe_copies(chosen, best)))


def find_class_files(folder: Path) -> list[Path]:
    """Files of a folder that list classes, as their names say; the usual ones first."""
    try:
        names = sorted(entry.name for entry in os.scandir(folder) if is_class_file(entry.name) and entry.is_file())
    except (OSError, ValueError):
        return []
    order = {name: position for position, name in enumerate(CLASS_FILES)}
    return [folder / name for name in sorted(names, key=lambda name: order.get(name.lower(), 1))]


def is_class_file(name: str) -> bool:
    """Whether a file lists classes, as its name says."""
    return name.lower() in CLASS_FILES or name.lower().endswith(".names")


def read_list(file: Path) -> YoloClasses:
    """Read a file that lists classes.

    Args:
        file: Its path.

    Returns:
        Its names; none if it cannot be read, or does not list classes.
    """
    names = _read_list(file)
    return YoloClasses(names, True, file if names else None, tuple(_describe_copies(names, file)))


def _read_list(file: Path) -> dict[int, str]:
    """Names by id; none if the file cannot be read, or does not list classes."""
    try:
        text = read_text(file, "a list of class names")
    except DataError:
        return {}
    if file.suffix.lower() == ".json":
        return _read_notes(text)
    lines = [line.strip() for line in text.splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    if any(_is_row(line) for line in lines):
        return {}  # boxes of an image that has this name
    return {number: name or str(number) for number, name in enumerate(lines)}


def _is_row(line: str) -> bool:
    words = line.split()
    try:
        return len(words) >= 5 and bool([float(word) for word in words])
    except ValueError:
        return False


def _read_notes(text: str) -> dict[int, str]:
    try:
        categories = json.loads(text)["categories"]
        return {int(item["id"]): str(item["name"]) for item in sorted(categories, key=lambda item: int(item["id"]))}
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}


def _describe_copies(names: Mapping[int, str], file: Path) -> list[str]:
    notes, first = [], dict[str, int]()
    for number, name in names.items():
        if first.setdefault(name, number) != number:
            notes.append(f"{file}: classes {first[name]} and {number} are both called {name!r} and are one class")
    return notes
