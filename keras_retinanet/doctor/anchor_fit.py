"""Which boxes get a positive anchor: exactly what the matcher would find, without going through all anchors.

The overlap of a box with an anchor of given size is the product of an overlap along x and one along y, and each is
largest at the grid position nearest to the box's centre. So the best IoU of a box needs one position a level and shape,
and its positive anchors are found in a small window around that. `matching.match` answers the same (tested), in some
hundred times the time.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from keras_retinanet.config import AnchorConfig, ResizeConfig
from keras_retinanet.data.image import padded_size, resized_size
from keras_retinanet.geometry.anchors import Anchors, base_anchors
from keras_retinanet.schema import Sample

_CHUNK = 20_000  # boxes compared at once
_AREA = 1 << 22  # numbers of one window comparison at once


class NetworkBoxes(NamedTuple):
    """Boxes as the network gets them, ignore regions left out.

    Attributes:
        boxes: `(M, 4)` float64 in resized pixels.
        labels: `(M,)` int.
        image: `(M,)` int, ascending: the image of each.
        sizes: `(I, 2)` int height and width of each image once resized, not padded.
    """

    boxes: Any
    labels: Any
    image: Any
    sizes: Any


@dataclass(frozen=True)
class Fit:
    """How boxes meet anchors.

    Attributes:
        best: `(M,)` float. Largest IoU of each box with an anchor whose centre lies in the image.
        positives: `(M,)` int. Anchors that learn each box.
    """

    best: Any
    positives: Any


def network_boxes(samples: Sequence[Sample], resize: ResizeConfig) -> NetworkBoxes:
    """Boxes and images after the resize rule, before any augmentation.

    Args:
        samples: Annotated images that tell their size.
        resize: The rule.

    Returns:
        The boxes.
    """
    stored = np.array([sample["size"] for sample in samples], np.int64).reshape(-1, 2)
    sizes = np.stack(resized_size(stored[:, 0], stored[:, 1], resize), axis=1) if len(stored) else stored
    boxes, labels, owners = [np.zeros((0, 4))], [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for i, sample in enumerate(samples):
        is_object = ~np.asarray(sample["ignore"], bool)
        y, x = sizes[i] / stored[i]
        boxes.append(np.asarray(sample["boxes"], np.float64).reshape(-1, 4)[is_object] * [x, y, x, y])
        labels.append(np.asarray(sample["labels"], np.int64)[is_object])
        owners.append(np.full(int(is_object.sum()), i))
    return NetworkBoxes(np.concatenate(boxes), np.concatenate(labels), np.concatenate(owners), sizes)


class _Level(NamedTuple):
    """Grids of a pyramid level in every image: centres at `(position + offset) * stride`."""

    base: Any  # (a, 4)
    stride: Any  # (I, 2) y, x
    count: Any  # (I, 2) rows and columns with a centre in the image


def _levels(sizes: Any, anchors: AnchorConfig, resize: ResizeConfig) -> list[_Level]:
    layer = Anchors(anchors.sizes, anchors.strides, anchors.ratios, anchors.scales)  # refuses what does not go together
    padded = np.stack(padded_size(sizes[:, 0], sizes[:, 1], resize), axis=1)
    levels = []
    for size, stride, scales in zip(anchors.sizes, anchors.strides, layer.level_scales, strict=True):
        maps = padded
        for _ in range(int(stride).bit_length() - 1):
            maps = -(-maps // 2)  # every halving of the backbone and of levels 6 and 7 rounds up
        step = padded // maps if anchors.stride_mode == "grid" else np.full_like(padded, stride)
        inside = np.ceil(sizes / step - anchors.offset).astype(np.int64)
        base = base_anchors(size, anchors.ratios, scales, anchors.is_rounded, anchors.has_whole_sizes)
        levels.append(_Level(base, step, np.minimum(maps, inside)))
    return levels


def best_overlap(found: NetworkBoxes, anchors: AnchorConfig, resize: ResizeConfig) -> Any:
    """The largest IoU of each box with an anchor of its image.

    Args:
        found: M boxes.
        anchors: The anchors.
        resize: Tells how images are padded.

    Returns:
        `(M,)` float64.
    """
    levels, best = _levels(found.sizes, anchors, resize), np.zeros(len(found.boxes))
    for start in range(0, len(best), _CHUNK):
        part = slice(start, start + _CHUNK)
        for level in levels:
            overlap = _nearest_overlap(found.boxes[part], found.image[part], level, anchors.offset)
            best[part] = np.maximum(best[part], overlap.max(axis=1))
    return best


def _along(boxes: Any, image: Any, level: _Level, offset: float, axis: int) -> tuple[Any, Any]:
    """`(M, a)` along x (axis 0) or y (axis 1): the nearest position that lies in the image, and the overlap there."""
    low, high = level.base[:, axis], level.base[:, axis + 2]  # (a,)
    step, count = level.stride[image, 1 - axis, None], level.count[image, 1 - axis, None]  # (M, 1)
    middle = (boxes[:, axis, None] + boxes[:, axis + 2, None]) / 2 - (low + high) / 2
    position = np.clip(np.rint(middle / step - offset), 0, np.maximum(count - 1, 0))
    centre = (position + offset) * step
    common = np.minimum(boxes[:, axis + 2, None], centre + high) - np.maximum(boxes[:, axis, None], centre + low)
    return position, np.where(count > 0, np.maximum(common, 0), 0)


def _areas(boxes: Any) -> Any:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def _nearest_overlap(boxes: Any, image: Any, level: _Level, offset: float) -> Any:
    """`(M, a)`: largest IoU with each shape of a level."""
    common = _along(boxes, image, level, offset, 0)[1] * _along(boxes, image, level, offset, 1)[1]
    return common / np.maximum(_areas(boxes)[:, None] + _areas(level.base) - common, 1e-7)


def fit_anchors(found: NetworkBoxes, anchors: AnchorConfig, resize: ResizeConfig, positive_iou: float) -> Fit:
    """Best IoU and positive anchors of each box, as `matching.match` decides without force-matching.

    Args:
        found: M boxes.
        anchors: The anchors.
        resize: Tells how images are padded.
        positive_iou: IoU from which an anchor learns a box.

    Returns:
        The fit.
    """
    levels = _levels(found.sizes, anchors, resize)
    best, positives = np.zeros(len(found.boxes)), np.zeros(len(found.boxes), np.int64)
    for rows in _whole_images(found.image):
        boxes, image = found.boxes[rows], found.image[rows]
        for level in levels:
            overlap = _nearest_overlap(boxes, image, level, anchors.offset)  # (m, a)
            best[rows] = np.maximum(best[rows], overlap.max(axis=1))
            row, shape = np.nonzero(overlap >= positive_iou)
            cells = _cells(boxes, image, level, anchors.offset, row, shape, positive_iou)
            positives[rows] += np.bincount(_winners(image, *cells), minlength=len(boxes))
    return Fit(best, positives)


def _whole_images(image: Any) -> list[slice]:
    """Rows cut into chunks between images, since the boxes of one image compete for its anchors."""
    starts = np.flatnonzero(np.diff(image, prepend=-1))
    cuts = [0]
    for start in [*starts.tolist(), len(image)]:
        if start - cuts[-1] >= _CHUNK or start == len(image):
            cuts.append(start)
    return [slice(low, high) for low, high in itertools.pairwise(cuts) if high > low]


def _cells(
    boxes: Any, image: Any, level: _Level, offset: float, row: Any, shape: Any, positive_iou: float
) -> tuple[Any, Any, Any]:
    """Anchors of a level that overlap box `row[p]` enough: `(C,)` box, anchor as a number in its image, and IoU."""
    base, step = level.base[shape], level.stride[image[row]]
    out: list[tuple[Any, Any, Any]] = []
    reach = [_reach(_sides(boxes[row], k), _sides(base, k), step[:, 1 - k], positive_iou) for k in (0, 1)]
    size = max(1, _AREA // ((2 * reach[0] + 1) * (2 * reach[1] + 1)))
    for start in range(0, len(row), size):
        part = slice(start, start + size)
        r, s = row[part], shape[part]
        (x, common_x), (y, common_y) = (
            _window(boxes[r], base[part], level, image[r], offset, k, reach[k]) for k in (0, 1)
        )
        common = common_y[:, :, None] * common_x[:, None, :]  # (p, ry, rx)
        overlap = common / ((_areas(boxes)[r] + _areas(base[part]))[:, None, None] - common)
        p, i, j = np.nonzero(overlap >= positive_iou)
        number = (y[p, i] * 1_000_000 + x[p, j]).astype(np.int64) * len(level.base) + s[p]
        out.append((r[p], number, overlap[p, i, j]))
    if not out:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
    row_of, numbers, overlaps = (np.concatenate(parts) for parts in zip(*out, strict=True))
    return row_of, numbers, overlaps


def _sides(boxes: Any, axis: int) -> Any:
    return boxes[:, axis + 2] - boxes[:, axis]


def _reach(side: Any, other: Any, step: Any, positive_iou: float) -> int:
    """Positions to either side that can still be positive: IoU bounds the common length, and so the distance."""
    furthest = (side + other) / 2 - positive_iou * np.maximum(side, other)
    return int(np.ceil(np.max(furthest / step, initial=0))) + 1


def _window(boxes: Any, base: Any, level: _Level, image: Any, offset: float, axis: int, reach: int) -> tuple[Any, Any]:
    """`(p, 2 * reach + 1)` positions around each box along an axis, and the overlaps there; 0 outside of the image."""
    step, count = level.stride[image, 1 - axis], level.count[image, 1 - axis]
    middle = (boxes[:, axis] + boxes[:, axis + 2] - base[:, axis] - base[:, axis + 2]) / 2
    position = np.rint(middle / step - offset)[:, None] + np.arange(-reach, reach + 1)
    centre = (position + offset) * step[:, None]
    high = np.minimum(boxes[:, axis + 2, None], centre + base[:, axis + 2, None])
    common = np.maximum(high - np.maximum(boxes[:, axis, None], centre + base[:, axis, None]), 0)
    return position, np.where((position >= 0) & (position < count[:, None]), common, 0)


def _winners(image: Any, row: Any, number: Any, overlap: Any) -> Any:
    """The box that each contested anchor learns: the one of largest IoU, of equals the first."""
    order = np.lexsort((row, -overlap, number, image[row]))
    owner, number = image[row][order], number[order]
    is_first = np.ones(len(order), bool)
    is_first[1:] = (owner[1:] != owner[:-1]) | (number[1:] != number[:-1])
    return row[order][is_first]
