"""Boxes of a whole data set as columns, checked and clipped at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from keras_retinanet.config import BadDataPolicy
from keras_retinanet.data.errors import DataError, shown
from keras_retinanet.data.survey import Survey

Policy = BadDataPolicy | Survey
"""What a reader does with bad data: `"skip"`, `"error"`, or take them down in a survey."""

_SLACK = 1.0  # pixels; boxes overrun by less through rounding and through counting from 0 or 1, which is no news
_NAMED = 5  # cases named in the warning
_FARTHEST = 2.0  # shares beyond this are pixels by mistake


@dataclass
class BoxReport:
    """What a reader had to leave out or clip, and what else its user should know.

    Attributes:
        num_boxes: Boxes that remain, ignore regions included.
        num_dropped: Boxes left out: no area, or wholly outside their image.
        num_clipped: Boxes cut at their image's border (more than one pixel stood out).
        examples: The first few of both, in words.
        notes: Choices that the files left to the reader, one sentence each.
    """

    num_boxes: int = 0
    num_dropped: int = 0
    num_clipped: int = 0
    examples: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def warning(self) -> str | None:
        """One sentence for the command line, or `None` where all boxes were fine."""
        if not self.num_dropped + self.num_clipped:
            return None
        more = self.num_dropped + self.num_clipped - len(self.examples)
        cases = "; ".join(self.examples) + (f"; and {more} more" if more > 0 else "")
        return f"{self.num_dropped} boxes left out, {self.num_clipped} clipped to their image: {cases}"


@dataclass
class BoxColumns:
    """Boxes of all images, one row a box, as a reader finds them.

    Attributes:
        image: `(M,)` int, position of the image.
        boxes: `(M, 4)` float64 x1, y1, x2, y2.
        labels: `(M,)` int.
        ignore: `(M,)` bool.
        name: Where row i stands: file and line, or annotation id.
        areas: `(M,)` float64, the objects' areas in pixels where the source tells them.
        is_relative: Coordinates are shares of the image's width and height, not pixels.
    """

    image: Any
    boxes: Any
    labels: Any
    ignore: Any
    name: Callable[[int], str]
    areas: Any = None
    is_relative: bool = False


def cleaned_boxes(columns: BoxColumns, sizes: Any, bad_data: Policy) -> tuple[Any, Any, BoxReport]:
    """Clip to the images.

    Args:
        columns: The boxes as read.
        sizes: `(I, 2)` int64 height and width of each image.
        bad_data: What becomes of boxes outside their image or without area.

    Returns:
        float32 boxes `(M, 4)`, the rows worth keeping, and the report.
    """
    boxes = np.asarray(columns.boxes, np.float64).reshape(-1, 4)
    limits = sizes.astype(np.float64)[columns.image][:, [1, 0, 1, 0]]  # (M, 4): W, H, W, H
    _require_unit(boxes, columns, limits)
    if columns.is_relative:
        boxes = boxes * limits
    _require_finite(boxes, columns)
    clipped = np.clip(boxes, 0.0, limits).astype(np.float32)
    has_area = (clipped[:, 2] > clipped[:, 0]) & (clipped[:, 3] > clipped[:, 1])
    stands_out = ((boxes < -_SLACK) | (boxes > limits + _SLACK)).any(axis=1) & has_area
    report = BoxReport(int(has_area.sum()), int((~has_area).sum()), int(stands_out.sum()))
    for row in np.flatnonzero(stands_out | ~has_area)[:_NAMED]:
        reached = np.array2string(boxes[row], separator=", ", precision=2, suppress_small=True)
        if bad_data == "error":
            _refuse(columns.name(int(row)), reached, limits[row], bool(has_area[row]))
        verdict = "clipped" if has_area[row] else "left out"
        report.examples.append(f"{columns.name(int(row))} {reached} {verdict}")
    if num_reversed := int((boxes[:, :2] > boxes[:, 2:]).any(axis=1).sum()):
        told = "boxes end before they begin and are left out: corners swapped, or x, y, width, height?"
        report.notes.append(f"{num_reversed} {told}")
    return clipped, np.flatnonzero(has_area), report


def _require_unit(boxes: Any, columns: BoxColumns, limits: Any) -> None:
    """Shares of the sides are not taken for pixels, nor pixels for shares."""
    if columns.is_relative:
        far = np.flatnonzero((np.abs(boxes) > _FARTHEST).any(axis=1))
        allowed, fix = "shares of the image's sides, from 0 to 1", "divide x by the image's width and y by its height"
    else:
        are_shares = (np.abs(boxes) <= 1).all() and (boxes % 1 != 0).any() and (limits > _FARTHEST).all()
        far = np.arange(len(boxes)) if are_shares else np.zeros(0, np.int64)
        allowed, fix = "pixels; here no box reaches beyond 1", "multiply x by the image's width and y by its height"
    if far.size:
        found = f"coordinates {shown(np.round(boxes[far[0]], 4).tolist(), 120)}"
        raise DataError(columns.name(int(far[0])), found, allowed, fix)


def _require_finite(boxes: Any, columns: BoxColumns) -> None:
    broken = np.flatnonzero(~np.isfinite(boxes).all(axis=1))
    if broken.size:
        raise DataError(
            columns.name(int(broken[0])),
            f"coordinates {shown(boxes[broken[0]].tolist(), 120)}",
            "finite numbers",
            "correct the box or take it out",
        )


def _refuse(where: str, box: str, limits: Any, has_area: bool) -> None:
    width, height = limits[:2]
    raise DataError(
        where,
        f"box {box} " + ("stands out of its image" if has_area else "has no area inside its image"),
        f"x1 < x2 and y1 < y2 inside {width:.0f} × {height:.0f} pixels",
        f"correct it, take it out, or let --bad-data skip {'clip it' if has_area else 'leave it out'}",
    )
