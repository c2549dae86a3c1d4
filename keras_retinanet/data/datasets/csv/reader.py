"""CSV: one line per box, in the dialects of fizyr's keras-retinanet, of annotation tools and of published data sets."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_retinanet.data.box_columns import BoxColumns, select_rows
from keras_retinanet.data.datasets.csv.dialects import OBJECT, Dialect, find_dialect
from keras_retinanet.data.datasets.csv.layouts import (
    choose_file,
    choose_files,
    find_class_file,
    find_csv_sets,
    split_of,
)
from keras_retinanet.data.datasets.csv.rows import BoxTable, read_table
from keras_retinanet.data.datasets.shared.annotations import Annotations, relabel
from keras_retinanet.data.datasets.shared.class_names import sort_names
from keras_retinanet.data.datasets.shared.frames import FrameRule
from keras_retinanet.data.datasets.shared.image_places import ImagePlaces, usual_folders
from keras_retinanet.data.datasets.shared.reader import Layout, Reader
from keras_retinanet.data.datasets.shared.split_names import split_in
from keras_retinanet.data.datasets.shared.text_files import csv_records, describe_files, read_text, to_local_path
from keras_retinanet.data.error_collector import OnError
from keras_retinanet.data.errors import DataError, short_repr

_SIDE = re.compile("[1-9][0-9]{0,8}(?:[.]0*)?")
_TESTS = ("test", "testing")
_BACKGROUND = ("-1", "background", "__background__")
_NO_OBJECT = (*_BACKGROUND, "no_box", "nobox", "no_object", "empty", "none", "null", "nan", "negative")
"""Class names that mark an image without objects, if their box has no area."""


class CsvDataset(Reader):
    """Boxes as lines `path,x1,y1,x2,y2,class`; an image without boxes is a line `path,,,,,`.

    Coordinates are pixel edges counted from 0, whole or not. Paths are relative to the file, or to `image_dir`; paths
    of another machine are looked up by their last parts. Without a header line the six columns are in this order and
    further ones are not used (SKU-110K's give the size of the image); with one (`image_path,xmin,ymin,xmax,ymax,label`
    and other usual names) they are in any order, and may give a corner and a size (`x,y,w,h`), or a centre and a size.
    Also read are make-sense.ai, VoTT, VIA (https://www.robots.ox.ac.uk/~vgg/software/via, `region_shape_attributes`),
    Global Wheat (`BoxesString`, and Kaggle's `bbox`), Roboflow, TensorFlow Object Detection and the columns of Open
    Images, which are shares. Lines of the class -1, `background`, `no_box` or `empty` mark images without objects.

    Args:
        annotations: The file; or a folder, whose training set is read.
        classes: File of lines `name,id`; labels are the positions sorted by ID. Defaults to `None`: the sorted names
            that occur.
        class_names: Names in the order of the labels wanted; replaces `classes`.
        on_error: What to do with boxes outside their image or without area; see `OnError`. Defaults to `"skip"`.
        image_dir: Folder of the images. Defaults to `None`: that of the file, or the usual folders next to it.
        frame: Which pictures the boxes refer to. Defaults to what the data show.
    """

    word = "csv"
    summary = "lines of image,x1,y1,x2,y2,class, or with a header; CLASSES has lines of class,index"
    arguments = ("annotations",)
    optional_arguments = ("classes",)
    has_sets = False

    def __init__(
        self,
        annotations: str | os.PathLike[str],
        classes: str | os.PathLike[str] | None = None,
        *,
        class_names: Sequence[str] | None = None,
        on_error: OnError = "skip",
        image_dir: str | None = None,
        frame: FrameRule | None = None,
    ) -> None:
        own: dict[str, Any] = {"classes": classes, "image_dir": image_dir}
        super().__init__(annotations, class_names=class_names, on_error=on_error, frame=frame, **own)

    def read(self, *, classes: str | os.PathLike[str] | None = None, image_dir: str | None = None) -> Annotations:
        """Read the file of boxes and, if needed, the file of classes."""
        file = choose_file(self.path)
        table, dialect = read_table(file, self.on_error, self.tolerance)
        listed = None if self.wanted_classes is not None or classes is None else _read_classes(Path(classes))
        own = tuple(table.names)
        columns, notes = _drop_marks(_columns(table, dialect, file), own, listed or self.wanted_classes or (), file)
        columns, own, found = _name_unlabelled(columns, own, file)
        notes += found
        names = listed or sort_names(own[label] for label in np.unique(columns.labels).tolist())
        columns = relabel(columns, own, names, self.on_error)
        if listed is None and self.wanted_classes is None:
            notes.append(f"{file}: no file of classes; labels follow the sorted class names of the boxes")
        first = _unite_spellings(columns, list(table.images))
        places = ImagePlaces([image_dir] if image_dir else usual_folders(file, split_of(file)), file)
        paths = places.locate(first)
        notes += [*_shape_notes(table, file), *places.notes, *_describe_other_files(file)]
        return Annotations(
            listed_in=str(file),
            class_names=names,
            images=paths,
            image_ids=[*first],
            annotated_sizes=[_size(table.sizes.get(path)) for path in first],
            boxes=columns,
            sources=[str(file), *([str(classes)] if classes is not None else [])],
            notes=notes,
            are_classes_listed=listed is not None,
            image_folders=places.folders,
            missing_fix=places.ambiguity,
        )

    @classmethod
    def find_layout(cls, path: str | os.PathLike[str]) -> Layout | None:
        """Recognise a CSV file of boxes by its first lines, and a folder by such files."""
        place, val = Path(path), None
        if place.is_dir():
            chosen = choose_files(place)
            if chosen is None:
                return None
            train, dialect, val = chosen
            certainty, evidence = 2, str(train.relative_to(place))
        else:
            found = find_dialect(place) if place.suffix.lower() in (".csv", ".txt", ".tsv") else None
            if found is None:
                return None
            train, dialect, certainty, evidence = place, found, 3, place.name
        tool = "Roboflow" if train.name.startswith("_annotations") else dialect.tool
        classes = find_class_file(place if place.is_dir() else place.parent, train)
        files = {"annotations": train, "val_annotations": val, "classes": classes}
        settings = {name: str(file) for name, file in files.items() if file is not None}
        return Layout(cls.word, place, evidence, 1 if dialect.is_relative else certainty, tool, settings)


def _columns(table: BoxTable, dialect: Dialect, file: Path) -> BoxColumns:
    boxes, lines = table.boxes(), table.line
    with np.errstate(all="ignore"):  # what overflows is infinite, and is reported as such
        if dialect.geometry == "centre":
            boxes[:, :2] -= boxes[:, 2:] / 2
        if dialect.geometry in ("extent", "cell", "centre"):
            boxes[:, 2:] += boxes[:, :2]
    is_share = dialect.geometry == "centre" and len(boxes) > 0 and bool((np.abs(boxes) <= 1.001).all())
    return BoxColumns(
        image=np.array(table.image, np.int64),
        boxes=boxes,
        labels=np.array(table.label, np.int64),
        ignore=np.array(table.ignore, bool),
        name=lambda row: f"{file}, line {lines[row]}",
        is_relative=dialect.is_relative or is_share,
    )


def _drop_marks(
    columns: BoxColumns, own: Sequence[str], listed: Sequence[str], file: Path
) -> tuple[BoxColumns, list[str]]:
    """Leave out rows that mark an image without objects, and boxes of the background."""
    folded = {label: name.casefold() for label, name in enumerate(own) if name not in listed}
    marks = [label for label, name in folded.items() if name in _NO_OBJECT]
    if not marks:
        return columns, []
    boxes = columns.boxes
    has_area = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    is_background = np.isin(columns.labels, [label for label in marks if folded[label] in _BACKGROUND])
    is_dropped = np.isin(columns.labels, marks) & (~has_area | is_background)
    names = ", ".join(sorted({own[label] for label in columns.labels[is_dropped].tolist()}))
    notes = []
    if num_marks := int((is_dropped & ~has_area).sum()):
        notes.append(f"{file}: {num_marks} lines of the class {names} mark images without objects")
    if num_boxes := int((is_dropped & has_area).sum()):
        notes.append(f"{file}: {num_boxes} boxes of the class {names} are left out: background is not a class")
    return (select_rows(columns, ~is_dropped) if is_dropped.any() else columns), notes


def _name_unlabelled(
    columns: BoxColumns, own: tuple[str, ...], file: Path
) -> tuple[BoxColumns, tuple[str, ...], list[str]]:
    """Regions without a class: one class if none has one, otherwise left out."""
    if "" not in own:
        return columns, own, []
    is_unnamed = columns.labels == own.index("")
    if is_unnamed.all():
        note = f"{file}: no region has a class: all are {OBJECT!r}"
        return columns, tuple(name or OBJECT for name in own), [note] if len(is_unnamed) else []
    note = f"{file}: {int(is_unnamed.sum())} regions without a class are left out"
    return select_rows(columns, ~is_unnamed), own, [note] if is_unnamed.any() else []


def _unite_spellings(columns: BoxColumns, paths: Sequence[str]) -> list[str]:
    """The first spelling of each image (`./a.jpg` and `a.jpg` are the same), to which the boxes then refer."""
    first: dict[str, tuple[str, int]] = {}
    united = [first.setdefault(os.path.normpath(to_local_path(path)), (path, len(first)))[1] for path in paths]
    columns.image = np.array(united, np.int64)[columns.image]
    return [path for path, _ in first.values()]


def _describe_other_files(file: Path) -> list[str]:
    """A note about the files of a test set next to a file, as of TensorFlow's Object Detection API."""
    there = find_csv_sets(file.parent) if split_in(file.stem) else {}
    tests = [other.name for name, (other, _) in there.items() if split_in(name) in _TESTS and other != file]
    what = "are not read: --val-annotations FILE evaluates on one"
    return describe_files(file.parent, tests, f"files of a test set {what}")


def _size(written: tuple[str, str] | None) -> tuple[int, int] | None:
    if written is None or not all(_SIDE.fullmatch(side.strip()) for side in written):
        return None
    return int(float(written[0])), int(float(written[1]))


def _shape_notes(table: BoxTable, file: Path) -> list[str]:
    notes = []
    if table.outlines:
        notes.append(f"{file}: {table.outlines} circles, ellipses or polygons: their enclosing boxes are used")
    if table.not_boxes:
        notes.append(f"{file}: {table.not_boxes} points or lines are left out")
    return notes


def _lines(file: Path) -> Any:
    """Non-empty lines with file and line number, split at the commas."""
    text = read_text(file, "a CSV file").splitlines(keepends=True)
    for line, fields in csv_records(text, file, skipinitialspace=True):
        if any(field.strip() for field in fields):
            yield f"{file}, line {line}", [field.strip() for field in fields]


def _read_classes(file: Path) -> tuple[str, ...]:
    ids: dict[str, int] = {}
    allowed = "'name,id', each name and each id once"
    for where, fields in _lines(file):
        if len(fields) != 2 or not fields[0]:
            raise DataError(where, f"is {short_repr(','.join(fields))}", allowed, "correct the line")
        name, given = fields
        if not (given.isascii() and given.isdigit() and len(given) < 19):
            if not ids and given.lower() in ("id", "class_id", "label"):
                continue  # a header line
            raise DataError(where, f"id {short_repr(given)}", "a whole number from 0", "correct the line")
        if name in ids or int(given) in ids.values():
            raise DataError(
                where, f"{short_repr(','.join(fields))} repeats a name or an id", allowed, "correct the line"
            )
        ids[name] = int(given)
    if not ids:
        raise DataError(str(file), "names no class", allowed, "add the classes")
    return tuple(sorted(ids, key=lambda name: ids[name]))
