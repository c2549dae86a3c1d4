"""Adaptive training sample selection (ATSS): each box has its own IoU threshold, from the anchors nearest to it."""

from __future__ import annotations

from keras import ops

from keras_retinanet.assigners.assigner import AssignerInputs, Assignment
from keras_retinanet.assigners.per_image import (
    CENTRE_MARGIN,
    CROWD_SHARE,
    assign_each_image,
    at_row,
    centres,
    label_anchors,
    largest,
    largest_crowd_share,
    rows_first,
    with_values_at,
)
from keras_retinanet.geometry.boxes import iou
from keras_retinanet.schema import Tensor


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
    x, y = centres(anchors)
    is_region = ops.logical_and(ignore, labels >= 0)
    is_real = ops.logical_and(ops.logical_not(is_region), labels >= 0)

    rows, count = rows_first(is_real)

    def visit(step: Tensor, carry: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        best, index = carry
        row = at_row(rows, step)
        box = at_row(boxes, row)
        positions = _candidates(level_anchors, anchors_per_cell, nearest_cells, box)  # (C,)
        overlap = iou(ops.take(anchors, positions, axis=0), box)
        own_x, own_y = ops.take(x, positions), ops.take(y, positions)
        margin = ops.minimum(ops.minimum(own_x - box[0], own_y - box[1]), ops.minimum(box[2] - own_x, box[3] - own_y))
        is_chosen = ops.logical_and(overlap >= _threshold(overlap), margin > CENTRE_MARGIN)
        is_better = ops.logical_and(is_chosen, overlap > ops.take(best, positions))
        return (
            with_values_at(best, positions, is_better, overlap),
            with_values_at(index, positions, is_better, ops.cast(row, "int32")),
        )

    start = (ops.zeros_like(x), ops.cast(ops.zeros_like(x), "int32"))
    best, index = ops.fori_loop(0, count, visit, start)
    crowd = largest_crowd_share(anchors, boxes, is_region)
    return label_anchors(best > 0, crowd >= CROWD_SHARE, anchors, size), index


def _candidates(
    level_anchors: tuple[Tensor, ...], anchors_per_cell: tuple[int, ...], nearest_cells: int, box: Tensor
) -> Tensor:
    """`(C,)` int32: positions among all anchors of those at the cells nearest to the box's centre."""
    box_x, box_y = centres(box)
    first, found = 0, []
    for anchors, per_cell in zip(level_anchors, anchors_per_cell, strict=True):
        x, y = centres(anchors[::per_cell])  # one centre per cell: those of its anchors differ in the last bit
        cells = largest(-(ops.square(x - box_x) + ops.square(y - box_y)), nearest_cells)
        own = first + cells[:, None] * per_cell + ops.arange(per_cell, dtype="int32")  # (k, per_cell)
        found.append(ops.reshape(own, (-1,)))
        first = first + ops.shape(anchors)[0]
    return ops.concatenate(found)


def _threshold(overlaps: Tensor) -> Tensor:
    """Mean plus standard deviation (over n - 1) of `(C,)`."""
    count = ops.cast(ops.shape(overlaps)[0], "float32")
    mean = ops.mean(overlaps)
    return mean + ops.sqrt(ops.sum(ops.square(overlaps - mean)) / ops.maximum(count - 1.0, 1.0))
