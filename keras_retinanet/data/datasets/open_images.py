"""Open Images: the CSV files of versions 4 to 7 and of the challenges.

Reference: https://storage.googleapis.com/openimages/web/download_v7.html, "Data formats".
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import numpy as np

from keras_retinanet.data.box_columns import BoxColumns
from keras_retinanet.data.datasets.annotations import Annotations
from keras_retinanet.data.datasets.class_names import label_of
from keras_retinanet.data.datasets.label_hierarchy import labels_below, read_hierarchy
from keras_retinanet.data.datasets.reader import Reader
from keras_retinanet.data.datasets.text_files import csv_records, images_by_stem, number
from keras_retinanet.data.error_collector import OnError, report_or_raise
from keras_retinanet.data.errors import DataError, short_repr

_BOXES, _NAMES = "a CSV file of boxes", "a CSV file of lines 'label,name'"
_CLASS_FILES = ("*class-descriptions*.csv", "*classes-description*.csv", "classes.csv")
_TREES = ("*hierarchy*.json",)
_FIFTYONE_BOXES = "detections.csv"
_FIELDS = ("ImageID", "LabelName", "XMin", "YMin", "XMax", "YMax", "IsGroupOf")
_BESIDE = (".", "annotations", "labels", "metadata", "csv")
"""Folders that may hold the files, besides `<set>` and those of former releases (`2018_04`, `challenge2018`)."""


class _Boxes(NamedTuple):
    """Columns of the boxes whose class is wanted, and the images in the order of the file."""

    images: dict[str, int]
    image: array[int]
    label: array[int]
    sides: array[float]
    group: array[int]
    line: array[int]


class _Wanted(NamedTuple):
    """What decides whether a line is used.

    Attributes:
        columns: Positions of `_FIELDS`.
        width: Number of columns.
        names: Names of the described classes by id.
        chosen: Labels of the wanted ones by id.
        is_filtered: Whether boxes of other classes are skipped; otherwise they are errors.
        there: Images that exist.
        absent: Collects the names of those that do not.
    """

    columns: list[int]
    width: int
    names: dict[str, str]
    chosen: dict[str, int]
    is_filtered: bool
    there: dict[str, str]
    absent: set[str]


class OpenImagesDataset(Reader):
    """Open Images with boxes, as downloaded, in whole or in part.

    Reads `<set>-annotations-bbox.csv` (`oidv6-train-annotations-bbox.csv` and the like), the class descriptions
    (`class-descriptions-boxable.csv`, `oidv7-class-descriptions-boxable.csv`) and images `<id>.jpg` in `<set>/`,
    `images/<set>/` or `<set>/data/`; the names that the challenges and FiftyOne give these files, too. The CSV files
    may be in the folder itself, in `<set>/`, `annotations/` and so on. The data set is the images that exist: few
    people have all 1.7 million of the list. Boxes of groups (`IsGroupOf`) become ignore regions. Class names default to
    the described classes, in their order.

    Args:
        labels_filter: Only these classes (names or IDs such as `/m/01g317`), in this order, and only images that show
            one. Defaults to `None`: all.
        parent_label: Only this class and those below it in the hierarchy file. Defaults to `None`: all.
    """

    word = "oid"
    summary = "Open Images v4 to v7: <set>-annotations-bbox.csv, class descriptions, <set>/*.jpg"
    signs = (("*annotations-bbox.csv", 3), ("*/*annotations-bbox.csv", 3))
    usual_validation = "validation"

    def read(self, *, labels_filter: Sequence[str] | None = None, parent_label: str | None = None) -> Annotations:
        """Read the boxes of the images that exist."""
        folder, set_name = self.path, self.set_name
        file = _find(folder, set_name, _box_files(set_name), _BOXES)
        described = _find(folder, set_name, _CLASS_FILES, _NAMES)
        names = _read_descriptions(described)
        tree = _find(folder, set_name, _TREES, "the classes' hierarchy as JSON") if parent_label else None
        chosen = _chosen(names, labels_filter, parent_label, described, tree)
        if self.wanted_classes is not None:
            ids = {name: key for key, name in names.items()}
            chosen = {ids.get(name, name): label for label, name in enumerate(self.wanted_classes)}
        home = _image_folder(folder, set_name)
        there = images_by_stem(home)
        is_filtered = labels_filter is not None or parent_label is not None
        boxes, num_absent = _read_boxes(file, chosen, names, there, self.on_error, is_filtered=is_filtered)
        if num_absent and not boxes.images:
            fix = "check whether they belong to another set, and are named <ImageID>.jpg in the same letters"
            raise DataError(str(file), f"lists {num_absent} images, none of them in {home}", "images of the list", fix)
        return Annotations(
            listed_in=str(file),
            class_names=self.wanted_classes or tuple(names[key] for key in chosen),
            images=[os.path.join(home, there[name]) for name in boxes.images],
            image_ids=list(boxes.images),
            boxes=_columns(boxes, file),
            sources=[str(place) for place in (file, described, home, tree) if place is not None],
            notes=[f"{file}: {num_absent} images of the list are not in {home}"] if num_absent else [],
        )

    def names_by_id(self) -> dict[str, str]:
        """Names of the described classes by ID such as `/m/01g317`."""
        return _read_descriptions(_find(self.path, self.set_name, _CLASS_FILES, _NAMES))

    @classmethod
    def default_sets(cls, path: str | os.PathLike[str]) -> tuple[str, str | None]:
        """Names of the training set and, if there is one, of the validation set."""
        has_val = _search(Path(path), "validation", _box_files("validation"))
        return "train", "validation" if has_val else None


def _box_files(set_name: str) -> tuple[str, ...]:
    return f"*{set_name}-annotations-bbox.csv", f"*{set_name}-detection-bbox.csv", _FIFTYONE_BOXES


def _search(folder: Path, set_name: str, patterns: Sequence[str]) -> Path | None:
    own = [folder / set_name, folder / set_name / "labels", folder / set_name / "metadata"]
    homes = [*(folder / name for name in _BESIDE), *own, *sorted(folder.glob("20??_*"))]
    homes += sorted(folder.glob("challenge*"))
    found = (file for pattern in patterns for home in homes for file in sorted(home.glob(pattern)))
    # FiftyOne's file name does not contain the set: such a file is used only in the folder of its set.
    return next((file for file in found if file.name != _FIFTYONE_BOXES or file.parent in own), None)


def _find(folder: Path, set_name: str, patterns: Sequence[str], kind: str) -> Path:
    file = _search(folder, set_name, patterns)
    if file is None:
        fix = "download it into this folder, or check the path and the set's name"
        raise DataError(str(folder), f"has no {patterns[0]}", kind, fix)
    return file


def _image_folder(folder: Path, set_name: str) -> Path:
    homes = [folder / set_name / "data", folder / "images" / set_name, folder / set_name, folder / "images"]
    home = next((home for home in homes if home.is_dir() and images_by_stem(home)), None)
    if home is None:
        allowed = f"images in {set_name}/, {set_name}/data/ or images/{set_name}/"
        raise DataError(str(folder), f"has no images of {set_name!r}", allowed, "download them, or check the path")
    return home


def _lines(file: Path, kind: str) -> Iterator[tuple[int, list[str]]]:
    """Lines with their number, split at the commas; one at a time, since there may be 15 million."""
    try:
        with closing(file.open(encoding="utf-8-sig", newline="")) as text:
            yield from csv_records(text, file)
    except OSError as error:
        raise DataError(str(file), f"cannot be read ({error.strerror})", kind, "check the path") from None
    except UnicodeDecodeError as error:
        raise DataError(str(file), f"is not UTF-8 text with commas ({error})", kind, "download it again") from None


def _read_descriptions(file: Path) -> dict[str, str]:
    """Names by ID, in the order of the file."""
    names: dict[str, str] = {}
    for line, fields in _lines(file, _NAMES):
        where = f"{file}, line {line}"
        if len(fields) != 2 or not all(fields):
            raise DataError(where, f"is {short_repr(','.join(fields))}", "'label,name'", "correct the line")
        key, name = fields
        if not names and key.lower() == "labelname":
            continue  # a header line
        if key in names or name in names.values():
            raise DataError(
                where, f"{short_repr(','.join(fields))} repeats a label or a name", "each once", "take one out"
            )
        names[key] = name
    if not names:
        raise DataError(str(file), "describes no class", "'label,name'", "download it again")
    return names


def _chosen(
    names: dict[str, str],
    labels_filter: Sequence[str] | None,
    parent_label: str | None,
    described: Path,
    tree: Path | None,
) -> dict[str, int]:
    """Labels by ID of the classes that are wanted."""
    ids = {name: key for key, name in names.items()} | {key: key for key in names}

    def id_of(name: str, flag: str) -> str:
        if name not in ids:
            raise DataError(
                str(described), f"{flag} names {short_repr(name)}", "names or ids of this file", "correct it"
            )
        return ids[name]

    keys: Iterable[str] = names
    if labels_filter is not None:
        keys = dict.fromkeys(id_of(name, "the filter of labels") for name in labels_filter)
    elif parent_label is not None and tree is not None:
        below = labels_below(read_hierarchy(tree), id_of(parent_label, "the parent label"))
        if not below:
            raise DataError(
                str(tree), f"{short_repr(parent_label)} is not in the hierarchy", "a class in it", "correct it"
            )
        keys = [key for key in names if key in below]
    return {key: label for label, key in enumerate(keys)}


def _read_boxes(
    file: Path,
    chosen: dict[str, int],
    names: dict[str, str],
    there: dict[str, str],
    on_error: OnError,
    *,
    is_filtered: bool,
) -> tuple[_Boxes, int]:
    """The boxes of the images that exist, and the number of missing images."""
    lines = _lines(file, _BOXES)
    header = next(lines, (0, []))[1]
    if missing := [name for name in _FIELDS if name not in header]:
        raise DataError(f"{file}, line 1", f"has no column {missing[0]}", ", ".join(_FIELDS), "download it again")
    columns = [header.index(name) for name in _FIELDS]
    wanted = _Wanted(columns, len(header), names, chosen, is_filtered, there, set())
    boxes = _Boxes({}, array("q"), array("q"), array("d"), array("b"), array("q"))
    for line, fields in lines:
        try:
            found = _box(fields, wanted, f"{file}, line {line}")
        except DataError as error:
            report_or_raise(on_error, error)
            continue
        if found is not None:
            image, label, sides, group = found
            boxes.image.append(boxes.images.setdefault(image, len(boxes.images)))
            boxes.label.append(label)
            boxes.sides.extend(sides)
            boxes.group.append(group)
            boxes.line.append(line)
    return boxes, len(wanted.absent)


def _box(fields: list[str], wanted: _Wanted, where: str) -> tuple[str, int, list[float], int] | None:
    """Image, label, sides and whether it is a group; `None` if the box is not wanted."""
    if len(fields) < wanted.width:
        found = f"{len(fields)} columns in {short_repr(','.join(fields))}"
        raise DataError(where, found, f"{wanted.width} as in line 1", "complete the line")
    image, key, *sides, group = (fields[column] for column in wanted.columns)
    if key not in wanted.names:
        raise DataError(where, f"unknown class {short_repr(key)}", "the described classes", "add its description")
    if image not in wanted.there:
        wanted.absent.add(image)
        return None
    if key not in wanted.chosen:
        if wanted.is_filtered:
            return None
        labels = {wanted.names[key]: label for key, label in wanted.chosen.items() if key in wanted.names}
        label_of(wanted.names[key], labels, where)
    named = zip(sides, _FIELDS[2:-1], strict=True)
    box = [number(text, name, where, "a share of the image's side") for text, name in named]
    return image, wanted.chosen[key], box, _is_group(group, where)


def _is_group(text: str, where: str) -> int:
    if text not in ("0", "1", "-1"):  # -1: unknown
        raise DataError(where, f"IsGroupOf is {short_repr(text)}", "0, 1 or -1", "correct it")
    return int(text == "1")


def _columns(boxes: _Boxes, file: Path) -> BoxColumns:
    return BoxColumns(
        image=np.array(boxes.image, np.int64),
        boxes=np.array(boxes.sides, np.float64).reshape(-1, 4),
        labels=np.array(boxes.label, np.int64),
        ignore=np.array(boxes.group, bool),
        name=lambda row: f"{file}, line {boxes.line[row]}",
        is_relative=True,
    )
