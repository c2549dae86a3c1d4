"""Checks and clips the boxes of a whole data set at once."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_retinanet.data.box_columns import BoxColumns, BoxReport, select_rows
from keras_retinanet.data.error_collector import OnError, report_or_raise
from keras_retinanet.data.errors import DataError, short_repr

_SLACK = 1.0  # pixels; rounding, and counting from 0 or 1, exceed the border by less, which is not reported
_MAX_EXAMPLES = 5  # cases named in the warning
_MAX_CLIPPED_SHARE = 0.1  # of boxes beyond the border, above which another reading of the numbers is tried
_MAX_SHARE = 2.0  # larger shares are pixels by mistake
_SHARES = "shares of the image's sides, from 0 to 1"


def check_coordinates(columns: BoxColumns, on_error: OnError) -> BoxColumns:
    """Check that coordinates are finite and, if relative, that they are shares.

    Args:
        columns: The boxes as annotated.
        on_error: What to do about broken boxes.

    Returns:
        The boxes; broken ones are left out if `on_error` is a collector.

    Raises:
        DataError: The first broken box, if there is no collector.
    """
    boxes = np.asarray(columns.boxes, np.float64).reshape(-1, 4)
    is_finite: Any = np.isfinite(boxes).all(axis=1)
    is_sound = is_finite & (np.abs(boxes) <= _MAX_SHARE).all(axis=1) if columns.is_relative else is_finite
    if is_sound.all():
        return columns
    for row in np.flatnonzero(~is_sound):
        found = f"coordinates {short_repr([round(side, 4) for side in boxes[row].tolist()], 120)}"
        allowed, fix = "finite numbers", "correct the box or remove it"
        if is_finite[row]:
            allowed, fix = _SHARES, "divide x by the image's width and y by its height"
        report_or_raise(on_error, DataError(columns.name(int(row)), found, allowed, fix))
    return select_rows(columns, is_sound)


def clip_boxes(columns: BoxColumns, sizes: Any, on_error: OnError) -> tuple[Any, Any, BoxReport]:
    """Clip boxes to their images.

    Args:
        columns: The boxes, from `check_coordinates`.
        sizes: `(I, 2)` int64 height and width of each image.
        on_error: What to do with boxes outside their image or without area.

    Returns:
        float32 boxes `(M, 4)`, the rows that have area, and the report.
    """
    boxes = np.asarray(columns.boxes, np.float64).reshape(-1, 4)
    limits = sizes.astype(np.float64)[columns.image][:, [1, 0, 1, 0]]  # (M, 4): W, H, W, H
    if columns.is_relative:
        boxes = boxes * limits
    else:
        _require_pixels(boxes, columns, limits)
    clipped = np.clip(boxes, 0.0, limits).astype(np.float32)
    has_area = (clipped[:, 2] > clipped[:, 0]) & (clipped[:, 3] > clipped[:, 1])
    is_clipped = ((boxes < -_SLACK) | (boxes > limits + _SLACK)).any(axis=1) & has_area
    report = BoxReport(int(has_area.sum()), int((~has_area).sum()), int(is_clipped.sum()))
    for row in np.flatnonzero(is_clipped | ~has_area)[:_MAX_EXAMPLES]:
        reached = np.array2string(boxes[row], separator=", ", precision=2, suppress_small=True)
        if on_error == "error":
            _refuse(columns.name(int(row)), reached, limits[row], bool(has_area[row]))
        verdict = "clipped" if has_area[row] else "left out"
        report.examples.append(f"{columns.name(int(row))} {reached} {verdict}")
    if num_reversed := int((boxes[:, :2] > boxes[:, 2:]).any(axis=1).sum()):
        what = "boxes end before they begin and are left out: corners swapped, or x, y, width, height?"
        report.notes.append(f"{num_reversed} {what}")
    if is_clipped.sum() > _MAX_CLIPPED_SHARE * len(boxes) and _are_sizes_corners(boxes, limits):
        what = "boxes extend beyond their image, and none would if the last two numbers were a corner"
        report.notes.append(f"{int(is_clipped.sum())} of {len(boxes)} {what}: x1, y1, x2, y2 in place of a size?")
    return clipped, np.flatnonzero(has_area), report


def _are_sizes_corners(boxes: Any, limits: Any) -> bool:
    """Whether widths and heights are the lower right corners of boxes that fit their images."""
    sizes = boxes[:, 2:] - boxes[:, :2]
    starts = (boxes[:, :2], boxes[:, 2:] - sizes / 2)  # the format has the upper left corner, or the centre
    return any(bool(((x1 >= 0) & (x1 < sizes) & (sizes <= limits[:, 2:] + _SLACK)).all()) for x1 in starts)


def _require_pixels(boxes: Any, columns: BoxColumns, limits: Any) -> None:
    """Refuse relative coordinates where pixels are expected."""
    if len(boxes) and (np.abs(boxes) <= _MAX_SHARE).all() and (boxes % 1 != 0).any() and (limits > _MAX_SHARE).all():
        found = f"coordinates {short_repr(np.round(boxes[0], 4).tolist(), 120)}"
        allowed, fix = "pixels; here no box reaches beyond 2", "multiply x by the image's width and y by its height"
        raise DataError(columns.name(0), found, allowed, fix)


def _refuse(where: str, box: str, limits: Any, has_area: bool) -> None:
    width, height = limits[:2]
    raise DataError(
        where,
        f"box {box} " + ("extends beyond its image" if has_area else "has no area inside its image"),
        f"x1 < x2 and y1 < y2 inside {width:.0f} × {height:.0f} pixels",
        f"correct it, remove it, or let --bad-data skip {'clip it' if has_area else 'leave it out'}",
    )
