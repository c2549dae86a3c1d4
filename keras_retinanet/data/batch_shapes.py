"""Few batch shapes for images of many sizes: each shape is compiled once, and padding is wasted computation."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_retinanet.config import ResizeConfig
from keras_retinanet.data.resized_sizes import padded_size, resized_size

ASPECT_RATIOS = ((3, 4), (4, 3), (2, 3), (3, 2), (9, 16), (16, 9), (1, 1))
"""Height : width of cameras and screens, most common first."""

_MAX_CANDIDATES = 400  # sizes that the search distinguishes; its time is quadratic
_MIN_GAIN = 0.02  # share of the pixels that one more shape must save
_STEPS = 4  # between the shortest and the longest side of the buckets


def choose_batch_shapes(
    sizes: Any, *, pad_multiple: int, max_shapes: int = 4, batch_size: int = 1
) -> tuple[list[tuple[int, int]], Any]:
    """Group images by aspect ratio; each group has one batch shape that holds all its images.

    The grouping minimises the pixels computed per epoch, including unused places in the last batch of each group (exact
    dynamic programming along the sorted aspect ratios). Each further shape must save 2 %.

    Args:
        sizes: `(N, 2)` int. Height and width of each image after resizing.
        pad_multiple: Sides of the shapes are multiples of this.
        max_shapes: Defaults to 4.
        batch_size: Images per batch. Defaults to 1.

    Returns:
        Batch shapes as `(H, W)`, from the widest to the tallest, and `(N,)` the index of each image's shape.
    """
    padded = _rounded_up(np.asarray(sizes, np.int64), pad_multiple)
    unique, kind, count = np.unique(padded, axis=0, return_inverse=True, return_counts=True)
    order = np.argsort(unique[:, 0] / unique[:, 1], kind="stable")
    ends = _cut(unique[order], count[order], max_shapes, batch_size)
    group_of_kind = np.empty(len(order), np.int64)
    batch_shapes = []
    for group, (start, end) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
        group_of_kind[order[start:end]] = group
        height, width = unique[order[start:end]].max(axis=0)
        batch_shapes.append((int(height), int(width)))
    return batch_shapes, group_of_kind[kind.reshape(-1)]


def bucket_shape(height: int, width: int, resize: ResizeConfig) -> tuple[int, int]:
    """Padded shape of an image when the other images are unknown: one of at most 16 buckets.

    The shorter side is rounded up to a quarter of `min_side`, the longer one to a quarter of the distance from
    `min_side` to `max_side`.

    Args:
        height: Height after resizing.
        width: Width after resizing.
        resize: The rule.

    Returns:
        `(H, W)`, at least as large.
    """
    short, long = sorted((height, width))
    least = min(resize.min_side, resize.max_side)
    short = _next_step(short, 0, least)
    long = max(short, _next_step(long, least, resize.max_side))
    return padded_size(*((short, long) if height <= width else (long, short)), resize)


def _next_step(side: int, low: int, high: int) -> int:
    steps = [low + -(-(high - low) * step // _STEPS) for step in range(_STEPS + 1)]
    return next((step for step in steps if step >= side), side)


def common_image_sizes(resize: ResizeConfig) -> list[tuple[int, int]]:
    """Sizes of small images that together need every bucket of the common aspect ratios.

    Args:
        resize: The rule.

    Returns:
        `(height, width)` in pixels, one per bucket, the most common first.
    """
    by_shape: dict[tuple[int, int], tuple[int, int]] = {}
    for height, width in ((48 * rows, 48 * columns) for rows, columns in ASPECT_RATIOS):
        shape = padded_size(*resized_size(height, width, resize), resize)
        by_shape.setdefault(shape, (height, width))
    return list(by_shape.values())


def _rounded_up(sizes: Any, multiple: int) -> Any:
    padded = -(-sizes // multiple) * multiple
    while len(np.unique(padded, axis=0)) > _MAX_CANDIDATES:
        multiple *= 2
        padded = -(-sizes // multiple) * multiple
    return padded


def _cut(sizes: Any, count: Any, max_shapes: int, batch_size: int) -> list[int]:
    """Ends of the groups along the sorted sizes `(U, 2)`."""
    pixels = _pixels_of_ranges(sizes, count, batch_size)
    best, steps = [pixels[0]], []  # best[g][j]: fewest pixels of the first j + 1 sizes in g + 1 groups
    for _ in range(min(max_shapes, len(sizes)) - 1):
        total = best[-1][:-1, None] + pixels[1:]  # (where the last group starts, where it ends)
        steps.append(np.concatenate([[0], total.argmin(axis=0)[1:]]))
        best.append(np.concatenate([[np.inf], total.min(axis=0)[1:]]))
    cost = [row[-1] * (1 + _MIN_GAIN * groups) for groups, row in enumerate(best)]
    ends = [len(sizes)]
    for step in reversed(steps[: int(np.argmin(cost))]):
        ends.append(int(step[ends[-1] - 1]) + 1)
    return ends[::-1]


def _pixels_of_ranges(sizes: Any, count: Any, batch_size: int) -> Any:
    """`(U, U)`: pixels computed if sizes i … j share one shape; infinite where j < i."""
    pixels = np.full((len(sizes), len(sizes)), np.inf)
    for first in range(len(sizes)):
        shape = np.maximum.accumulate(sizes[first:], axis=0).prod(axis=1)
        batches = -(-np.cumsum(count[first:]) // batch_size)
        pixels[first, first:] = shape * batches * batch_size
    return pixels
