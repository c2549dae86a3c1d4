"""Faults of boxes: outside their image, without area, twice, too small or too large to learn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from keras_retinanet.config import ResizeConfig
from keras_retinanet.data.image import resized_size
from keras_retinanet.doctor.findings import Finding, Severity, found
from keras_retinanet.doctor.split_scan import Opened

SLACK = 1.0
"""Pixels by which boxes overrun through rounding, which is no news."""

TINY = 8.0
"""Side (root of the area) in network pixels below which an object covers less than one cell of the finest level."""

HUGE = 0.95
"""Share of its image's width and height that such a box covers."""

MANY = 0.05
"""Share of the boxes from which tiny or huge ones are a warning."""


def check_boxes(opened: Opened, resize: ResizeConfig) -> list[Finding]:
    """All findings on the boxes of a split.

    Args:
        opened: The split.
        resize: How images become network input.

    Returns:
        The findings.
    """
    return [*_places(opened), *_doubles(opened), *_extents(opened, resize)]


def _found(
    opened: Opened, kind: str, severity: Severity, title: str, rows: Any, fix: str, what: Callable[[int], str]
) -> list[Finding]:
    examples = [opened.box_example(int(row), what(int(row))) for row in rows[:5]]
    return found(kind, severity, opened.split, title, examples, fix, count=len(rows))


def _limits(opened: Opened) -> tuple[Any, Any]:
    """`(N, 4)` W, H, W, H of each box's image, and `(N,)` whether that is known."""
    limits = opened.sizes[opened.raw_image][:, [1, 0, 1, 0]].astype(np.float64)
    return limits, (limits > 0).all(axis=1)


def _places(opened: Opened) -> list[Finding]:
    limits, is_known = _limits(opened)
    boxes = opened.raw_boxes
    is_degenerate = (boxes[:, 2] <= boxes[:, 0]) | (boxes[:, 3] <= boxes[:, 1])
    clipped = np.clip(boxes, 0, limits)
    is_inside = (clipped[:, 2] > clipped[:, 0]) & (clipped[:, 3] > clipped[:, 1])
    stands_out = ((boxes < -SLACK) | (boxes > limits + SLACK)).any(axis=1) & is_known & ~is_degenerate

    def size(row: int) -> str:
        return f"in an image of {limits[row][0]:.0f} × {limits[row][1]:.0f} pixels"

    def sides(row: int) -> str:
        return f"is {boxes[row][2] - boxes[row][0]:g} pixels wide and {boxes[row][3] - boxes[row][1]:g} high"

    return [
        *_found(
            opened, "degenerate", "warning", "boxes have no area", np.flatnonzero(is_degenerate),
            "draw them again, or take them out with --fix; training leaves them out", sides,
        ),
        *_found(
            opened, "outside", "warning", "boxes lie wholly outside of their image",
            np.flatnonzero(stands_out & ~is_inside),
            "see whether they belong to another image, or to another size of it; training leaves them out", size,
        ),
        *_found(
            opened, "overrun", "warning", "boxes stand out of their image", np.flatnonzero(stands_out & is_inside),
            "see whether the image was scaled or cropped after annotation; training and --fix clip them", size,
        ),
    ]  # fmt: skip


def _doubles(opened: Opened) -> list[Finding]:
    """The same box twice in an image; with different classes that is a contradiction."""
    key = np.column_stack([opened.raw_image, np.round(opened.raw_boxes * 2)])  # half a pixel
    if not len(key):
        return []
    order = np.lexsort((np.arange(len(key)), *key.T[::-1]))
    is_again = np.zeros(len(key), bool)
    is_again[1:] = (key[order][1:] == key[order][:-1]).all(axis=1)
    is_real = ~opened.raw_ignore[order]
    is_again[1:] &= is_real[1:] & is_real[:-1]
    is_other = np.zeros(len(key), bool)
    is_other[1:] = opened.raw_labels[order][1:] != opened.raw_labels[order][:-1]
    before = dict(zip(order[1:].tolist(), order[:-1].tolist(), strict=True))

    def names(row: int) -> str:
        pair = (opened.raw_labels[before[row]], opened.raw_labels[row])
        return "is " + " and ".join(opened.class_names[label] for label in pair)

    return [
        *_found(
            opened, "duplicate-box", "warning", "boxes are there twice", np.sort(order[is_again & ~is_other]),
            "take the copies out with --fix", lambda row: opened.class_names[opened.raw_labels[row]],
        ),
        *_found(
            opened, "contradiction", "warning", "boxes are there again with another class",
            np.sort(order[is_again & is_other]),
            "decide which class is right; if both are, only a detector of each class alone can learn it", names,
        ),
    ]  # fmt: skip


def _extents(opened: Opened, resize: ResizeConfig) -> list[Finding]:
    limits, is_known = _limits(opened)
    boxes = np.clip(opened.raw_boxes, 0, np.where(is_known[:, None], limits, np.inf))
    sides = boxes[:, 2:] - boxes[:, :2]
    is_real = (sides > 0).all(axis=1) & is_known & ~opened.raw_ignore
    scale = np.ones_like(sides)
    safe = np.maximum(opened.sizes, 1)
    resized = np.stack(resized_size(safe[:, 0], safe[:, 1], resize), axis=1) / safe  # (I, 2) y, x
    scale = resized[opened.raw_image][:, ::-1]
    root = np.sqrt(np.prod(np.maximum(sides, 0) * scale, axis=1))
    tiny = np.flatnonzero(is_real & (root < TINY))
    huge = np.flatnonzero(is_real & (sides >= HUGE * limits[:, 2:]).all(axis=1))
    least = MANY * max(int(is_real.sum()), 1)
    return [
        *_found(
            opened, "tiny", "warning" if len(tiny) > least else "note",
            f"boxes are smaller than {TINY:g} × {TINY:g} pixels once resized", tiny,
            "raise --image-min-side and --image-max-side, cut large images into tiles, or add a finer level "
            "(--min-level 2)", lambda row: f"is {root[row]:.1f} pixels after resizing",
        ),
        *_found(
            opened, "huge", "warning" if len(huge) > least else "note", "boxes cover their whole image", huge,
            "fine for portraits; otherwise see whether they are labels of the image, not boxes", lambda _: "",
        ),
    ]  # fmt: skip
