"""YOLO: a `data.yaml` that names classes and folders, and one text file of boxes for each image.

Reference: https://docs.ultralytics.com/datasets/detect/, "Ultralytics YOLO format".
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from keras_retinanet.data.datasets.annotated_images import require_images
from keras_retinanet.data.datasets.annotations import Annotations, BoxRow
from keras_retinanet.data.datasets.reader import Reader
from keras_retinanet.data.datasets.text_files import (
    is_image,
    list_names,
    number,
    numbered_lines,
    read_text,
    suggest_parent_folder,
    to_local_path,
)
from keras_retinanet.data.error_collector import ErrorCollector, OnError, collect_errors, parse_each
from keras_retinanet.data.errors import DataError, short_repr
from keras_retinanet.data.image_files import find_near_name, near_name_hint

_VAL = ("val", "valid", "validation")
_ROW = "'class x_center y_center width height', shares of the image's sides; or 'class x1 y1 x2 y2 x3 y3 …'"
_MAX_SHARE = 2.0  # larger shares are pixels by mistake, not a box that extends beyond the image
_YAML_NAMES = ("data.yaml", "data.yml", "dataset.yaml")
_YAML = "data.yaml with 'names', 'train' and 'val'"


class YoloDataset(Reader):
    """YOLO as Ultralytics, Roboflow and others write it.

    `data.yaml` has `names` (a list, or a mapping from IDs), `train` and `val` (each a folder, a text file that lists
    images, or a list of these) and perhaps `path`, to which they are relative. The boxes of `…/images/a.jpg` are in
    `…/labels/a.txt`, or in the folder of the image if no folder is named `images`. An image without such a file has no
    boxes. Lines of a polygon become the box around it. `path` is the YAML file or its folder; a set is a key of the
    file.
    """

    word = "yolo"
    summary = "data.yaml, or its folder: images/ and labels/*.txt"
    signs = tuple((name, 3) for name in _YAML_NAMES)
    file_signs = ("*.yaml", "*.yml")

    def read(self) -> Annotations:
        """Read the text file of each image."""
        file, content = _read_yaml(self.path)
        listed_in = f"{file}, {self.set_name!r}"
        classes = _classes(content, file)
        images, listed = _images(file, content, self.set_name)
        if not isinstance(self.on_error, ErrorCollector):
            require_images(images, listed_in)
        texts = [_label_file(image) for image in images]
        return Annotations(
            listed_in=listed_in,
            class_names=tuple(classes.values()),
            images=images,
            image_ids=_image_ids(images, file),
            boxes=list(_read_rows(texts, classes, self.on_error)),
            is_relative=True,
            category_ids={name: number for number, name in classes.items()},
            sources=[str(file), *listed, *texts],
        )

    @classmethod
    def default_sets(cls, path: str | os.PathLike[str]) -> tuple[str, str | None]:
        """Names of the training set and, if there is one, of the validation set."""
        content = _read_yaml(path)[1]
        return "train", next((name for name in _VAL if content.get(name)), None)


def _read_yaml(path: str | os.PathLike[str]) -> tuple[Path, dict[str, Any]]:
    file = Path(path)
    if file.is_dir():
        found = [name for name in list_names(file) if name.endswith((".yaml", ".yml"))]
        named = [name for name in found if name in _YAML_NAMES] or found
        if len(named) != 1:
            fix = suggest_parent_folder(file, _YAML_NAMES, "write one: see docs/datasets.md")
            fix = "give the path of the file itself" if named else fix
            raise DataError(str(file), f"has {len(named)} YAML files", _YAML, fix)
        file = file / named[0]
    try:
        content = yaml.safe_load(read_text(file, _YAML))
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        reason = short_repr(" ".join(str(error).split()), 120)
        raise DataError(str(file), f"is not YAML ({reason})", _YAML, "correct it") from None
    if not isinstance(content, dict):
        raise DataError(str(file), f"is {short_repr(content)}", _YAML, "correct it")
    return file, content


def _classes(content: dict[str, Any], file: Path) -> dict[int, str]:
    """Names by ID, sorted by ID."""
    names = content.get("names")
    items = dict(enumerate(names)) if isinstance(names, list) else names
    allowed = "a list of names, or a mapping from ids 0, 1, … to names"
    if not isinstance(items, dict) or not items:
        raise DataError(str(file), f"'names' is {short_repr(names)}", allowed, "write the classes there")
    fix = "correct it; put names such as yes, no, on and off in quotes"
    for key, name in items.items():
        if type(key) is not int or key < 0 or not isinstance(name, (str, int, float)) or isinstance(name, bool):
            raise DataError(str(file), f"'names' has {short_repr(key)}: {short_repr(name)}", allowed, fix)
    classes = {key: str(items[key]) for key in sorted(items)}
    if len(set(classes.values())) < len(classes):
        raise DataError(
            str(file), f"'names' has a name twice: {short_repr(names, 200)}", "each name once", "correct it"
        )
    count = content.get("nc", len(classes))
    if count != len(classes):
        raise DataError(
            str(file), f"'nc' is {short_repr(count)}", f"{len(classes)}, as many as 'names'", "correct either"
        )
    return classes


def _images(file: Path, content: dict[str, Any], set_name: str) -> tuple[list[str], list[str]]:
    """Paths of the images of a set, and the folders and lists they were found in."""
    entries = content.get(set_name)
    entries = [entries] if isinstance(entries, str) else entries
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, str) for entry in entries):
        there = ", ".join(name for name in ("train", *_VAL, "test") if content.get(name)) or "none"
        allowed = "a folder, a text file that lists images, or a list of these"
        raise DataError(str(file), f"{set_name!r} is {short_repr(entries)}", allowed, f"add it (sets there: {there})")
    images: list[str] = []
    sources: list[str] = []
    for entry in entries:
        place = _resolve(file, content, to_local_path(entry))
        found, read = _walk(place) if place.is_dir() else (_read_list(place), [str(place)])
        images += found
        sources += read
    seen: set[str] = set()
    for image in images:
        if image in seen:
            found_twice = f"{short_repr(image, 200)} is listed twice"
            raise DataError(f"{file}, {set_name!r}", found_twice, "each image once", "remove one of them")
        seen.add(image)
    return images, sources


def _resolve(file: Path, content: dict[str, Any], entry: str) -> Path:
    """Resolve an entry relative to `path` or to the file; Roboflow writes `../train/images` for `train/images`."""
    root = content.get("path") or "."
    if not isinstance(root, str):
        raise DataError(str(file), f"'path' is {short_repr(root)}", "a folder", "correct it")
    tried = [file.parent / root / entry, file.parent / entry, file.parent / entry.removeprefix("../")]
    for place in tried:
        try:
            if place.exists():
                return place
        except (OSError, ValueError):
            break
    where, fix = " or ".join(dict.fromkeys(str(place) for place in tried[:2])), "correct it or 'path'"
    fix = near_name_hint(tried[0]) + fix
    raise DataError(str(file), f"{short_repr(entry)} is not there", f"a folder or file at {where}", fix)


def _walk(folder: Path) -> tuple[list[str], list[str]]:
    """All images below a folder in the order of their paths, and all folders."""
    images: list[str] = []
    folders: list[str] = []
    for parent, _, names in os.walk(folder):
        folders.append(parent)
        images += [os.path.join(parent, name) for name in names if is_image(name) and not name.startswith(".")]
    return sorted(images), folders


def _read_list(file: Path) -> list[str]:
    """Images of a list, one per line, relative to the list unless absolute."""
    lines = read_text(file, "a list of images").splitlines()
    return [os.path.join(file.parent, to_local_path(line.strip()).removeprefix("./")) for line in lines if line.strip()]


def _label_file(image: str) -> str:
    """Replace the last folder `images` by `labels`, and the suffix by `.txt`."""
    parts = os.path.splitext(image)[0].split(os.sep)
    if "images" in parts[:-1]:
        parts[-2 - parts[-2::-1].index("images")] = "labels"
    return os.sep.join(parts) + ".txt"


def _image_ids(images: list[str], file: Path) -> list[int | str]:
    """Names without folders if unique, otherwise paths relative to the YAML file."""
    names = [os.path.basename(image) for image in images]
    return [*names] if len(set(names)) == len(names) else [os.path.relpath(image, file.parent) for image in images]


def _read_rows(texts: list[str], classes: dict[int, str], on_error: OnError) -> Iterator[BoxRow]:
    names: dict[str, set[str]] = {}
    has_text, all_texts = False, set(texts)
    for position, text in enumerate(texts):
        folder, name = os.path.split(text)
        if folder not in names:
            names[folder] = set(list_names(folder)) if os.path.isdir(folder) else set()
        if name not in names[folder]:
            collect_errors(on_error, functools.partial(_require_no_other_case, text, all_texts), None)
            continue
        has_text = True
        lines = numbered_lines(Path(text), _ROW)
        yield from parse_each(lines, functools.partial(_parse_line, position, classes), on_error)
    if texts and not has_text:
        fix = "put the text files into a folder 'labels' next to 'images', or next to the images"
        raise DataError(texts[0], "is not there, nor is that of any other image", "a text file of boxes", fix)


def _require_no_other_case(text: str, texts: set[str]) -> None:
    """A text file whose name differs only in case would be overlooked, and its boxes with it."""
    near = find_near_name(text)
    if near is not None and near not in texts:
        raise DataError(text, "is not there", "text files named as their images", f"rename {near!r}")


def _parse_line(image: int, classes: dict[int, str], numbered: tuple[str, list[str]]) -> BoxRow:
    where, fields = numbered
    if len(fields) != 5 and (len(fields) < 7 or len(fields) % 2 == 0):
        fix = "separate with blanks" if "," in fields[0] else "complete the line"
        fix = "remove the score at its end" if len(fields) == 6 else fix
        raise DataError(where, f"{len(fields)} numbers in {short_repr(' '.join(fields))}", _ROW, fix)
    given, *sides = (number(field, "a number", where, _ROW) for field in fields)
    if given not in classes:
        allowed = f"ids of 'names': {short_repr(', '.join(map(str, classes)), 200)}"
        fix = "add it to 'names' or correct the line; ids count from 0, not from 1"
        raise DataError(where, f"unknown class {short_repr(fields[0])}", allowed, fix)
    if not all(abs(side) <= _MAX_SHARE for side in sides):
        found = f"coordinates {short_repr(' '.join(fields[1:]), 100)}"
        raise DataError(where, found, _ROW, "divide x by the image's width and y by its height")
    if len(sides) == 4:
        x, y, width, height = sides
        box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    else:
        box = (min(sides[::2]), min(sides[1::2]), max(sides[::2]), max(sides[1::2]))
    return BoxRow(image, box, classes[int(given)], where)
