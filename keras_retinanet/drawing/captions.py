"""Placement of captions next to their boxes, so that they hide few other captions and objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_retinanet.box_overlap import areas, intersections, share_of_smaller

MAX_FORCED_CAPTIONS = 20
"""Up to this many captions are all placed; of more, those that would hide other captions or objects are left out."""

_MAX_HIDDEN_SHARE = 0.3  # of another object or of the caption, whichever is smaller
_MAX_CAPTION_OVERLAP = 0.1  # share of a caption that another caption may hide


def place_captions(boxes: Any, extents: Any, size: tuple[int, int]) -> list[tuple[int, int] | None]:
    """Places each caption above its box, below it, or inside at its upper edge.

    Args:
        boxes: `(N, 4)` x1, y1, x2, y2 in pixels, in ascending order of importance.
        extents: `(N, 2)` width and height of each caption in pixels.
        size: Width and height of the image.

    Returns:
        Left and top of each caption in pixels, inside the image if it fits; `None` for captions that are left out.
    """
    boxes, extents = np.asarray(boxes, np.float64).reshape(-1, 4), np.asarray(extents, np.float64).reshape(-1, 2)
    places: list[tuple[int, int] | None] = [None] * len(boxes)
    taken = np.zeros((0, 4))
    for k in reversed(range(len(boxes))):
        candidates = _candidate_places(boxes[k], extents[k], size)
        hidden = share_of_smaller(candidates[:, None], taken[None]).max(axis=1, initial=0)
        cost = _hidden_cost(candidates, boxes, k)
        is_free = (hidden <= _MAX_CAPTION_OVERLAP) & (cost <= _MAX_HIDDEN_SHARE)
        if len(boxes) > MAX_FORCED_CAPTIONS and not is_free.any():
            continue
        best = int(np.argmin(cost + 10 * (hidden > _MAX_CAPTION_OVERLAP) + 0.01 * np.arange(len(cost))))
        taken = np.concatenate([taken, candidates[best][None]])
        places[k] = (int(candidates[best][0]), int(candidates[best][1]))
    return places


def _candidate_places(box: Any, extent: Any, size: tuple[int, int]) -> Any:
    """`(P, 4)` places in order of preference: above, below, inside, each aligned left or right."""
    (x1, y1), (x2, y2) = np.floor(box[:2]), np.ceil(box[2:])
    lefts = [float(np.clip(x, 0, max(size[0] - extent[0], 0))) for x in (x1, x2 - extent[0])]
    tops = [y for y in (y1 - extent[1], y2) if 0 <= y <= size[1] - extent[1]]
    inside = float(np.clip(y1, 0, max(size[1] - extent[1], 0)))
    corners = np.array([(x, y) for y in [*tops, inside] for x in lefts])
    return np.concatenate([corners, corners + extent], axis=1)


def _hidden_cost(candidates: Any, boxes: Any, own: int) -> Any:
    """`(P,)` cost of each place: its overlap with other objects, summed; objects around the caption's own are free."""
    around = intersections(boxes[own], boxes) > 0.8 * areas(boxes[own])
    around[own] = False
    return share_of_smaller(candidates[:, None], boxes[~around][None]).sum(axis=1)


def caption_size(box: Any, usual: int, least: int) -> int:
    """Chooses the font size of a caption: smaller for small objects.

    Args:
        box: x1, y1, x2, y2 in pixels.
        usual: Size in pixels that suits the image.
        least: Smallest size in pixels.

    Returns:
        Font size in pixels.
    """
    side = float(np.sqrt(np.prod(np.maximum(np.asarray(box[2:], np.float64) - np.asarray(box[:2]), 0))))
    return int(np.clip(round(side / 5), max(least, round(usual / 3)), max(usual, least)))


def line_width(box: Sequence[float], usual: int) -> int:
    """Chooses the line width of a box: thinner for small objects.

    Args:
        box: x1, y1, x2, y2 in pixels.
        usual: Width in pixels that suits the image.

    Returns:
        Width in pixels, at least 1.
    """
    side = min(box[2] - box[0], box[3] - box[1])
    return int(np.clip(round(side / 16), 1, usual))
