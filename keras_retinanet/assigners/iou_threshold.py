"""Which anchor learns which box (paper §4.1): 1 object, 0 background, -1 ignored.

The boxes of an image are visited a few at a time while every anchor remembers its best so far: memory is a handful of
`(A,)` vectors whatever the number of boxes, never a matrix of anchors × boxes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_retinanet.geometry.boxes import EPSILON, area, intersection
from keras_retinanet.schema import Tensor

BLOCK = 4
"""Boxes compared in one pass over the anchors; measured best of 1, 2, 4, 5, 10, 20 (benchmarks/matching.py)."""

CROWD_SHARE = 0.5
"""An anchor with at least this share of its area inside an ignore region does not learn background there."""


def match(
    anchors: Tensor,
    boxes: Tensor,
    labels: Tensor,
    ignore: Tensor,
    size: Tensor,
    *,
    positive_iou: float = 0.5,
    negative_iou: float = 0.4,
    use_force_match: bool = False,
) -> tuple[Tensor, Tensor]:
    """Matches the anchors of one image with its boxes.

    An anchor takes its best box (the first of equals) as object where their IoU is at least `positive_iou`; it is
    ignored where that IoU lies above `negative_iou`, where half of it lies in an ignore region (crowd) and it has no
    object of its own, and, whatever else holds, where its centre lies outside the unpadded image.

    Args:
        anchors: `(A, 4)` in pixels.
        boxes: `(N, 4)` in pixels.
        labels: `(N,)` int; rows with a negative label are padding.
        ignore: `(N,)` bool, or int with 1 for ignore regions.
        size: `(2,)` height and width of the image before padding.
        positive_iou: From this IoU on an anchor is an object.
        negative_iou: Up to this IoU an anchor is background.
        use_force_match: Also make objects of those anchors that no other anchor surpasses for some box, however low
            their IoU (above 0); such an anchor learns its own best box, as in torchvision.

    Returns:
        State `(A,)` int32 and index of the best box `(A,)` int32 (0 where there is none).

    Reference:
        fizyr/keras-retinanet `anchor_targets_bbox`; force-matching as torchvision's `Matcher`.
    """
    best, index, crowd, forced = _best_boxes(anchors, boxes, labels, ignore, use_force_match)
    is_object = ops.logical_or(best >= positive_iou, forced)
    is_ignored = ops.logical_or(best > negative_iou, crowd >= CROWD_SHARE)
    state = ops.where(is_object, 1, ops.where(is_ignored, -1, 0))
    x, y = (anchors[:, 0] + anchors[:, 2]) / 2, (anchors[:, 1] + anchors[:, 3]) / 2
    is_outside = ops.logical_or(y >= size[0], x >= size[1])
    return ops.cast(ops.where(is_outside, -1, state), "int32"), index


def _best_boxes(
    anchors: Tensor, boxes: Tensor, labels: Tensor, ignore: Tensor, use_force_match: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Best IoU, its box, largest share inside an ignore region, and whether force-matched: four `(A,)` vectors."""
    count = ops.shape(boxes)[0]
    blocks = (count + BLOCK - 1) // BLOCK
    rows = ops.minimum(ops.arange(blocks * BLOCK), count - 1)  # the last row again fills the last block
    boxes, labels = ops.take(boxes, rows, axis=0), ops.take(labels, rows, axis=0)
    is_region = ops.logical_and(ops.take(ignore, rows, axis=0), labels >= 0)
    is_real = ops.logical_and(ops.logical_not(is_region), labels >= 0)
    anchor_area = area(anchors)
    safe_area = ops.maximum(anchor_area, EPSILON)

    def visit(block: Tensor, carry: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        best, index, crowd, forced = carry
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
                forced = ops.logical_or(forced, ops.logical_and(overlap > 0, overlap >= ops.max(overlap)))
        return best, index, crowd, forced

    zeros = ops.zeros_like(anchor_area)
    start = (zeros, ops.cast(zeros, "int32"), zeros, ops.cast(zeros, "bool"))
    return ops.fori_loop(0, blocks, visit, start)


def match_batch(
    anchors: Tensor, boxes: Tensor, labels: Tensor, ignore: Tensor, sizes: Tensor, **thresholds: Any
) -> tuple[Tensor, Tensor]:
    """`match` for each image of a batch, one after the other.

    On the TensorFlow backend the loop is compiled by XLA, once for each shape; training only, never part of an export.

    Args:
        anchors: `(A, 4)` in pixels, the same for every image.
        boxes: `(B, N, 4)` in pixels.
        labels: `(B, N)` int, padding negative.
        ignore: `(B, N)` bool, or int with 1 for ignore regions.
        sizes: `(B, 2)` height and width before padding.
        **thresholds: Keyword arguments of `match`.

    Returns:
        State `(B, A)` int32 and box index `(B, A)` int32.
    """
    run = _compiled(tuple(sorted(thresholds.items())))
    return run(anchors, boxes, labels, ignore, sizes)


@functools.cache
def _compiled(thresholds: tuple[tuple[str, Any], ...]) -> Callable[..., tuple[Tensor, Tensor]]:
    """The batch loop with its thresholds fixed, compiled where the backend does not do so by itself."""

    def run(anchors: Tensor, boxes: Tensor, labels: Tensor, ignore: Tensor, sizes: Tensor) -> tuple[Tensor, Tensor]:
        one = functools.partial(match, anchors, **dict(thresholds))
        return _each(lambda image: one(*image), (boxes, labels, ignore, sizes), anchors.shape[:1])

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        # Without Python conditions there is nothing for AutoGraph to translate, half of the tracing time.
        return tf.function(run, autograph=False, jit_compile=True)
    return run


def _each(one: Callable[..., tuple[Tensor, Tensor]], batch: tuple[Tensor, ...], shape: Any) -> tuple[Tensor, Tensor]:
    """`ops.map` to two int32 tensors of known shape; without it TensorFlow would trace `one` a second time."""
    if keras.backend.backend() != "tensorflow":
        return ops.map(one, batch)
    import tensorflow as tf

    return tf.map_fn(one, batch, fn_output_signature=(tf.TensorSpec(shape, tf.int32),) * 2)
