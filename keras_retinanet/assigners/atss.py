"""Adaptive training sample selection (ATSS): each box has its own IoU threshold, from the anchors nearest to it."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_retinanet.assigners.assigner import AssignerInputs, Assignment
from keras_retinanet.assigners.per_image import CROWD_SHARE, assign_each_image, label_anchors
from keras_retinanet.geometry.boxes import EPSILON, area, intersection, iou
from keras_retinanet.schema import Tensor

CENTRE_MARGIN = 0.01
"""Pixels by which an anchor's centre must lie inside the box, as in the published code."""


def atss(inputs: AssignerInputs, *, nearest_cells: int) -> Assignment:
    """Assigns the anchors of a batch with ATSS; see `assign_image`.

    Args:
        inputs: Anchors and boxes.
        nearest_cells: Positions per level whose anchors are candidates, k in the paper.

    Returns:
        The assignment.
    """
    images = (inputs.boxes, inputs.labels, inputs.ignore, inputs.sizes)
    return assign_each_image(
        assign_image,
        inputs.level_anchors,
        images,
        anchors_per_cell=tuple(inputs.anchors_per_cell),
        nearest_cells=nearest_cells,
    )


def assign_image(
    level_anchors: tuple[Tensor, ...],
    boxes: Tensor,
    labels: Tensor,
    ignore: Tensor,
    size: Tensor,
    *,
    anchors_per_cell: tuple[int, ...],
    nearest_cells: int = 9,
) -> tuple[Tensor, Tensor]:
    """Assigns the anchors of one image.

    The candidates of a box are the anchors of the `nearest_cells` positions of each level whose centres are nearest to
    the box's. A candidate is positive if its IoU with the box is at least the mean plus one standard deviation of the
    IoUs of all the box's candidates and its centre lies inside the box. An anchor that qualifies for several boxes is
    assigned to the one with the largest IoU. All others are background, except that an anchor is ignored if half of it
    lies in an ignore region (crowd), or if its centre lies outside the unpadded image.

    Args:
        level_anchors: `(A_level, 4)` in pixels, one per level.
        boxes: `(N, 4)` in pixels, at least one row.
        labels: `(N,)` int; rows with a negative label are padding.
        ignore: `(N,)` bool, or int with 1 for ignore regions.
        size: `(2,)`: height and width of the image before padding.
        anchors_per_cell: Anchors at each position, one number per level.
        nearest_cells: k.

    Returns:
        Anchor labels `(A,)` int32 and index of the assigned box `(A,)` int32 (0 if there is none).

    Reference:
        Zhang et al., Bridging the Gap Between Anchor-based and Anchor-free Detection, 2020, algorithm 1. As in the
        published code, each level gives k × anchors per position candidates, and the standard deviation divides by
        n - 1.
    """
    anchors = ops.concatenate(level_anchors, axis=0)  # (A, 4)
    x, y = _centres(anchors)
    anchor_area = ops.maximum(area(anchors), EPSILON)
    is_region = ops.logical_and(ignore, labels >= 0)
    is_real = ops.logical_and(ops.logical_not(is_region), labels >= 0)

    def visit(row: Tensor, carry: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        best, index, crowd = carry
        box = boxes[row]
        crowd = ops.maximum(crowd, intersection(anchors, box) / anchor_area * ops.cast(is_region[row], "float32"))
        positions = _candidates(level_anchors, anchors_per_cell, nearest_cells, box)  # (C,)
        overlap = iou(ops.take(anchors, positions, axis=0), box)
        own_x, own_y = ops.take(x, positions), ops.take(y, positions)
        margin = ops.minimum(ops.minimum(own_x - box[0], own_y - box[1]), ops.minimum(box[2] - own_x, box[3] - own_y))
        is_chosen = ops.logical_and(overlap >= _threshold(overlap), margin > CENTRE_MARGIN)
        is_better = ops.logical_and(ops.logical_and(is_chosen, is_real[row]), overlap > ops.take(best, positions))
        return (
            _update(best, positions, is_better, overlap),
            _update(index, positions, is_better, ops.cast(row, "int32")),
            crowd,
        )

    zeros = ops.zeros_like(anchor_area)
    start = (zeros, ops.cast(zeros, "int32"), zeros)
    best, index, crowd = ops.fori_loop(0, ops.shape(boxes)[0], visit, start)
    return label_anchors(best > 0, crowd >= CROWD_SHARE, anchors, size), index


def _centres(boxes: Tensor) -> tuple[Tensor, Tensor]:
    return (boxes[..., 0] + boxes[..., 2]) / 2, (boxes[..., 1] + boxes[..., 3]) / 2


def _candidates(
    level_anchors: tuple[Tensor, ...], anchors_per_cell: tuple[int, ...], nearest_cells: int, box: Tensor
) -> Tensor:
    """`(C,)` int32: positions among all anchors of those at the cells nearest to the box's centre."""
    box_x, box_y = _centres(box)
    first, found = 0, []
    for anchors, per_cell in zip(level_anchors, anchors_per_cell, strict=True):
        x, y = _centres(anchors[::per_cell])  # one centre per cell: those of its anchors differ in the last bit
        cells = _nearest(ops.square(x - box_x) + ops.square(y - box_y), nearest_cells)
        own = first + cells[:, None] * per_cell + ops.arange(per_cell, dtype="int32")  # (k, per_cell)
        found.append(ops.reshape(own, (-1,)))
        first = first + ops.shape(anchors)[0]
    return ops.concatenate(found)


def _nearest(distances: Tensor, k: int) -> Tensor:
    """Positions `(k,)` int32 of the smallest distances, or of all if there are fewer; of equals the first."""
    if keras.backend.backend() == "torch":  # torch.topk leaves the order of equal values open
        return ops.cast(ops.argsort(distances)[:k], "int32")
    size: Any = ops.shape(distances)[0]
    k = min(k, size) if isinstance(size, int) else ops.minimum(k, size)
    return ops.cast(ops.top_k(-distances, k)[1], "int32")


def _threshold(overlaps: Tensor) -> Tensor:
    """Mean plus standard deviation (over n - 1) of `(C,)`."""
    count = ops.cast(ops.shape(overlaps)[0], "float32")
    mean = ops.mean(overlaps)
    return mean + ops.sqrt(ops.sum(ops.square(overlaps - mean)) / ops.maximum(count - 1.0, 1.0))


def _update(values: Tensor, positions: Tensor, is_new: Tensor, new: Tensor) -> Tensor:
    """`values (A,)` with `new` at those `positions (C,)` that `is_new` marks."""
    updates = ops.where(is_new, new, ops.take(values, positions))
    return ops.scatter_update(values, positions[:, None], updates)
