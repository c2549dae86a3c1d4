"""Chooses the boxes of a synthetic scene: sizes, aspect ratios, and a share of overlapping pairs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_retinanet.box_overlap import iou, share_of_smaller

Array = NDArray[Any]

BOX_SIDES = (12.0, 250.0)
"""Smallest and largest side in pixels."""
MAX_OBJECTS = 15
EMPTY_SHARE = 0.1
"""Share of scenes without objects."""
OVERLAP_SHARE = 0.2
"""Share of objects that overlap another."""
OVERLAP_IOU = 0.2
"""Minimum IoU of such a pair."""


def place_boxes(rng: np.random.Generator, height: int, width: int) -> Array:
    """Choose the boxes of a scene.

    Args:
        rng: Generator of the scene.
        height: Pixels of the image.
        width: Pixels of the image.

    Returns:
        `(N, 4)` float64 boxes, `OVERLAP_SHARE` of them in pairs of IoU above `OVERLAP_IOU`; others hardly overlap.
    """
    count = 0 if rng.uniform() < EMPTY_SHARE else int(rng.integers(1, MAX_OBJECTS + 1))
    pairs = min(int(count * OVERLAP_SHARE / 2 + rng.uniform()), count // 2)
    scales = -np.sort(-rng.beta(1.5, 1.5, count - pairs))  # largest first, while there is room
    boxes = np.zeros((0, 4))
    for scale in scales:
        side = BOX_SIDES[0] * (BOX_SIDES[1] / BOX_SIDES[0]) ** scale
        box = _free_box(rng, boxes, side, height, width)
        boxes = boxes if box is None else np.concatenate([boxes, box[None]])
    for index in rng.permutation(len(boxes))[:pairs]:
        box = _overlapping_box(rng, boxes, int(index), height, width)
        boxes = boxes if box is None else np.concatenate([boxes, box[None]])
    return boxes


def _random_sides(rng: np.random.Generator, side: float) -> Array:
    """Width and height whose geometric mean is `side`, at most 2.2 : 1, both within `BOX_SIDES`."""
    side = float(np.clip(side, *BOX_SIDES))
    limit = min(2.2, (side / BOX_SIDES[0]) ** 2, (BOX_SIDES[1] / side) ** 2)
    stretch = limit ** (rng.uniform(-1, 1) / 2)
    return np.clip([side * stretch, side / stretch], *BOX_SIDES)


def _free_box(rng: np.random.Generator, boxes: Array, side: float, height: int, width: int) -> Array | None:
    """A box that hardly overlaps others; it shrinks until there is space for it."""
    while side >= BOX_SIDES[0]:
        sides = _random_sides(rng, side)
        corners = rng.uniform(0, 1, (24, 2)) * (np.array([width, height]) - sides)
        candidates = np.concatenate([corners, corners + sides], axis=1)
        share = iou(candidates[:, None], boxes[None])  # (M, N)
        hidden = share_of_smaller(candidates[:, None], boxes[None])
        fits = np.flatnonzero((share < OVERLAP_IOU / 2).all(axis=1) & (hidden < 0.25).all(axis=1))
        if fits.size:
            return candidates[fits[0]]
        side *= 0.85
    return None


def _overlapping_box(rng: np.random.Generator, boxes: Array, index: int, height: int, width: int) -> Array | None:
    """A box of IoU above `OVERLAP_IOU` with box `index`, and below it with all others."""
    first = boxes[index]
    mean_side = float(np.sqrt(np.prod(first[2:] - first[:2])))
    for _ in range(12):
        sides = _random_sides(rng, mean_side * np.exp(rng.uniform(-0.4, 0.4)))
        centres = (first[:2] + first[2:]) / 2 + rng.uniform(-0.7, 0.7, (24, 2)) * sides
        corners = np.clip(centres - sides / 2, 0, np.array([width, height]) - sides)
        candidates = np.concatenate([corners, corners + sides], axis=1)
        share = iou(candidates[:, None], boxes[None])  # (M, N)
        hidden = share_of_smaller(candidates[:, None], boxes[None])
        others = np.arange(len(boxes)) != index
        is_pair = (share[:, index] > OVERLAP_IOU + 0.01) & (share[:, index] < 0.5)
        is_free = (share[:, others] < OVERLAP_IOU / 2).all(axis=1) & (hidden[:, others] < 0.25).all(axis=1)
        if (is_pair & is_free).any():
            return candidates[np.flatnonzero(is_pair & is_free)[0]]
    return None
