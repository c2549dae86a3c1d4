"""Boxes of a whole data set as columns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass
class BoxReport:
    """What a reader left out or clipped, and decisions that its user should know.

    Attributes:
        num_boxes: Boxes that remain, ignore regions included.
        num_dropped: Boxes left out: no area, or wholly outside their image.
        num_clipped: Boxes clipped by more than one pixel at the border of their image.
        examples: The first few of both, in words.
        notes: Decisions that the files left to the reader, one sentence each.
    """

    num_boxes: int = 0
    num_dropped: int = 0
    num_clipped: int = 0
    examples: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def warning(self) -> str | None:
        """One sentence for the command line, or `None` if all boxes were fine."""
        if not self.num_dropped + self.num_clipped:
            return None
        more = self.num_dropped + self.num_clipped - len(self.examples)
        cases = "; ".join(self.examples) + (f"; and {more} more" if more > 0 else "")
        return f"{self.num_dropped} boxes left out, {self.num_clipped} clipped to their image: {cases}"


@dataclass
class BoxColumns:
    """Boxes of all images, one row per box, as annotated.

    Attributes:
        image: `(M,)` int, position of the image.
        boxes: `(M, 4)` float64 x1, y1, x2, y2.
        labels: `(M,)` int.
        ignore: `(M,)` bool.
        name: Function from a row to its file and line, or annotation ID.
        areas: `(M,)` float64 areas of the objects in pixels, if annotated.
        is_relative: Whether coordinates are shares of the image's width and height, not pixels.
    """

    image: Any
    boxes: Any
    labels: Any
    ignore: Any
    name: Callable[[int], str]
    areas: Any = None
    is_relative: bool = False


def select_rows(columns: BoxColumns, is_chosen: Any) -> BoxColumns:
    """Select boxes.

    Args:
        columns: All boxes.
        is_chosen: `(M,)` bool.

    Returns:
        The chosen boxes; `name` still gives the file and line of each.
    """
    return take_rows(columns, np.flatnonzero(is_chosen))


def take_rows(columns: BoxColumns, rows: Any) -> BoxColumns:
    """Boxes by their positions.

    Args:
        columns: All boxes.
        rows: `(R,)` int, each row any number of times.

    Returns:
        The boxes in this order; `name` still gives the file and line of each.
    """
    return BoxColumns(
        image=np.asarray(columns.image)[rows],
        boxes=np.asarray(columns.boxes, np.float64).reshape(-1, 4)[rows],
        labels=np.asarray(columns.labels)[rows],
        ignore=np.asarray(columns.ignore)[rows],
        name=lambda row: columns.name(int(rows[row])),
        areas=None if columns.areas is None else columns.areas[rows],
        is_relative=columns.is_relative,
    )
