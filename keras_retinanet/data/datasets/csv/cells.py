"""Reads one line of a CSV file of boxes."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from keras_retinanet.data.datasets.csv.dialects import FORMAT, SIDES, Dialect
from keras_retinanet.data.datasets.shared.text_files import number
from keras_retinanet.data.datasets.via.regions import box_of_region, class_of_region
from keras_retinanet.data.errors import DataError, short_repr

_CELL = "[x, y, width, height], four numbers"
_LIST = "'x1 y1 x2 y2;x1 y1 x2 y2', or 'no_box'"
_NO_BOXES = ("", "no_box", "nan", "none", "[]")
_REGION = "the JSON of a VIA region"


class ImageBoxes(NamedTuple):
    """The boxes that one line holds.

    Attributes:
        path: The image as written.
        boxes: Four numbers each, as the dialect defines them.
        name: Their class; `""` if the line has none.
        ignore: Whether they are ignore regions.
        size: Height and width of the image as written.
        outlines: How many of the boxes enclose another shape.
        not_boxes: Number of points and lines that are left out.
    """

    path: str
    boxes: Sequence[Sequence[float]]
    name: str
    ignore: bool = False
    size: tuple[str, str] | None = None
    outlines: int = 0
    not_boxes: int = 0


def parse_line(cells: list[str], dialect: Dialect, where: str) -> ImageBoxes:
    """Read one line.

    Args:
        cells: Its columns, without blanks around them.
        dialect: What the columns mean.
        where: File and line, for messages.

    Returns:
        The boxes.

    Raises:
        DataError: The line is broken.
    """
    places = dialect.columns
    needed = max(places[column] for column in ("path", *SIDES, "class") if column in places)
    if len(cells) <= needed:
        fix = "separate with commas" if "|" in cells[0] else "complete the line"
        raise DataError(where, f"{len(cells)} columns in {short_repr(dialect.delimiter.join(cells))}", FORMAT, fix)
    path = cells[places["path"]]
    if not path:
        raise DataError(where, "names no image", FORMAT, "complete the line")
    found = _PARSERS.get(dialect.geometry, _parse_sides)(cells, path, dialect, where)
    if "ignore" in places and places["ignore"] < len(cells):
        found = found._replace(ignore=cells[places["ignore"]].lower() in ("1", "true", "1.0", "yes"))
    if "height" in places and max(places["height"], places["width"]) < len(cells):
        found = found._replace(size=(cells[places["height"]], cells[places["width"]]))
    return found


def _class_of(cells: list[str], dialect: Dialect) -> str:
    return cells[dialect.columns["class"]] if "class" in dialect.columns else dialect.class_name


def _parse_sides(cells: list[str], path: str, dialect: Dialect, where: str) -> ImageBoxes:
    sides, name = [cells[column] for column in dialect.sides], _class_of(cells, dialect)
    if not any(sides) and (not name or "class" not in dialect.columns):
        return ImageBoxes(path, [], "")
    if not name:
        raise DataError(where, "names no class", FORMAT, "complete the line")
    box = [number(text, side, where, FORMAT) for text, side in zip(sides, SIDES, strict=True)]
    return ImageBoxes(path, [box], name)


def _parse_cell(cells: list[str], path: str, dialect: Dialect, where: str) -> ImageBoxes:
    text = cells[dialect.columns["x1"]]
    if text.lower() in _NO_BOXES:
        return ImageBoxes(path, [], "")
    values = re.split(r"[\s,;]+", text.strip("[]() "))
    if len(values) != 4:
        raise DataError(where, f"a box is {short_repr(text)}", _CELL, "correct it")
    name = _class_of(cells, dialect)
    if not name:
        raise DataError(where, "names no class", FORMAT, "complete the line")
    return ImageBoxes(path, [[number(value, "a side", where, _CELL) for value in values]], name)


def _parse_list(cells: list[str], path: str, dialect: Dialect, where: str) -> ImageBoxes:
    text = cells[dialect.columns["x1"]]
    boxes = []
    for part in [] if text.lower() in _NO_BOXES else text.strip("; ").split(";"):
        values = part.split()
        if len(values) != 4:
            raise DataError(where, f"a box is {short_repr(part)}", _LIST, "correct it")
        boxes.append([number(value, "a side", where, _LIST) for value in values])
    return ImageBoxes(path, boxes, _class_of(cells, dialect))


def _parse_region(cells: list[str], path: str, dialect: Dialect, where: str) -> ImageBoxes:
    shape, attributes = (_load(cells[dialect.columns[column]], where) for column in ("x1", "class"))
    if not shape:
        return ImageBoxes(path, [], "")
    try:
        box = box_of_region(shape)
    except ValueError as error:
        raise DataError(where, f"a region is {short_repr(shape, 120)}: {error}", _REGION, "correct it") from None
    if box is None:
        return ImageBoxes(path, [], "", not_boxes=1)
    if not all(math.isfinite(side) for side in box):
        raise DataError(where, f"a region is {short_repr(shape, 120)}", "finite numbers", "correct it")
    return ImageBoxes(path, [box], class_of_region(attributes), outlines=int(shape["name"] != "rect"))


def _load(text: str, where: str) -> dict[str, Any]:
    try:
        content = json.loads(text or "{}")
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise DataError(where, f"a region is {short_repr(text, 120)}", _REGION, "export the file again")
    return content


_PARSERS = {"cell": _parse_cell, "list": _parse_list, "region": _parse_region}
