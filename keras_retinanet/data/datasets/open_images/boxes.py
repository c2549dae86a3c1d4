"""The CSV files of Open Images' boxes: many lines at once, and one by one where a value is unusual."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from keras_retinanet.data.box_columns import BoxColumns
from keras_retinanet.data.datasets.open_images.files import COLUMNS
from keras_retinanet.data.datasets.shared.text_files import csv_records, number
from keras_retinanet.data.error_collector import OnError, report_or_raise
from keras_retinanet.data.errors import DataError, short_repr

_GROUP = "IsGroupOf"
_NO_GROUP = ("0", "-1", "")  # -1 and an empty field (globox): unknown
_CHUNK = 10_000  # lines read at once


@dataclass
class BoxTable:
    """Columns of the boxes whose class is wanted.

    Attributes:
        file: The CSV file.
        images: Positions by the path of the image, in the order of the file.
        absent: ImageIDs that have no image.
        parts: Columns of some boxes at a time, see `add`.
    """

    file: Path
    images: dict[str, int] = field(default_factory=dict)
    absent: set[str] = field(default_factory=set)
    parts: list[list[Any]] = field(default_factory=list)

    def add(self, *columns: Any) -> None:
        """Add boxes: position of the image, label, sides `(M, 4)`, whether it is a group, and line of each."""
        self.parts.append(list(columns))

    def columns(self) -> BoxColumns:
        """The boxes as columns."""
        empty = [
            np.zeros(0, np.int64),
            np.zeros(0, np.int64),
            np.zeros((0, 4)),
            np.zeros(0, bool),
            np.zeros(0, np.int64),
        ]
        image, labels, boxes, group, line = (np.concatenate(column) for column in zip(empty, *self.parts, strict=True))
        return BoxColumns(image, boxes, labels, group, lambda row: f"{self.file}, line {line[row]}", is_relative=True)


@dataclass
class Wanted:
    """What decides whether a line is used.

    Attributes:
        there: Paths of the images by ImageID.
        labels: Labels of the wanted classes by LabelName; `None` takes every class, in the order of the file.
        described: All LabelNames that are described; others are errors. `None`: nothing is described.
        found: Labels by LabelName, if every class is taken.
    """

    there: Mapping[str, str]
    labels: Mapping[str, int] | None
    described: Mapping[str, str] | None
    found: dict[str, int] = field(default_factory=dict)

    def knows(self, keys: Iterable[str]) -> bool:
        """Whether all of some classes are described, or nothing is."""
        return self.described is None or self.described.keys() >= set(keys)

    def label(self, key: str) -> int:
        """Label of a class, -1 if it is not wanted."""
        if self.labels is None:
            return self.found.setdefault(key, len(self.found))
        return self.labels.get(key, -1)


class _Columns(NamedTuple):
    """Positions of `COLUMNS` and of `IsGroupOf`, and the number of columns."""

    places: list[int]
    group: int | None
    width: int


def read_lines(file: Path, kind: str) -> Iterator[tuple[int, list[str]]]:
    """Lines with their number, split at the commas; one at a time, since there may be 15 million.

    Raises:
        DataError: The file cannot be read.
    """
    try:
        is_plain = not _has_quotes(file)
        with closing(file.open(encoding="utf-8-sig", newline="")) as text:
            if not is_plain:
                yield from csv_records(text, file)
                return
            for number, line in enumerate(text, start=1):  # twice as fast as the csv module
                if fields := line.rstrip("\r\n"):
                    yield number, fields.split(",")
    except OSError as error:
        raise DataError(str(file), f"cannot be read ({error.strerror})", kind, "check the path") from None
    except UnicodeDecodeError as error:
        raise DataError(str(file), f"is not UTF-8 text with commas ({error})", kind, "download it again") from None


def _has_quotes(file: Path) -> bool:
    with file.open("rb") as content:
        return any(b'"' in block for block in iter(functools.partial(content.read, 1 << 20), b""))


def read_boxes(file: Path, wanted: Wanted, on_error: OnError) -> BoxTable:
    """Read the boxes of the images that exist.

    Args:
        file: The CSV file.
        wanted: Which lines are used.
        on_error: What to do about broken lines.

    Returns:
        The boxes.

    Raises:
        DataError: The file has no such columns; or a line is broken and `on_error` is `"error"`.
    """
    lines = read_lines(file, "a CSV file of boxes")
    header = next(lines, (0, []))[1]
    if missing := [name for name in COLUMNS if name not in header]:
        raise DataError(f"{file}, line 1", f"has no column {missing[0]}", ", ".join(COLUMNS), "download it again")
    group = header.index(_GROUP) if _GROUP in header else None
    columns = _Columns([header.index(name) for name in COLUMNS], group, len(header))
    table = BoxTable(file)
    while chunk := list(itertools.islice(lines, _CHUNK)):
        if not _add_chunk(table, chunk, columns, wanted):
            for line, fields in chunk:
                try:
                    _add_line(table, line, fields, columns, wanted)
                except DataError as error:
                    report_or_raise(on_error, error)
    return table


def _add_chunk(table: BoxTable, chunk: list[tuple[int, list[str]]], columns: _Columns, wanted: Wanted) -> bool:
    """Add all boxes of some lines; false, with nothing added, if a value is unusual."""
    rows = [fields for _, fields in chunk]
    if min(map(len, rows)) < columns.width:
        return False
    image, key, *sides = ([fields[place] for fields in rows] for place in columns.places)
    groups = ["0"] * len(rows) if columns.group is None else [fields[columns.group] for fields in rows]
    if not wanted.knows(key) or not {"1", *_NO_GROUP}.issuperset(groups):
        return False
    try:
        values = [[float(text) for text in side] for side in sides]
    except ValueError:
        return False
    if any("_" in "".join(side) for side in sides):  # Python takes 1_0 for 10
        return False
    paths, labels = list(map(wanted.there.get, image)), list(map(wanted.label, key))
    table.absent.update(name for name, path in zip(image, paths, strict=True) if path is None)
    is_used = np.array([path is not None and label >= 0 for path, label in zip(paths, labels, strict=True)])
    used = [path for path, is_chosen in zip(paths, is_used, strict=True) if is_chosen and path is not None]
    positions = [table.images.setdefault(path, len(table.images)) for path in used]
    columns_of_all = (
        np.array(labels),
        np.array(values).T,
        np.array(groups) == "1",
        np.array([line for line, _ in chunk]),
    )
    table.add(np.array(positions, np.int64), *(column[is_used] for column in columns_of_all))
    return True


def _add_line(table: BoxTable, line: int, fields: list[str], columns: _Columns, wanted: Wanted) -> None:
    where = f"{table.file}, line {line}"
    if len(fields) < columns.width:
        found = f"{len(fields)} columns in {short_repr(','.join(fields))}"
        raise DataError(where, found, f"{columns.width} as in line 1", "complete the line")
    if not wanted.knows([fields[columns.places[1]]]):
        found = f"unknown class {short_repr(fields[columns.places[1]])}"
        raise DataError(where, found, "the described classes", "add its description")
    for place, name in zip(columns.places[2:], COLUMNS[2:], strict=True):
        number(fields[place], name, where, "a share of the image's side")
    group = "0" if columns.group is None else fields[columns.group]
    if group not in ("1", *_NO_GROUP):
        raise DataError(where, f"IsGroupOf is {short_repr(group)}", "0, 1 or -1", "correct it")
    _add_chunk(table, [(line, fields)], columns, wanted)
