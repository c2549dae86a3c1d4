"""Reads the lines of a CSV file of boxes: many at once, and one by one where a value is unusual."""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from keras_retinanet.data.datasets.csv.cells import ImageBoxes, parse_line
from keras_retinanet.data.datasets.csv.dialects import (
    Dialect,
    choose_without_header,
    find_delimiter,
    read_header,
    require_no_header,
)
from keras_retinanet.data.datasets.shared.text_files import csv_records
from keras_retinanet.data.error_collector import OnError, report_or_raise
from keras_retinanet.data.errors import DataError
from keras_retinanet.data.image_files import near_name_hint

_CHUNK = 20_000  # lines that are read at once
Record = tuple[int, list[str]]
"""Number of a line, and its columns."""


@dataclass
class BoxTable:
    """The boxes of a file, one row per box.

    Attributes:
        images: Position of each image by its path as written, in the order of the file.
        sizes: Height and width of images as written, by path.
        names: Label of each class name, in the order of the file.
        image: Position of the image of each row.
        label: Label of each row.
        ignore: Whether each row is an ignore region.
        line: Line of each row.
        sides: Parts of the `(M, 4)` float64 boxes.
        outlines: Number of rows that are the enclosing box of another shape.
        not_boxes: Number of points and lines that are left out.
    """

    images: dict[str, int] = field(default_factory=dict)
    sizes: dict[str, tuple[str, str]] = field(default_factory=dict)
    names: dict[str, int] = field(default_factory=dict)
    image: array[int] = field(default_factory=lambda: array("q"))
    label: array[int] = field(default_factory=lambda: array("q"))
    ignore: array[int] = field(default_factory=lambda: array("b"))
    line: array[int] = field(default_factory=lambda: array("q"))
    sides: list[Any] = field(default_factory=list)
    outlines: int = 0
    not_boxes: int = 0

    def boxes(self) -> Any:
        """All boxes, `(M, 4)` float64."""
        return np.concatenate([np.zeros((0, 4)), *self.sides])

    def extend(self, columns: _Columns) -> None:
        """Add rows."""
        images, names = self.images, self.names
        self.image.extend([images.setdefault(path, len(images)) for path in columns.paths])
        self.label.extend([names.setdefault(name, len(names)) for name in columns.names])
        self.ignore.extend(columns.ignore)
        self.line.extend(columns.lines)
        self.sides.append(columns.sides)


class _Columns(NamedTuple):
    """Rows of boxes as columns."""

    paths: Sequence[str]
    names: Sequence[str]
    ignore: Sequence[int]
    lines: Sequence[int]
    sides: Any


def read_table(file: Path, on_error: OnError, on_broken_line: OnError) -> tuple[BoxTable, Dialect]:
    """Read a file of boxes.

    Args:
        file: Its path.
        on_error: What to do if the rest of the file cannot be read.
        on_broken_line: What to do about a broken line: with a collector, it is left out.

    Returns:
        The boxes, and how they are written.

    Raises:
        DataError: The file is not CSV, or a line is broken and there is no collector.
    """
    table = BoxTable()
    try:
        with closing(file.open(encoding="utf-8-sig", newline="")) as text:
            first_line = next((line for line in text if line.strip()), "")
            text.seek(0)
            records = _records(text, file, find_delimiter(first_line), on_error)
            first = next(records, None)
            dialect = _choose(first, file, find_delimiter(first_line))
            if first is not None and not dialect.has_header:
                records = itertools.chain([first], records)
            while chunk := list(itertools.islice(records, _CHUNK)):
                _add_chunk(table, chunk, dialect, file, on_broken_line)
    except OSError as error:
        fix = near_name_hint(file) + "check the path"
        raise DataError(str(file), f"cannot be read ({error.strerror})", "a CSV file", fix) from None
    except ValueError as error:  # also a zero byte in the path
        if isinstance(error, DataError):
            raise
        raise DataError(str(file), f"is not UTF-8 text ({error})", "a CSV file", "save it as UTF-8") from None
    return table, dialect


def _records(text: Any, file: Path, delimiter: str, on_error: OnError) -> Iterator[Record]:
    """Lines that are not blank; an unclosed quote ends the file."""
    records = csv_records(text, file, skipinitialspace=True, delimiter=delimiter)
    try:
        for record in records:
            cells = record[1]
            if cells[0] or any(cell and not cell.isspace() for cell in cells):
                yield record
    except DataError as error:
        report_or_raise(on_error, error)


def _choose(first: Record | None, file: Path, delimiter: str) -> Dialect:
    if first is None:
        return choose_without_header([], delimiter)
    fields = [cell.strip() for cell in first[1]]
    dialect = read_header(fields, delimiter)
    if dialect is None:
        require_no_header(fields, f"{file}, line {first[0]}")
        return choose_without_header(fields, delimiter)
    return dialect


def _add_chunk(table: BoxTable, chunk: list[Record], dialect: Dialect, file: Path, on_error: OnError) -> None:
    columns = None if "ignore" in dialect.columns else _at_once(table, chunk, dialect)
    if columns is None:
        columns = _one_by_one(table, chunk, dialect, file, on_error)
    table.extend(columns)


def _at_once(table: BoxTable, chunk: list[Record], dialect: Dialect) -> _Columns | None:
    """All lines of plain numbers; `None` if a value is unusual."""
    places = dialect.columns
    if len(dialect.sides) < 4 or min(len(cells) for _, cells in chunk) <= max(places.values()):
        return None
    path, side, label = places["path"], places["x1"], places.get("class")
    boxed = [record for record in chunk if record[1][side]]
    plain = [cells for _, cells in boxed]
    sides = [[cells[column] for cells in plain] for column in dialect.sides]
    if any("_" in "".join(column) for column in sides):  # Python takes 1_0 for 10
        return None
    try:
        values = np.array([list(map(float, column)) for column in sides], np.float64).reshape(4, -1).T
    except ValueError:
        return None
    paths = [cells[path].strip() for _, cells in chunk]
    names = [dialect.class_name] * len(plain) if label is None else [cells[label].strip() for cells in plain]
    if not all(paths) or not all(names):
        return None
    if len(boxed) < len(chunk):
        used = [*dialect.sides, *([] if label is None else [label])]
        if any(cells[column].strip() for _, cells in chunk if not cells[side] for column in used):
            return None
    images = table.images
    for name in paths:
        if name not in images:
            images[name] = len(images)
    if "height" in places:
        height, width = places["height"], places["width"]
        sizes = ((cells[height], cells[width]) for _, cells in chunk)
        table.sizes |= dict(zip(paths, sizes, strict=True))
    boxed_paths = paths if len(boxed) == len(chunk) else [cells[path].strip() for cells in plain]
    return _Columns(boxed_paths, names, bytes(len(boxed)), [line for line, _ in boxed], values)


def _one_by_one(table: BoxTable, chunk: list[Record], dialect: Dialect, file: Path, on_error: OnError) -> _Columns:
    columns = _Columns([], [], [], [], [])
    for line, cells in chunk:
        try:
            found = parse_line([cell.strip() for cell in cells], dialect, f"{file}, line {line}")
        except DataError as error:
            report_or_raise(on_error, error)
            continue
        _add_line(table, columns, found, line)
    return columns._replace(sides=np.array(columns.sides, np.float64).reshape(-1, 4))


def _add_line(table: BoxTable, columns: Any, found: ImageBoxes, line: int) -> None:
    table.images.setdefault(found.path, len(table.images))
    if found.size is not None:
        table.sizes[found.path] = found.size
    table.outlines += found.outlines
    table.not_boxes += found.not_boxes
    for box in found.boxes:
        columns.paths.append(found.path)
        columns.names.append(found.name)
        columns.ignore.append(int(found.ignore))
        columns.lines.append(line)
        columns.sides.append(box)
