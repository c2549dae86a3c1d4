"""Areas and overlaps of boxes as NumPy arrays `(..., 4)` of `(x1, y1, x2, y2)`; `geometry.boxes` has those on tensors.

All functions broadcast over the leading axes: `iou(a[:, None], b[None])` is the pairwise matrix, `iou(a, b)` goes row
by row. The dtype of the result is that of the boxes.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def areas(boxes: Any) -> Any:
    """Areas of boxes; 0 for a box whose corners are swapped.

    Args:
        boxes: `(..., 4)` in pixels.

    Returns:
        `(...)` in square pixels.
    """
    sides = np.maximum(boxes[..., 2:] - boxes[..., :2], 0)
    return sides[..., 0] * sides[..., 1]


def intersections(a: Any, b: Any) -> Any:
    """Areas that boxes have in common.

    Args:
        a: `(..., 4)` in pixels.
        b: `(..., 4)` in pixels, broadcast against `a`.

    Returns:
        `(...)` in square pixels.
    """
    sides = np.maximum(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0)
    return sides[..., 0] * sides[..., 1]


def iou(a: Any, b: Any) -> Any:
    """Intersection over union; 0 if both boxes are empty.

    Args:
        a: `(..., 4)` in pixels.
        b: `(..., 4)` in pixels, broadcast against `a`.

    Returns:
        `(...)` in `0 … 1`.
    """
    common = intersections(a, b)
    return common / np.maximum(areas(a) + areas(b) - common, 1e-9)


def share_of_smaller(a: Any, b: Any) -> Any:
    """Intersection over the area of the smaller box; 0 if one is empty.

    Args:
        a: `(..., 4)` in pixels.
        b: `(..., 4)` in pixels, broadcast against `a`.

    Returns:
        `(...)` in `0 … 1`.
    """
    return intersections(a, b) / np.maximum(np.minimum(areas(a), areas(b)), 1e-12)
