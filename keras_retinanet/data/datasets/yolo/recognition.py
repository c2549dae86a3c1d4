"""Recognises YOLO data sets by the contents of their files."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import NamedTuple

from keras_retinanet.data.datasets.shared.text_files import has_file, is_image
from keras_retinanet.data.datasets.yolo.classes import find_class_files, is_class_file
from keras_retinanet.data.datasets.yolo.layouts import describes_data, find_data_files, find_yaml_files
from keras_retinanet.data.datasets.yolo.sets import IMAGE_FOLDERS, LABEL_FOLDERS, is_image_list, is_set_name

_MAX_PROBED = 2000  # entries of a folder
_MAX_FOLDERS = 60
_MAX_TEXTS = 20  # files of a folder
_PEEK = 4096  # bytes


class Recognised(NamedTuple):
    """What was recognised; the attributes are those of `Layout`."""

    evidence: str
    certainty: int
    tool: str


def recognise(path: Path) -> Recognised | None:
    """Recognise a YOLO data set.

    Args:
        path: A folder or file, which need not exist.

    Returns:
        What shows it, or `None`.
    """
    try:
        return _recognise_folder(path) if path.is_dir() else _recognise_file(path)
    except (OSError, ValueError):
        return None


def _recognise_file(file: Path) -> Recognised | None:
    suffix = file.suffix.lower()
    if suffix in (".yaml", ".yml") and describes_data(file):
        return Recognised(file.name, 3, _find_tool(file.parent, file))
    if suffix == ".data" and find_data_files(file.parent, file.name):
        return Recognised(file.name, 3, "")
    is_list = (
        suffix == ".txt" and is_image_list(file) and has_file(file.parent, lambda name: _is_text_of_boxes(file, name))
    )
    return Recognised(file.name, 2, "") if is_list else None


def _is_text_of_boxes(file: Path, name: str) -> bool:
    return name.lower().endswith(".txt") and not is_class_file(Path(name).name) and has_rows(file.parent / name)


def _recognise_folder(folder: Path) -> Recognised | None:
    described = [file for file in find_yaml_files(folder) if describes_data(file)]
    described += find_data_files(folder)
    if described:
        return Recognised(described[0].name, 3, _find_tool(folder, described[0]))
    text = find_rows(folder)
    if text is None:
        return _recognise_empty(folder)
    return Recognised(str(text.relative_to(folder)), 3, _find_tool(folder, None))


def _recognise_empty(folder: Path) -> Recognised | None:
    """A set without any box: `labels` with empty text files, and `images`."""
    parts = {part.name.lower(): part for part in _sub_folders(folder)}
    images = any(name in parts and has_file(parts[name], is_image) for name in IMAGE_FOLDERS)
    for home in (parts[name] for name in LABEL_FOLDERS if name in parts and images):
        texts = [text for place in (home, *_sub_folders(home)) for text in _some_texts(place)]
        if texts and not any(text.stat().st_size for text in texts):
            return Recognised(str(texts[0].relative_to(folder)), 1, "")
    return None


def _find_tool(folder: Path, described: Path | None) -> str:
    """Name of the tool that wrote the files, if they show it."""
    head = ""
    for file in (described, folder / "notes.json"):
        if file is not None and file.is_file():
            with file.open("rb") as content:
                head += content.read(_PEEK).decode("utf-8", "replace")
    if "\nroboflow:" in head or any(folder.glob("README.roboflow.txt")) or any(folder.glob("*/_darknet.labels")):
        return "Roboflow"
    if '"Label Studio"' in head:
        return "Label Studio"
    if "Ultralytics" in head:
        return "Ultralytics"
    return "CVAT or Datumaro" if (folder / "obj_train_data").is_dir() else ""


def find_rows(folder: Path) -> Path | None:
    """Find a text file whose first line is a class and a box.

    Args:
        folder: Searched with its sub-folders, and those of the usual names with theirs; a bounded number of entries in
            each. A sub-folder with a list of classes of its own is another data set.

    Returns:
        The first one, or `None`.
    """
    parts = _sub_folders(folder)
    usual = [part for part in parts if part.name.lower() in (*LABEL_FOLDERS, *IMAGE_FOLDERS) or is_set_name(part.name)]
    others = [part for part in parts if part not in usual and not find_yaml_files(part) and not find_class_files(part)]
    homes = [folder, *usual, *others, *(inner for part in usual for inner in _sub_folders(part))]
    homes = sorted(homes[:_MAX_FOLDERS], key=lambda home: home.name.lower() not in LABEL_FOLDERS)
    return next((text for home in homes for text in _some_texts(home) if has_rows(text)), None)


def _sub_folders(folder: Path) -> list[Path]:
    with os.scandir(folder) as entries:
        some = itertools.islice(entries, _MAX_PROBED)
        return sorted(Path(entry.path) for entry in some if entry.is_dir() and not entry.name.startswith("."))[:20]


def _some_texts(folder: Path) -> list[Path]:
    with os.scandir(folder) as entries:
        names = [entry.name for entry in itertools.islice(entries, _MAX_PROBED) if entry.name.lower().endswith(".txt")]
    texts = (name for name in sorted(names) if not is_class_file(name) and not name.startswith("."))
    return [folder / name for name in itertools.islice(texts, _MAX_TEXTS)]


def has_rows(file: Path) -> bool:
    """Whether the first line of a text file is a class and shares of the image's sides; never raises."""
    try:
        with file.open("rb") as content:
            start = content.read(_PEEK).removeprefix(b"\xef\xbb\xbf")
        line = next((line for line in start.splitlines() if line.strip()), b"")
        given, *sides = (float(word) for word in line.split())
    except (OSError, ValueError):
        return False
    is_class = 0 <= given < 1e6 and given % 1 == 0
    return is_class and len(sides) >= 4 and all(-1 <= side <= 2 for side in sides[:4])
