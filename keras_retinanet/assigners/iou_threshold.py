"""Assignment by fixed IoU thresholds (paper §4.1).

The boxes of an image are visited a few at a time while each anchor keeps its best box so far: memory is a few `(A,)`
vectors for any number of boxes, never a matrix of anchors × boxes.
"""

from __future__ import annotations

from keras import ops

from keras_retinanet.assigners.assigner import AssignerInputs, Assignment
from keras_retinanet.assigners.per_image import CROWD_SHARE, assign_each_image, label_anchors
from keras_retinanet.config import ForcedBox
from keras_retinanet.geometry.boxes import EPSILON, area, intersection
from keras_retinanet.schema import Tensor

BLOCK = 4
"""Boxes compared in one pass over the anchors; measured best of 1, 2, 4, 5, 10, 20 (benchmarks/assigners.py)."""


def iou_threshold(
    inputs: AssignerInputs, *, positive_iou: float, negative_iou: float, use_force_match: bool, forced_box: ForcedBox
) -> Assignment:
    """Assigns the anchors of a batch by IoU thresholds; see `assign_image`.

    Args:
        inputs: Anchors and boxes.
        positive_iou: From this IoU on an anchor is an object.
        negative_iou: Up to this IoU an anchor is background.
        use_force_match: Also assign the best anchor of each box.
        forced_box: What such an anchor learns: see `assign_image`.

    Returns:
        The assignment.
    """
    images = (inputs.boxes, inputs.labels, inputs.ignore, inputs.sizes)
    return assign_each_image(
        assign_image,
        inputs.anchors,
        images,
        positive_iou=positive_iou,
        negative_iou=negative_iou,
        use_force_match=use_force_match,
        forced_box=forced_box,
    )


def assign_image(
    anchors: Tensor,
    boxes: Tensor,
    labels: Tensor,
    ignore: Tensor,
    size: Tensor,
    *,
    positive_iou: float = 0.5,
    negative_iou: float = 0.4,
    use_force_match: bool = False,
    forced_box: ForcedBox = "best",
) -> tuple[Tensor, Tensor]:
    """Assigns the anchors of one image.

    An anchor is an object of its best box (the first of equals) if their IoU is at least `positive_iou`. It is ignored
    if that IoU is above `negative_iou`, if half of it lies in an ignore region (crowd) and it has no object, and in
    any case if its centre lies outside the unpadded image.

    Args:
        anchors: `(A, 4)` in pixels.
        boxes: `(N, 4)` in pixels.
        labels: `(N,)` int; rows with a negative label are padding.
        ignore: `(N,)` bool, or int with 1 for ignore regions.
        size: `(2,)`: height and width of the image before padding.
        positive_iou: From this IoU on an anchor is an object.
        negative_iou: Up to this IoU an anchor is background.
        use_force_match: Also make objects of those anchors that no other anchor surpasses for some box, however low
            their IoU (above 0).
        forced_box: `"best"`: such an anchor learns its own best box, as in torchvision's RetinaNet; `"own"`: the box
            for which it is the best anchor, the last of several, as in SSD.

    Returns:
        Anchor labels `(A,)` int32 and index of the best box `(A,)` int32 (0 if there is none).

    Reference:
        fizyr/keras-retinanet `anchor_targets_bbox`; force-matching as torchvision's `Matcher` and `SSDMatcher`.
    """
    best, index, crowd, owner = _best_boxes(anchors, boxes, labels, ignore, use_force_match)
    is_forced = owner >= 0
    if forced_box == "own":
        index = ops.where(is_forced, owner, index)
    is_object = ops.logical_or(best >= positive_iou, is_forced)
    is_ignored = ops.logical_or(best > negative_iou, crowd >= CROWD_SHARE)
    return label_anchors(is_object, is_ignored, anchors, size), index


def _best_boxes(
    anchors: Tensor, boxes: Tensor, labels: Tensor, ignore: Tensor, use_force_match: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Best IoU, its box, largest share inside an ignore region, and the last box it is the best anchor of, or -1.

    Four `(A,)` vectors.
    """
    count = ops.shape(boxes)[0]
    blocks = (count + BLOCK - 1) // BLOCK
    rows = ops.minimum(ops.arange(blocks * BLOCK), count - 1)  # the last row again fills the last block
    boxes, labels = ops.take(boxes, rows, axis=0), ops.take(labels, rows, axis=0)
    is_region = ops.logical_and(ops.take(ignore, rows, axis=0), labels >= 0)
    is_real = ops.logical_and(ops.logical_not(is_region), labels >= 0)
    anchor_area = area(anchors)
    safe_area = ops.maximum(anchor_area, EPSILON)

    def visit(block: Tensor, carry: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        best, index, crowd, owner = carry
        for within in range(BLOCK):
            row = block * BLOCK + within
            box = boxes[row]
            common = intersection(anchors, box)
            overlap = common / ops.maximum(anchor_area + area(box) - common, EPSILON)
            overlap = overlap * ops.cast(is_real[row], "float32")
            crowd = ops.maximum(crowd, common / safe_area * ops.cast(is_region[row], "float32"))
            is_better = overlap > best
            best = ops.where(is_better, overlap, best)
            index = ops.where(is_better, ops.cast(row, "int32"), index)
            if use_force_match:
                is_best = ops.logical_and(overlap > 0, overlap >= ops.max(overlap))
                owner = ops.where(is_best, ops.cast(ops.minimum(row, count - 1), "int32"), owner)
        return best, index, crowd, owner

    zeros = ops.zeros_like(anchor_area)
    nothing = ops.cast(zeros, "int32")
    start = (zeros, nothing, zeros, nothing - 1)
    return ops.fori_loop(0, blocks, visit, start)
