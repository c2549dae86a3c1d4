"""Where captions stand: beside their box, on no other caption, and on as little of other objects as can be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_retinanet.box_overlap import areas, intersections, share_of_smaller

FEW = 20
"""Up to so many captions are all written; among more, those that would hide others or their objects are left out."""
_ALLOWED = 0.3  # share that a caption may hide, of itself or of another object
_OVERLAP = 0.1  # share of a caption that another caption may hide


def place_captions(boxes: Any, extents: Any, size: tuple[int, int]) -> list[tuple[int, int] | None]:
    """Finds a place for each caption: above its box, below it, or inside at its upper edge.

    Args:
        boxes: `(N, 4)` x1, y1, x2, y2 in pixels; the last is the most important one.
        extents: `(N, 2)` width and height of each caption in pixels.
        size: Width and height of the image.

    Returns:
        Left and upper corner of each caption, wholly inside the image where it fits; `None` for those left out.
    """
    boxes, extents = np.asarray(boxes, np.float64).reshape(-1, 4), np.asarray(extents, np.float64).reshape(-1, 2)
    places: list[tuple[int, int] | None] = [None] * len(boxes)
    taken = np.zeros((0, 4))
    for k in reversed(range(len(boxes))):
        candidates = _candidates(boxes[k], extents[k], size)
        hidden = share_of_smaller(candidates[:, None], taken[None]).max(axis=1, initial=0)
        cost = _hidden_objects(candidates, boxes, k)
        is_free = (hidden <= _OVERLAP) & (cost <= _ALLOWED)
        if len(boxes) > FEW and not is_free.any():
            continue
        best = int(np.argmin(cost + 10 * (hidden > _OVERLAP) + 0.01 * np.arange(len(cost))))
        taken = np.concatenate([taken, candidates[best][None]])
        places[k] = (int(candidates[best][0]), int(candidates[best][1]))
    return places


def _candidates(box: Any, extent: Any, size: tuple[int, int]) -> Any:
    """`(P, 4)` places, the most usual first: above, below, inside, each from the left edge or up to the right."""
    (x1, y1), (x2, y2) = np.floor(box[:2]), np.ceil(box[2:])
    lefts = [float(np.clip(x, 0, max(size[0] - extent[0], 0))) for x in (x1, x2 - extent[0])]
    tops = [y for y in (y1 - extent[1], y2) if 0 <= y <= size[1] - extent[1]]
    inside = float(np.clip(y1, 0, max(size[1] - extent[1], 0)))
    corners = np.array([(x, y) for y in [*tops, inside] for x in lefts])
    return np.concatenate([corners, corners + extent], axis=1)


def _hidden_objects(candidates: Any, boxes: Any, own: int) -> Any:
    """What each place hides of objects, `(P,)`: the sum over objects of the share of the object, or of the caption.

    An object around the caption's own is not hidden by it.
    """
    around = intersections(boxes[own], boxes) > 0.8 * areas(boxes[own])
    around[own] = False
    return share_of_smaller(candidates[:, None], boxes[~around][None]).sum(axis=1)


def caption_size(box: Any, usual: int, least: int) -> int:
    """Height of a caption's letters: smaller for small objects, which would vanish under it.

    Args:
        box: x1, y1, x2, y2 in pixels.
        usual: int. What suits the image, in pixels.
        least: int. In pixels.

    Returns:
        Pixels.
    """
    side = float(np.sqrt(np.prod(np.maximum(np.asarray(box[2:], np.float64) - np.asarray(box[:2]), 0))))
    return int(np.clip(round(side / 5), max(least, round(usual / 3)), max(usual, least)))


def line_width(box: Sequence[float], usual: int) -> int:
    """Width of a box's line: thinner around small objects.

    Args:
        box: x1, y1, x2, y2 in pixels.
        usual: int. What suits the image, in pixels.

    Returns:
        Pixels, at least 1.
    """
    side = min(box[2] - box[0], box[3] - box[1])
    return int(np.clip(round(side / 16), 1, usual))
