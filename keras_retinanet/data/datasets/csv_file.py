"""CSV: one line per box, as fizyr's keras-retinanet reads it, or with a header line."""

from __future__ import annotations

import io
import itertools
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from keras_retinanet.data.datasets.annotations import Annotations, BoxRow
from keras_retinanet.data.datasets.frames import FrameRule
from keras_retinanet.data.datasets.reader import Reader
from keras_retinanet.data.datasets.text_files import csv_records, number, read_text, to_local_path
from keras_retinanet.data.error_collector import OnError, parse_each
from keras_retinanet.data.errors import DataError, short_repr

_COLUMNS = {
    "path": (
        "path", "image_path", "img_path", "image", "img_file", "image_file", "file", "filename", "file_name",
        "image_name", "img_name", "img", "image_id",
    ),
    "x1": ("x1", "xmin", "x_min", "left", "bbox_x1", "bbox_xmin"),
    "y1": ("y1", "ymin", "y_min", "top", "bbox_y1", "bbox_ymin"),
    "x2": ("x2", "xmax", "x_max", "right", "bbox_x2", "bbox_xmax"),
    "y2": ("y2", "ymax", "y_max", "bottom", "bbox_y2", "bbox_ymax"),
    "class": ("class", "label", "class_name", "label_name", "name", "category", "category_name", "class_id"),
}  # fmt: skip
_EXTENT = {
    "x1": ("bbox_x", "x", "left", "x1", "xmin"),
    "y1": ("bbox_y", "y", "top", "y1", "ymin"),
    "x2": ("bbox_width", "bbox_w", "w", "box_width", "width"),
    "y2": ("bbox_height", "bbox_h", "h", "box_height", "height"),
}
"""Names of columns that give a corner, width and height instead of two corners."""
_SIZE = {
    "height": ("image_height", "img_height", "height"),
    "width": ("image_width", "img_width", "width"),
}
"""Names of columns that give the size of the image, if they are not those of the box."""
_SIDE = re.compile("[1-9][0-9]{0,8}")
_FORMAT = "'path,x1,y1,x2,y2,class', or 'path,,,,,' for an image without boxes"

_Box = tuple[float, float, float, float]
_Line = tuple[str, _Box | None, str, str]
"""Image path, box, class name, and file and line."""


class CsvDataset(Reader):
    """Boxes as lines `path,x1,y1,x2,y2,class`; an image without boxes is a line `path,,,,,`.

    Coordinates are pixel edges counted from 0, whole or not. Paths are relative to the file. Without a header line the
    six columns are in this order and further ones are ignored; with one (`image_path,xmin,ymin,xmax,ymax,label` and
    other usual names) they are in any order, and `x,y,w,h` or `bbox_x,bbox_y,bbox_width,bbox_height` may give a
    corner and a size.

    Args:
        annotations: The file.
        classes: File of lines `name,id`; labels are the positions sorted by ID. Defaults to `None`: the sorted names
            that occur.
        class_names: Names in the order of the labels wanted; replaces `classes`.
        on_error: What to do with boxes outside their image or without area; see `OnError`. Defaults to `"skip"`.
        frame: Which pictures the boxes refer to. Defaults to what the data show.
    """

    word = "csv"
    summary = "lines of image,x1,y1,x2,y2,class; CLASSES has lines of class,index"
    arguments = ("annotations",)
    optional_arguments = ("classes",)
    has_sets = False
    file_signs = ("*.csv",)

    def __init__(
        self,
        annotations: str | os.PathLike[str],
        classes: str | os.PathLike[str] | None = None,
        *,
        class_names: Sequence[str] | None = None,
        on_error: OnError = "skip",
        frame: FrameRule | None = None,
    ) -> None:
        super().__init__(annotations, class_names=class_names, on_error=on_error, frame=frame, classes=classes)

    def read(self, *, classes: str | os.PathLike[str] | None = None) -> Annotations:
        """Read the file of boxes and, if needed, the file of classes."""
        file = self.path
        annotated_sizes: dict[str, tuple[int, int]] = {}
        lines = list(_read_lines(file, self.on_error, annotated_sizes))
        names = None if self.wanted_classes is not None or classes is None else _read_classes(Path(classes))
        is_sorted = self.wanted_classes is None and classes is None
        image_of = {path: os.path.normpath(to_local_path(path)) for path in dict.fromkeys(line[0] for line in lines)}
        first: dict[str, str] = {}  # the first spelling of each image: ./a.jpg and a.jpg are the same
        for path, image in image_of.items():
            first.setdefault(image, path)
        paths = list(first.values())
        position = {image: number for number, image in enumerate(first)}
        note = f"{file}: no file of classes; labels follow the sorted class names of the boxes"
        return Annotations(
            listed_in=str(file),
            class_names=names,
            images=[os.path.join(file.parent, to_local_path(path)) for path in paths],
            image_ids=[*paths],
            annotated_sizes=[annotated_sizes.get(path) for path in paths],
            boxes=[
                BoxRow(position[image_of[path]], box, name, where)
                for path, box, name, where in lines
                if box is not None
            ],
            sources=[str(file), *([str(classes)] if classes is not None else [])],
            notes=[note] if is_sorted else [],
        )


def _lines(file: Path) -> Iterator[tuple[str, list[str]]]:
    """Non-empty lines with file and line number, split at the commas."""
    for line, fields in csv_records(io.StringIO(read_text(file, "a CSV file")), file, skipinitialspace=True):
        if any(field.strip() for field in fields):
            yield f"{file}, line {line}", [field.strip() for field in fields]


def _read_lines(file: Path, on_error: OnError, annotated_sizes: dict[str, tuple[int, int]]) -> Iterator[_Line]:
    """The lines; sizes of images, if columns give them, go into `annotated_sizes`."""
    lines = _lines(file)
    where, first = next(lines, ("", []))
    order, has_extent = _header(first, _COLUMNS), False
    if order is None and (order := _header(first, _COLUMNS | _EXTENT)) is not None:
        has_extent = True
    if order is None:
        order = list(range(6))
        if first:
            _require_no_header(first, where)
            lines = itertools.chain([(where, first)], lines)
    sizes = _header(first, _SIZE) if not has_extent else None

    def parse(numbered: tuple[str, list[str]]) -> _Line:
        where, fields = numbered
        path, box, name, _ = _parse_line(fields, order, where)
        given = [] if sizes is None else [fields[column] for column in sizes if column < len(fields)]
        if len(given) == 2 and all(_SIDE.fullmatch(side) for side in given):
            annotated_sizes[path] = int(given[0]), int(given[1])
        return path, box if not has_extent or box is None else _corners(box), name, where

    yield from parse_each(lines, parse, on_error)


def _header(fields: list[str], columns: Mapping[str, tuple[str, ...]]) -> list[int] | None:
    """Positions of the six columns, if this line names all of them."""
    plain = [_fold(field) for field in fields]
    known = ([_fold(name) for name in names] for names in columns.values())
    order = [next((plain.index(name) for name in names if name in plain), -1) for names in known]
    return None if -1 in order else order


def _fold(name: str) -> str:
    """Fold a name: `x_min`, `X Min` and `xMin` are the same."""
    return name.lower().replace("_", "").replace(" ", "").replace("-", "")


def _corners(box: _Box) -> _Box:
    return box[0], box[1], box[0] + box[2], box[1] + box[3]


def _require_no_header(fields: list[str], where: str) -> None:
    """Refuse an unknown header: a first line with words instead of numbers."""
    if len(fields) >= 6 and all(field[:1].isalpha() and field.lower() not in ("nan", "inf") for field in fields[1:5]):
        known = "; ".join(f"{column}: {', '.join(names[:3])}" for column, names in _COLUMNS.items())
        found = f"is a header with unknown columns: {short_repr(','.join(fields), 120)}"
        raise DataError(where, found, f"names such as {known}", "rename the columns, or remove the line")


def _parse_line(fields: list[str], order: list[int], where: str) -> _Line:
    if len(fields) <= max(order):
        fix = "separate with commas" if any(mark in fields[0] for mark in ";\t") else "complete the line"
        raise DataError(where, f"{len(fields)} columns in {short_repr(','.join(fields))}", _FORMAT, fix)
    path, *sides, name = (fields[column] for column in order)
    if not path:
        raise DataError(where, "names no image", _FORMAT, "complete the line")
    if not name and not any(sides):
        return path, None, "", where
    if not name:
        raise DataError(where, "names no class", _FORMAT, "complete the line")
    box = [number(text, side, where, _FORMAT) for text, side in zip(sides, ("x1", "y1", "x2", "y2"), strict=True)]
    return path, (box[0], box[1], box[2], box[3]), name, where


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
