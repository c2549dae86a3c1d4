"""Faults of boxes: outside the image, without area, duplicates, too small or too large."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from keras_retinanet.config import TrainConfig
from keras_retinanet.data.resized_sizes import network_scale, resized_size
from keras_retinanet.doctor.findings import MAX_EXAMPLES, Finding, Severity, report_cases
from keras_retinanet.doctor.split_scan import ScannedSplit

TOLERANCE = 1.0
"""Pixels by which a box may extend beyond its image through rounding."""

TINY_SIDE = 8.0
"""Side (square root of the area) in network pixels below which an object covers less than one cell of level 3."""

HUGE_SHARE = 0.95
"""A box that covers this share of its image's width and height is huge."""

MAX_EXTREME_SHARE = 0.05
"""A larger share of tiny or of huge boxes is a warning instead of a note."""


def check_box_positions(split: ScannedSplit, config: TrainConfig) -> list[Finding]:
    """Finds boxes that have no area, or lie partly or wholly outside their image."""
    del config
    limits, is_known = _image_limits(split)
    boxes = split.raw_boxes
    is_degenerate = (boxes[:, 2] <= boxes[:, 0]) | (boxes[:, 3] <= boxes[:, 1])
    clipped = np.clip(boxes, 0, limits)
    is_inside = (clipped[:, 2] > clipped[:, 0]) & (clipped[:, 3] > clipped[:, 1])
    exceeds = ((boxes < -TOLERANCE) | (boxes > limits + TOLERANCE)).any(axis=1) & is_known & ~is_degenerate

    def describe_image(row: int) -> str:
        return f"in an image of {limits[row][0]:.0f} × {limits[row][1]:.0f} pixels"

    def describe_sides(row: int) -> str:
        return f"is {boxes[row][2] - boxes[row][0]:g} pixels wide and {boxes[row][3] - boxes[row][1]:g} high"

    return [
        *_report_rows(
            split, "degenerate", "warning", "boxes have no area", np.flatnonzero(is_degenerate),
            "redraw them, or remove them with --fix; training ignores them", describe_sides,
        ),
        *_report_rows(
            split, "outside", "warning", "boxes lie wholly outside their image",
            np.flatnonzero(exceeds & ~is_inside),
            "check whether they belong to another image, or to another size of it; training ignores them",
            describe_image,
        ),
        *_report_rows(
            split, "overrun", "warning", "boxes extend beyond their image", np.flatnonzero(exceeds & is_inside),
            "check whether the image was scaled or cropped after annotation; training and --fix clip them",
            describe_image,
        ),
    ]  # fmt: skip


def check_duplicate_boxes(split: ScannedSplit, config: TrainConfig) -> list[Finding]:
    """Finds boxes that occur twice in an image, with the same class or with another."""
    del config
    key = np.column_stack([split.raw_image, np.round(split.raw_boxes * 2)])  # equal to half a pixel
    if not len(key):
        return []
    order = np.lexsort((np.arange(len(key)), *key.T[::-1]))
    is_again = np.zeros(len(key), bool)
    is_again[1:] = (key[order][1:] == key[order][:-1]).all(axis=1)
    is_object = ~split.raw_ignore[order]
    is_again[1:] &= is_object[1:] & is_object[:-1]
    is_other = np.zeros(len(key), bool)
    is_other[1:] = split.raw_labels[order][1:] != split.raw_labels[order][:-1]
    before = dict(zip(order[1:].tolist(), order[:-1].tolist(), strict=True))

    def describe_class(row: int) -> str:
        return split.class_names[split.raw_labels[row]]

    def describe_both(row: int) -> str:
        return f"is {describe_class(before[row])} and {describe_class(row)}"

    return [
        *_report_rows(
            split, "duplicate-box", "warning", "boxes are duplicates", np.sort(order[is_again & ~is_other]),
            "remove the copies with --fix", describe_class,
        ),
        *_report_rows(
            split, "contradiction", "warning", "boxes are duplicates with another class",
            np.sort(order[is_again & is_other]),
            "decide which class is right; if both are, train one detector for each", describe_both,
        ),
    ]  # fmt: skip


def check_box_sizes(split: ScannedSplit, config: TrainConfig) -> list[Finding]:
    """Finds boxes that are tiny after resizing, or as large as their image."""
    limits, is_known = _image_limits(split)
    boxes = np.clip(split.raw_boxes, 0, np.where(is_known[:, None], limits, np.inf))
    sides = boxes[:, 2:] - boxes[:, :2]
    is_object = (sides > 0).all(axis=1) & is_known & ~split.raw_ignore
    stored = np.maximum(split.sizes, 1)
    resized = np.stack(resized_size(stored[:, 0], stored[:, 1], config.resize), axis=1)
    scale = network_scale(resized, stored, config.resize)[split.raw_image][:, ::-1]  # (N, 2) x, y
    side = np.sqrt(np.prod(np.maximum(sides, 0) * scale, axis=1))
    tiny = np.flatnonzero(is_object & (side < TINY_SIDE))
    huge = np.flatnonzero(is_object & (sides >= HUGE_SHARE * limits[:, 2:]).all(axis=1))
    many = MAX_EXTREME_SHARE * max(int(is_object.sum()), 1)
    return [
        *_report_rows(
            split, "tiny", "warning" if len(tiny) > many else "note",
            f"boxes are smaller than {TINY_SIDE:g} × {TINY_SIDE:g} pixels after resizing", tiny,
            "raise --image-min-side and --image-max-side, cut large images into tiles, or add a finer level "
            "(--min-level 2)", lambda row: f"is {side[row]:.1f} pixels after resizing",
        ),
        *_report_rows(
            split, "huge", "warning" if len(huge) > many else "note", "boxes cover their whole image", huge,
            "usual for portraits; otherwise check whether they are labels of the image, not boxes", lambda _: "",
        ),
    ]  # fmt: skip


def _report_rows(
    split: ScannedSplit, kind: str, severity: Severity, title: str, rows: Any, fix: str, what: Callable[[int], str]
) -> list[Finding]:
    examples = [split.box_example(int(row), what(int(row))) for row in rows[:MAX_EXAMPLES]]
    return report_cases(kind, severity, split.split, title, examples, fix, count=len(rows))


def _image_limits(split: ScannedSplit) -> tuple[Any, Any]:
    """`(N, 4)` W, H, W, H of each box's image, and `(N,)` bool: these are known."""
    limits = split.sizes[split.raw_image][:, [1, 0, 1, 0]].astype(np.float64)
    return limits, (limits > 0).all(axis=1)
