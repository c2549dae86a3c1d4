"""Recognises how a CSV file holds boxes: its separator, its columns, and what they mean."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from keras_retinanet.data.errors import DataError, short_repr
from keras_retinanet.data.image_files import SUFFIXES

Geometry = Literal["corners", "extent", "centre", "cell", "list", "region"]
"""What the columns of a box are: two corners; a corner and a size; a centre and a size; one cell `[x, y, w, h]`; one
cell with all boxes of the image, `x1 y1 x2 y2;…`; or a region of VIA."""

FORMAT = "'path,x1,y1,x2,y2,class', or 'path,,,,,' for an image without boxes"
OBJECT = "object"
"""Class name of boxes in a file without classes."""

SIDES = ("x1", "y1", "x2", "y2")

_PATHS = (
    "path", "image_path", "img_path", "image", "img_file", "image_file", "file", "filename", "file_name", "#filename",
    "image_name", "img_name", "img", "image_id", "img_id", "file_path", "image_file_path", "frame",
)  # fmt: skip
_CLASSES = (
    "class", "label", "class_name", "label_name", "name", "category", "category_name", "class_id", "category_id",
    "annotation_tag", "object", "type",
)  # fmt: skip
_CORNERS = {
    "x1": ("x1", "xmin", "x_min", "left", "bbox_x1", "bbox_xmin", "roi.x1", "upper_left_corner_x", "bbox_left"),
    "y1": ("y1", "ymin", "y_min", "top", "bbox_y1", "bbox_ymin", "roi.y1", "upper_left_corner_y", "bbox_top"),
    "x2": ("x2", "xmax", "x_max", "right", "bbox_x2", "bbox_xmax", "roi.x2", "lower_right_corner_x", "bbox_right"),
    "y2": ("y2", "ymax", "y_max", "bottom", "bbox_y2", "bbox_ymax", "roi.y2", "lower_right_corner_y", "bbox_bottom"),
}
_FROM_0 = {"x1": ("x0",), "y1": ("y0",), "x2": ("x1",), "y2": ("y1",)}
_EXTENT = {
    "x1": ("bbox_x", "x", "left", "x1", "xmin", "bbox_left"),
    "y1": ("bbox_y", "y", "top", "y1", "ymin", "bbox_top"),
    "x2": ("bbox_width", "bbox_w", "w", "box_width", "width"),
    "y2": ("bbox_height", "bbox_h", "h", "box_height", "height"),
}
_CENTRE = {
    "x1": ("x_center", "xcenter", "center_x", "x_centre", "centre_x", "cx", "xc"),
    "y1": ("y_center", "ycenter", "center_y", "y_centre", "centre_y", "cy", "yc"),
    "x2": _EXTENT["x2"],
    "y2": _EXTENT["y2"],
}
_COLUMNS: Sequence[tuple[Geometry, Mapping[str, tuple[str, ...]]]] = (
    ("region", {"x1": ("region_shape_attributes",), "class": ("region_attributes",)}),
    ("list", {"x1": ("boxesstring", "boxes_string")}),
    ("corners", _CORNERS),
    ("corners", _FROM_0),
    ("centre", _CENTRE),
    ("extent", _EXTENT),
    ("cell", {"x1": ("bbox", "box", "bounding_box")}),
)
"""Names of the columns of a box by what they mean, in the order in which they are tried."""
_SIZE = {"height": ("image_height", "img_height", "height"), "width": ("image_width", "img_width", "width")}
"""Names of columns that give the size of the image, if they are not those of the box."""
_IGNORED = ("is_group_of", "is_crowd", "ignore")
_OPEN_IMAGES = ("ImageID", "LabelName", "XMin", "XMax", "YMin", "YMax")
_TOOLS = {
    ("image", "xmin", "ymin", "xmax", "ymax", "label"): "VoTT",
    ("label_name", "bbox_x", "bbox_y", "bbox_width", "bbox_height", "image_name", "image_width", "image_height"): (
        "make-sense"
    ),
    ("filename", "width", "height", "class", "xmin", "ymin", "xmax", "ymax"): "TensorFlow Object Detection",
    ("image_id", "width", "height", "bbox", "source"): "Global Wheat (Kaggle)",
}
_NUMBER = re.compile(r"-?[0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?")
_PEEK = 1 << 16  # bytes at the beginning that show the dialect


class Dialect(NamedTuple):
    """How the lines of a file are read.

    Attributes:
        columns: Positions of `path`, of `SIDES` (only `x1` if a box is one cell) and, where the file has them, of
            `class`, `height`, `width` (of the image) and `ignore`.
        geometry: What the columns of a box are.
        tool: Tool or data set that writes such files, if they show it.
        has_header: Whether the first line names the columns.
        delimiter: Separator of the columns.
        is_relative: Whether coordinates are shares of the image's sides.
        class_name: Name of all boxes if there is no column `class`.
    """

    columns: Mapping[str, int]
    geometry: Geometry = "corners"
    tool: str = ""
    has_header: bool = True
    delimiter: str = ","
    is_relative: bool = False
    class_name: str = OBJECT

    @property
    def sides(self) -> list[int]:
        """Positions of the columns of a box."""
        return [self.columns[side] for side in SIDES if side in self.columns]


FIZYR = Dialect(dict(zip(("path", *SIDES, "class"), range(6), strict=True)), has_header=False)
"""Lines `path,x1,y1,x2,y2,class`; further columns are not used."""

SKU_110K = FIZYR._replace(tool="SKU-110K", columns={**FIZYR.columns, "width": 6, "height": 7})
"""Lines `path,x1,y1,x2,y2,class,width,height`."""

MAKE_SENSE = Dialect(
    {"class": 0, "x1": 1, "y1": 2, "x2": 3, "y2": 4, "path": 5, "width": 6, "height": 7},
    geometry="extent",
    tool="make-sense",
    has_header=False,
)
"""Lines `class,x,y,width,height,path,image width,image height`."""


def find_dialect(file: Path) -> Dialect | None:
    """Recognise a CSV file of boxes by its first lines.

    Args:
        file: Any file.

    Returns:
        The dialect, or `None` if this is not a file of boxes.
    """
    try:
        with file.open("rb") as opened:
            start = opened.read(_PEEK)
        text = start.decode("utf-8-sig", errors="strict" if len(start) < _PEEK else "ignore")
    except (OSError, ValueError):
        return None
    lines = [line for line in text.splitlines()[: -1 if len(start) == _PEEK else None] if line.strip()]
    if not lines:
        return None
    delimiter = find_delimiter(lines[0])
    try:
        rows = [[cell.strip() for cell in row] for row in csv.reader(lines[:20], delimiter=delimiter)]
    except csv.Error:
        return None
    dialect = read_header(rows[0], delimiter)
    return dialect if dialect is not None else _without_header(rows, delimiter)


def find_delimiter(line: str) -> str:
    """The separator of the columns: a comma, unless a line has more semicolons or tabs, and three of them."""
    return next((mark for mark in ";\t" if line.count(mark) >= max(3, line.count(",") + 1)), ",")


def read_header(fields: Sequence[str], delimiter: str = ",") -> Dialect | None:
    """Read a line that names the columns.

    Args:
        fields: Its columns.
        delimiter: Their separator. Defaults to a comma.

    Returns:
        The dialect, or `None` if the line does not name an image and a box.
    """
    plain = [_fold(field) for field in fields]
    path = _position(_PATHS, plain)
    if path is None:
        return None
    for geometry, names in _COLUMNS:
        places = {column: _position(known, plain) for column, known in names.items()}
        found = {column: place for column, place in places.items() if place is not None}
        if len(found) < len(names):
            continue
        label = _position(_CLASSES, plain)
        columns = {"path": path, **({} if label is None or geometry == "region" else {"class": label}), **found}
        sizes = {name: place for name, known in _SIZE.items() if (place := _position(known, plain)) is not None}
        if len(sizes) == 2 and not {*sizes.values()} & {*found.values()}:
            columns |= sizes
        if (ignored := _position(_IGNORED, plain)) is not None:
            columns["ignore"] = ignored
        return Dialect(
            columns,
            geometry,
            _tool(fields, geometry),
            delimiter=delimiter,
            is_relative=all(name in fields for name in _OPEN_IMAGES),
            class_name="wheat_head" if geometry == "list" or _tool(fields, geometry).startswith("Global") else OBJECT,
        )
    return None


def require_no_header(fields: Sequence[str], where: str) -> None:
    """Refuse an unknown header: a first line with words instead of numbers.

    Raises:
        DataError: The line seems to name columns.
    """
    is_word = [field[:1].isalpha() and field.lower() not in ("nan", "inf") for field in fields[1:5]]
    if len(fields) >= 6 and len(is_word) == 4 and all(is_word):
        wanted = {"path": _PATHS, **_CORNERS, "class": _CLASSES}
        known = "; ".join(f"{column}: {', '.join(names[:3])}" for column, names in wanted.items())
        found = f"is a header with unknown columns: {short_repr(','.join(fields), 120)}"
        raise DataError(where, found, f"names such as {known}", "rename the columns, or remove the line")


def choose_without_header(row: Sequence[str], delimiter: str) -> Dialect:
    """The order of the columns in a file without header, by one of its lines."""
    if len(row) == 8 and all(re.fullmatch("[1-9][0-9]{0,5}", cell) for cell in row[6:8]):
        if _is_image(row[5]) and not _is_image(row[0]):
            return MAKE_SENSE._replace(delimiter=delimiter)
        return SKU_110K._replace(delimiter=delimiter)
    return FIZYR._replace(delimiter=delimiter)


def _without_header(rows: list[list[str]], delimiter: str) -> Dialect | None:
    dialect = choose_without_header(rows[0], delimiter)
    for row in rows:
        if len(row) <= max(dialect.columns.values()) or not _is_image(row[dialect.columns["path"]]):
            return None
        sides = [row[column] for column in dialect.sides]
        if any(sides) and not all(_NUMBER.fullmatch(side) for side in sides):
            return None
    return dialect


def _is_image(name: str) -> bool:
    return name.lower().endswith((*SUFFIXES, ".tif", ".tiff", ".jfif", ".ppm"))


def _tool(fields: Sequence[str], geometry: Geometry) -> str:
    if geometry == "region":
        return "VIA"
    if geometry == "list":
        return "Global Wheat"
    return _TOOLS.get(tuple(fields), "Open Images" if all(name in fields for name in _OPEN_IMAGES) else "")


def _position(names: Sequence[str], plain: list[str]) -> int | None:
    return next((plain.index(name) for name in map(_fold, names) if name in plain), None)


def _fold(name: str) -> str:
    """Fold a name: `x_min`, `X Min` and `xMin` are the same."""
    return re.sub("[-_ .]", "", name.lower())
