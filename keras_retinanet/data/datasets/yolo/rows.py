"""The lines of YOLO's text files: boxes, polygons, oriented boxes and keypoints, told apart by their numbers.

Reference: https://docs.ultralytics.com/datasets/, the formats of detection, segmentation, pose and oriented boxes.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from keras_retinanet.config import YoloRows
from keras_retinanet.data.datasets.yolo.readings import Reading, choose_reading, read_points
from keras_retinanet.data.errors import DataError, short_repr

ROW = "'class x_center y_center width height', shares of the image's sides; or 'class x1 y1 x2 y2 x3 y3 …'"
_MAX_SHARE = 2.0  # larger shares are pixels by mistake, not a box that extends beyond the image
_BOX, _SCORED = 5, 6  # numbers in a line


@dataclass
class YoloRowTable:
    """The rows of all text files of a set.

    Attributes:
        image: `(M,)` position of the image of each row.
        line: `(M,)` line of its text file, from 1.
        ids: `(M,)` float64 class ids as written.
        boxes: `(M, 4)` float64 x1, y1, x2, y2, shares of the image's sides.
        texts: Text file of each image, `None` for images without.
        notes: How rows were read.
        errors: Image, line and error of each broken row.
    """

    image: Any
    line: Any
    ids: Any
    boxes: Any
    texts: Sequence[str | None]
    notes: list[str]
    errors: list[tuple[int, int, DataError]] = field(default_factory=list)

    def where(self, row: int) -> str:
        """File and line of a row."""
        return f"{self.texts[self.image[row]]}, line {self.line[row]}"

    def select(self, is_chosen: Any) -> YoloRowTable:
        """The rows where the `(M,)` bool `is_chosen` is true."""
        image, line, ids, boxes = (column[is_chosen] for column in (self.image, self.line, self.ids, self.boxes))
        return YoloRowTable(image, line, ids, boxes, self.texts, self.notes)


@dataclass
class _Lines:
    """Rows while the files are read; `count` is how many numbers a row has, `points` the readings of longer ones."""

    image: array[int] = field(default_factory=lambda: array("q"))
    line: array[int] = field(default_factory=lambda: array("q"))
    numbers: array[float] = field(default_factory=lambda: array("d"))
    count: array[int] = field(default_factory=lambda: array("q"))
    points: dict[int, Reading] = field(default_factory=dict)
    num_tags: int = 0
    errors: list[tuple[int, int, DataError]] = field(default_factory=list)


def read_rows(texts: Sequence[str | None], kpt_shape: tuple[int, int] | None, rows: YoloRows) -> YoloRowTable:
    """Read all text files.

    Args:
        texts: Text file of each image; `None` for images without.
        kpt_shape: Number of keypoints and of their dimensions, if the data set states it.
        rows: What rows of more than six numbers are.

    Returns:
        The rows that are boxes, or have an enclosing box; and the errors of the others.
    """
    lines = _Lines()
    for position, text in enumerate(texts):
        if text is not None:
            _read_file(lines, position, text)
    numbers = np.array(lines.numbers, np.float64).reshape(-1, _BOX)
    boxes, is_used, notes = _boxes(lines, numbers[:, 1:], kpt_shape, rows)
    image, line = np.array(lines.image, np.int64), np.array(lines.line, np.int64)
    table = YoloRowTable(image, line, numbers[:, 0], boxes, texts, notes)
    with np.errstate(invalid="ignore"):
        is_share = (np.abs(boxes) <= _MAX_SHARE).all(axis=1) & (np.abs(numbers[:, 1:]) <= _MAX_SHARE).all(axis=1)
    for row in np.flatnonzero(~is_used | ~is_share).tolist():
        error = _share_error(table, row, numbers) if is_used[row] else _count_error(table, row, lines, kpt_shape)
        lines.errors.append((int(image[row]), int(line[row]), error))
    chosen = table.select(is_used & is_share)
    chosen.errors = lines.errors
    return chosen


def _read_file(lines: _Lines, position: int, text: str) -> None:
    try:
        handle = os.open(text, os.O_RDONLY)
        try:
            content = os.read(handle, os.fstat(handle).st_size + 1)
        finally:
            os.close(handle)
    except OSError as error:
        problem = DataError(text, f"cannot be read ({error.strerror})", "a text file of boxes", "check the permissions")
        lines.errors.append((position, 0, problem))
        return
    for number, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").splitlines(), start=1):
        words = line.split()
        if not words:
            continue
        try:
            if b"_" in line:  # Python takes 1_0 for 10
                raise ValueError
            values = list(map(float, words))
        except ValueError:
            lines.errors.append((position, number, _word_error(f"{text}, line {number}", line)))
            continue
        _add_row(lines, position, number, values)


def _add_row(lines: _Lines, position: int, number: int, values: list[float]) -> None:
    count = len(values)
    if count == 1:
        lines.num_tags += 1
        return
    if count > _BOX:
        lines.points[len(lines.line)] = read_points(values)
    lines.image.append(position)
    lines.line.append(number)
    lines.count.append(count)
    lines.numbers.extend(values[:_BOX] if count >= _BOX else values + [0.0] * (_BOX - count))


def _boxes(lines: _Lines, sides: Any, kpt_shape: tuple[int, int] | None, rows: YoloRows) -> tuple[Any, Any, list[str]]:
    """Boxes `(M, 4)`, which rows `(M,)` have one, and notes."""
    count = np.array(lines.count, np.int64)
    boxes = np.concatenate([sides[:, :2] - sides[:, 2:] / 2, sides[:, :2] + sides[:, 2:] / 2], axis=1)
    notes = _describe_tags(lines.num_tags)
    is_used = count == _BOX
    scored = np.flatnonzero(count == _SCORED)
    if len(scored):
        boxes[scored], is_used[scored], more = _scored_boxes(sides[scored], lines, scored)
        notes += more
    longer = {row: points for row, points in lines.points.items() if points.length > _SCORED}
    kind, more = choose_reading(longer.values(), kpt_shape, rows)
    for row, points in longer.items():
        if kind == "keypoints":
            is_used[row] = kpt_shape is None or points.length == _BOX + kpt_shape[0] * kpt_shape[1]
        elif points.length % 2:
            boxes[row], is_used[row] = points.box, True
    return boxes, is_used, notes + more


def _describe_tags(count: int) -> list[str]:
    return [f"{count} lines have a class and no box: tags of whole images, which are left out"] if count else []


def _scored_boxes(sides: Any, lines: _Lines, rows: Any) -> tuple[Any, Any, list[str]]:
    """Boxes of rows of six numbers: a score or a track number at the end, or the score first as darknet prints it."""
    last = np.array([lines.points[row].last for row in rows.tolist()])
    shifted = np.concatenate([sides[:, 1:], last[:, None]], axis=1)

    def fits(given: Any) -> Any:
        low, high = given[:, :2] - given[:, 2:] / 2, given[:, :2] + given[:, 2:] / 2
        return ((low > -0.01) & (high < 1.01)).all(axis=1) & (given[:, 2:] > 0).all(axis=1)

    is_first = fits(shifted).mean() > fits(sides).mean()
    given = shifted if is_first else sides
    is_track = not is_first and bool((last % 1 == 0).all() and (last > 1).any())
    score = sides[:, 0] if is_first else last
    is_used = np.ones(len(rows), bool) if is_track else (score >= 0) & (score <= 1)
    what = "a track number at their end" if is_track else f"a score {'before' if is_first else 'after'} the box"
    note = f"{int(is_used.sum())} lines have {what}, as predictions do: it is not used"
    boxes = np.concatenate([given[:, :2] - given[:, 2:] / 2, given[:, :2] + given[:, 2:] / 2], axis=1)
    return boxes, is_used, [note] if is_used.any() else []


def _word_error(where: str, line: bytes) -> DataError:
    words = line.decode("utf-8", "replace").split()
    fix = "separate with blanks" if "," in words[0] else "write a number"
    word = next((word for word in words if not _is_number(word)), words[0])
    return DataError(where, f"a number is {short_repr(word)}", ROW, fix)


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return "_" not in word


def _read_line(table: YoloRowTable, row: int) -> str:
    text = table.texts[table.image[row]]
    lines = Path(text or "").read_text("utf-8", "replace").splitlines()
    return " ".join(lines[int(table.line[row]) - 1].split())


def _share_error(table: YoloRowTable, row: int, numbers: Any) -> DataError:
    found = f"coordinates {short_repr(' '.join(f'{side:g}' for side in numbers[row, 1:].tolist()), 100)}"
    return DataError(table.where(row), found, ROW, "divide x by the image's width and y by its height")


def _count_error(table: YoloRowTable, row: int, lines: _Lines, kpt_shape: tuple[int, int] | None) -> DataError:
    count = lines.count[row]
    found, allowed, fix = f"{count} numbers in {short_repr(_read_line(table, row))}", ROW, "complete the line"
    if kpt_shape is not None:
        points, dimensions = kpt_shape
        allowed = f"{_BOX + points * dimensions} numbers: a box and {points} keypoints of {dimensions}; or a box alone"
    elif count == _SCORED:
        fix = "remove the last number: it is neither a score from 0 to 1 nor the number of a track"
    return DataError(table.where(row), found, allowed, fix)
