"""Finds what describes a YOLO data set: a YAML file, darknet's `.data` file, lists of images, or the folders alone."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from keras_retinanet.data.datasets.shared.text_files import has_file, list_names, read_text, to_local_path
from keras_retinanet.data.datasets.yolo.classes import YoloClasses, find_classes, parse_names, read_list
from keras_retinanet.data.datasets.yolo.paths import find_place
from keras_retinanet.data.datasets.yolo.sets import (
    IMAGE_FOLDERS,
    LABEL_FOLDERS,
    TEST_SETS,
    TRAIN_SETS,
    VAL_SETS,
    WHOLE,
    find_sets,
    first_set,
    folders_named,
    is_image_list,
    is_set_name,
)
from keras_retinanet.data.errors import DataError, short_repr
from keras_retinanet.data.image_files import near_name_hint

YAML_NAMES = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
_YAML = "data.yaml with 'names', 'train' and 'val'"
_ALLOWED = "data.yaml, obj.data, or images with text files of boxes: images/ and labels/, or in one folder"
_USUAL_SETS = (*TRAIN_SETS, *VAL_SETS, *TEST_SETS)
_MAX_YAML = 1 << 20  # bytes; a list of classes is shorter


@dataclass(frozen=True)
class YoloLayout:
    """What describes a YOLO data set.

    Attributes:
        file: The YAML file, `.data` file or list of images; the folder if there is none.
        sets: Folders and lists of images by the name of the set, as written.
        home: Folder to which they are relative.
        root: `path` of the YAML file, relative to `home`.
        classes: The class names.
        kpt_shape: Number of keypoints and of their dimensions, if stated.
        notes: Images that belong to no set.
    """

    file: Path
    sets: Mapping[str, Sequence[str]]
    home: Path
    root: str = ""
    classes: YoloClasses = field(default_factory=YoloClasses)
    kpt_shape: tuple[int, int] | None = None
    notes: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """Folder of the data set."""
        return self.file if self.file.is_dir() else self.file.parent

    def default_sets(self) -> tuple[str, str | None]:
        """Names of the training set and, if there is one, of the validation set."""
        val = first_set(self.sets, VAL_SETS)
        others = [name for name in self.sets if name not in (val, first_set(self.sets, TEST_SETS))]
        if len(self.sets) == 1:
            return next(iter(self.sets)), None
        train = first_set(self.sets, TRAIN_SETS) or (others[0] if len(others) == 1 else TRAIN_SETS[0])
        return train, val

    def entries(self, set_name: str) -> Sequence[str]:
        """Folders and lists of a set.

        Args:
            set_name: Its name, or another usual name of the same split.

        Returns:
            As written.

        Raises:
            DataError: There is no such set.
        """
        if set_name in self.sets:
            return self.sets[set_name]
        group = next((names for names in (TRAIN_SETS[:2], VAL_SETS, TEST_SETS) if set_name in names), ())
        if (name := first_set(self.sets, group)) is not None:
            return self.sets[name]
        there = ", ".join(self.sets) or "none"
        allowed = "a folder, a text file that lists images, or a list of these"
        fix = f"choose another one (sets there: {there}), or add it"
        raise DataError(str(self.file), f"has no set {short_repr(set_name)}", allowed, fix)


def find_layout(path: Path) -> YoloLayout:
    """Find what describes the data set.

    Args:
        path: Its folder, YAML file, `.data` file or list of images.

    Returns:
        The layout.

    Raises:
        DataError: There is nothing of the kind, or it is broken.
    """
    if not path.is_dir():
        if path.suffix.lower() == ".data":
            return _from_data_file(path)
        if path.suffix.lower() == ".txt" and is_image_list(path):
            classes = find_classes([path.parent, path.parent.parent])
            return YoloLayout(path, {WHOLE: [path.name]}, path.parent, classes=classes)
        return _from_yaml(path, read_yaml(path))
    files = find_yaml_files(path)
    if len(files) > 1:
        found = f"has {len(files)} YAML files: {', '.join(file.name for file in files[:5])}"
        raise DataError(str(path), found, _YAML, "give the path of the file itself")
    if files:
        return _from_yaml(files[0], read_yaml(files[0]))
    if data_files := find_data_files(path):
        return _from_data_file(data_files[0])
    return _from_folder(path)


def find_yaml_files(folder: Path) -> list[Path]:
    """YAML files that may describe the data set of a folder: those of the usual names, else those that do.

    Raises:
        DataError: The folder cannot be read.
    """
    files = [folder / name for name in list_names(folder) if name.lower().endswith((".yaml", ".yml"))]
    named = [file for file in files if file.name in YAML_NAMES]
    return named[:1] if len(named) == 1 else [file for file in named or files if describes_data(file)] or named


def describes_data(file: Path) -> bool:
    """Whether a YAML file describes a data set of YOLO's kind; never raises."""
    try:
        if file.stat().st_size > _MAX_YAML:
            return False
        content = read_yaml(file)
    except (DataError, OSError, ValueError):
        return False
    names = content.get("names")
    has_set = any(_is_entry(content.get(name)) for name in _USUAL_SETS)
    has_names = isinstance(names, (list, dict)) and bool(names)
    return has_names or (has_set and ("nc" in content or "path" in content))


def read_yaml(file: Path) -> dict[str, Any]:
    """Read a YAML file.

    Args:
        file: Its path.

    Returns:
        Its content.

    Raises:
        DataError: It cannot be read, or is not a mapping.
    """
    try:
        content = yaml.safe_load(read_text(file, _YAML))
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        reason = short_repr(" ".join(str(error).split()), 120)
        raise DataError(str(file), f"is not YAML ({reason})", _YAML, "correct it") from None
    if not isinstance(content, dict):
        raise DataError(str(file), f"is {short_repr(content)}", _YAML, "correct it")
    return content


def _is_entry(value: object) -> bool:
    entries = [value] if isinstance(value, str) else value
    return isinstance(entries, list) and bool(entries) and all(isinstance(entry, str) and entry for entry in entries)


def _from_yaml(file: Path, content: dict[str, Any]) -> YoloLayout:
    root = content.get("path") or ""
    if not isinstance(root, str):
        raise DataError(str(file), f"'path' is {short_repr(root)}", "a folder", "correct it")
    classes, sets = parse_names(content, file), _read_sets(content, file)
    notes: tuple[str, ...] = ()
    if not sets:
        base = file.parent / to_local_path(root)
        base = base if root and base.is_dir() else file.parent
        found, notes = find_sets(base)
        sets = {name: [os.path.join(base, entry) for entry in entries] for name, entries in found.items()}
    return YoloLayout(file, sets, file.parent, root, classes, _keypoint_shape(content, file), notes)


def _read_sets(content: dict[str, Any], file: Path) -> dict[str, Sequence[str]]:
    """Folders and lists by the name of the set: the usual keys, and others whose values are paths."""
    sets: dict[str, Sequence[str]] = {}
    others = [key for key in content if key not in (*_USUAL_SETS, "path", "names", "download")]
    for name in (*_USUAL_SETS, *others):
        value = content.get(name)
        entries = [value] if isinstance(value, str) else value
        if not isinstance(entries, list) or not _is_entry(entries):
            if value and name in _USUAL_SETS:
                allowed = "a folder, a text file that lists images, or a list of these"
                raise DataError(str(file), f"{name!r} is {short_repr(value)}", allowed, "correct it, or remove it")
        elif name in _USUAL_SETS or all("/" in entry or entry.endswith(".txt") for entry in entries):
            sets[str(name)] = entries
    return sets


def _keypoint_shape(content: dict[str, Any], file: Path) -> tuple[int, int] | None:
    shape = content.get("kpt_shape")
    if shape is None:
        return None
    is_pair = isinstance(shape, list) and len(shape) == 2
    if not is_pair or not all(type(side) is int and 0 < side < 1000 for side in shape):
        allowed = "[number of keypoints, 2 or 3]"
        raise DataError(str(file), f"'kpt_shape' is {short_repr(shape)}", allowed, "correct it, or remove it")
    return shape[0], shape[1]


def find_data_files(folder: Path, pattern: str = "*.data") -> list[Path]:
    """Files of darknet that name lists of images and of classes."""
    return [file for file in sorted(folder.glob(pattern)) if _read_data_file(file)]


def _read_data_file(file: Path) -> dict[str, str]:
    """Keys and values of darknet's `.data` file; none if it is not one."""
    try:
        lines = read_text(file, "a .data file").splitlines() if file.stat().st_size <= _MAX_YAML else []
    except (DataError, OSError, ValueError):
        return {}
    pairs = (line.split("#")[0].partition("=") for line in lines)
    content = {key.strip(): value.strip() for key, _, value in pairs if value.strip()}
    return content if content.keys() & {"names", "train", "valid"} else {}


def _from_data_file(file: Path) -> YoloLayout:
    content = _read_data_file(file)
    if not content:
        allowed = "lines such as 'train = data/train.txt' and 'names = data/obj.names'"
        raise DataError(str(file), "is not a .data file of darknet", allowed, near_name_hint(file) + "correct it")
    sets = {name: [content[name]] for name in _USUAL_SETS if name in content}
    names = find_place(content.get("names", ""), [file.parent, file.parent.parent]) if "names" in content else None
    classes = read_list(names) if names is not None else find_classes([file.parent])
    there = {name: entry for name, entry in sets.items() if find_place(entry[0], [file.parent, file.parent.parent])}
    notes = tuple(f"{file}: {entry[0]!r} is not there" for name, entry in sets.items() if name not in there)
    if not there:
        there, outside = find_sets(file.parent)
        notes += outside
    return YoloLayout(file, there or sets, file.parent, classes=classes, notes=notes)


def _from_folder(folder: Path) -> YoloLayout:
    sets, notes = find_sets(folder)
    if not sets and not has_file(folder, lambda name: name.lower().endswith(".txt")):
        fix = "check the path; docs/datasets.md shows the layouts"
        raise DataError(str(folder), "has neither images nor text files", _ALLOWED, fix)
    sets = sets or _sets_of_texts(folder)
    return YoloLayout(folder, sets, folder, classes=_classes_near(folder, sets), notes=notes)


def _sets_of_texts(folder: Path) -> dict[str, list[str]]:
    """Sets of text files alone, whose images `--image-dir` names: the parts of their folder."""
    for home in [folder / name for name in folders_named(folder, LABEL_FOLDERS)] + [folder]:
        parts = sorted(part.name for part in home.glob("*") if part.is_dir() and is_set_name(part.name))
        if parts:
            return {name: [name] for name in parts}
    return {WHOLE: [WHOLE]}


def _classes_near(folder: Path, sets: Mapping[str, Sequence[str]]) -> YoloClasses:
    """Class names from a file in the folder or its parts, or above it where it is a part itself."""
    parts = [folder / name for name in ("", "data", *folders_named(folder, LABEL_FOLDERS))]
    deeper = [part / name for part in parts[2:] for name in sets if name != WHOLE]
    places = [folder / entry for entries in sets.values() for entry in entries if entry != WHOLE]
    beside = [place.parent / name for place in places for name in ("", *LABEL_FOLDERS)]
    found = find_classes([*parts, *deeper, *places, *beside])
    if not found.names and (is_set_name(folder.name) or folder.name.lower() in IMAGE_FOLDERS):
        above = [folder.absolute().parent, folder.absolute().parent.parent]
        for file in (file for place in above for file in find_yaml_files(place) if describes_data(file)):
            return parse_names(read_yaml(file), file)
        found = find_classes(place / name for place in above[:1] for name in ("", *LABEL_FOLDERS))
    return found
