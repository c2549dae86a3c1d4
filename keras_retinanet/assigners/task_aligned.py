"""Task-aligned assignment: each box takes the anchors whose own predictions, score and box, already fit it best."""

from __future__ import annotations

import functools

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
from keras_retinanet.geometry.boxes import EPSILON, iou, split_sides
from keras_retinanet.schema import Tensor

CHUNK = 128
"""Anchors whose largest value is compared first when the best of all are looked for."""


def task_aligned(
    inputs: AssignerInputs, *, aligned_top_k: int, alignment_alpha: float, alignment_beta: float
) -> Assignment:
    """Assigns the anchors of a batch by task alignment; see `assign_image`.

    Args:
        inputs: Anchors, boxes and predictions.
        aligned_top_k: Anchors of each box, 13 in the paper.
        alignment_alpha: Exponent of the score, α in the paper.
        alignment_beta: Exponent of the IoU, β in the paper.

    Returns:
        The assignment, with quality.
    """
    image = ops.arange(ops.shape(inputs.boxes)[0], dtype="int32")
    images = (inputs.boxes, inputs.labels, inputs.ignore, inputs.sizes, inputs.predicted_boxes, image)
    return assign_each_image(
        assign_image,
        inputs.anchors,
        images,
        (inputs.logits,),
        has_quality=True,
        aligned_top_k=aligned_top_k,
        alignment_alpha=alignment_alpha,
        alignment_beta=alignment_beta,
    )


def assign_image(
    anchors: Tensor,
    boxes: Tensor,
    labels: Tensor,
    ignore: Tensor,
    size: Tensor,
    predicted_boxes: Tensor,
    image: Tensor,
    logits: Tensor,
    *,
    aligned_top_k: int = 13,
    alignment_alpha: float = 1.0,
    alignment_beta: float = 6.0,
) -> tuple[Tensor, Tensor, Tensor]:
    """Assigns the anchors of one image.

    With `s` the score of a box's class and `u` the IoU of an anchor's predicted box with it, the alignment is
    `t = s^α · u^β`. Of the anchors whose centres lie inside the box, those with the largest `t` above 0 become its
    objects. An anchor that several boxes take goes to the one with the largest `u`. The quality of an object is `t`,
    scaled so that the largest of its box equals the largest `u` of its box. All other anchors are background, except
    that an anchor is ignored if half of it lies in an ignore region (crowd), or if its centre lies outside the
    unpadded image.

    Args:
        anchors: `(A, 4)` in pixels.
        boxes: `(N, 4)` in pixels, at least one row.
        labels: `(N,)` int; rows with a negative label are padding.
        ignore: `(N,)` bool, or int with 1 for ignore regions.
        size: `(2,)`: height and width of the image before padding.
        predicted_boxes: `(A, 4)` in pixels.
        image: Position of the image in the batch.
        logits: `(B, A, K)` of the batch.
        aligned_top_k: Anchors of each box.
        alignment_alpha: α.
        alignment_beta: β.

    Returns:
        Anchor labels `(A,)` int32, index of the assigned box `(A,)` int32 (0 if there is none), and quality `(A,)`
        float32.

    Reference:
        Feng et al., TOOD: Task-aligned One-stage Object Detection, 2021, §3.2.1. As in YOLOv8, the anchors inside the
        box are ranked; MMDetection ranks all, and then drops those outside.
    """
    x, y = centres(anchors)
    is_region = ops.logical_and(ignore, labels >= 0)
    is_real = ops.logical_and(ops.logical_not(is_region), labels >= 0)
    predictions = (x, y, ops.cast(predicted_boxes, "float32"), image, logits)
    alignment, positions = _best_anchors(
        predictions, boxes, labels, is_real, aligned_top_k, alignment_alpha, alignment_beta
    )  # (N, k) each
    rows, count = rows_first(is_real)
    overlaps = iou(ops.take(predicted_boxes, positions, axis=0), boxes[:, None])  # (N, k)

    def visit(step: Tensor, carry: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        best, index = carry
        row = at_row(rows, step)
        own, places = at_row(overlaps, row), at_row(positions, row)  # (k,)
        is_better = ops.logical_and(at_row(alignment, row) > 0, own > ops.take(best, places))
        return (
            with_values_at(best, places, is_better, own),
            with_values_at(index, places, is_better, ops.cast(row, "int32")),
        )

    start = (ops.zeros_like(x), ops.cast(ops.zeros_like(x), "int32"))
    best, index = ops.fori_loop(0, count, visit, start)
    crowd = largest_crowd_share(anchors, boxes, is_region)
    anchor_labels = label_anchors(best > 0, crowd >= CROWD_SHARE, anchors, size)
    quality = _normalised(alignment, overlaps, positions, index, anchor_labels)
    return anchor_labels, index, quality


def _best_anchors(
    predictions: tuple[Tensor, ...],
    boxes: Tensor,
    labels: Tensor,
    is_real: Tensor,
    top_k: int,
    alpha: float,
    beta: float,
) -> tuple[Tensor, Tensor]:
    """Alignment and position of the best anchors of each box, `(N, k)`; -1 and 0 in rows that are not objects.

    Boxes are visited class by class: a column of the logits lies scattered in memory, and is read once per class.
    """
    x, y, predicted, image, logits = predictions
    labels = ops.where(is_real, ops.cast(labels, "int32"), logits.shape[-1])
    rows = ops.cast(ops.argsort(labels), "int32")
    queue = ops.take(labels, rows)

    def visit(step: Tensor, carry: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        alignments, positions, scores, queue = carry
        row = at_row(rows, step)
        box = at_row(boxes, row)
        # The next label is always the first of a queue that turns. XLA makes constants of the bounds of a slice and of
        # what they come from, unless that changes in the loop: see `at_row`.
        label, queue = queue[0], ops.roll(queue, -1)
        is_new = ops.logical_or(step == 0, label != at_row(labels, at_row(rows, ops.maximum(step - 1, 0))))
        own = functools.partial(_class_scores, logits, image, label, ops.shape(x)[0])
        scores = ops.cond(is_new, lambda: _power(own(), alpha), lambda: scores)
        alignment = scores * _power(iou(predicted, box), beta)
        x1, y1, x2, y2 = split_sides(box)
        margin = ops.minimum(ops.minimum(x - x1, y - y1), ops.minimum(x2 - x, y2 - y))
        found, where = _largest_of_many(ops.where(margin > CENTRE_MARGIN, alignment, -1.0), top_k)
        place = ops.reshape(row, (1, 1))
        return (
            ops.scatter_update(alignments, place, found[None]),
            ops.scatter_update(positions, place, where[None]),
            scores,
            queue,
        )

    shape = (ops.shape(boxes)[0], _at_most(top_k, ops.shape(x)[0]))
    start = (ops.full(shape, -1.0), ops.zeros(shape, dtype="int32"), ops.zeros_like(x), queue)
    alignments, positions, *_ = ops.fori_loop(0, ops.sum(ops.cast(is_real, "int32")), visit, start)
    return alignments, positions


def _class_scores(logits: Tensor, image: Tensor, label: Tensor, count: int | Tensor) -> Tensor:
    """`(A,)` float32: the scores of one class in one image; a slice, since gathering is several times as slow.

    `count` is A: logits of batches of any size may not state it.
    """
    own = ops.slice(logits, (image, 0, label), (1, count, 1))
    return ops.sigmoid(ops.cast(own[0, :, 0], "float32"))


def _at_most(k: int, size: int | Tensor) -> int | Tensor:
    return min(k, size) if isinstance(size, int) else ops.minimum(k, size)


def _power(values: Tensor, exponent: float) -> Tensor:
    """`values ** exponent`, for small whole exponents by multiplication, which is several times as fast."""
    if exponent != int(exponent) or not 0 < exponent <= 8:
        return ops.power(values, exponent)
    result = values
    for bit in bin(int(exponent))[3:]:
        result = result * result * values if bit == "1" else result * result
    return result


def _largest_of_many(values: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The largest of `values (A,)` and their positions, `(k,)`; of equals the first.

    They lie in the `k` chunks with the largest maxima, or in the rest that fills no chunk; only these are sorted.
    """
    size = ops.shape(values)[0]
    if isinstance(size, int) and size <= CHUNK:
        positions = largest(values, k)
        return ops.take(values, positions), positions
    whole = size // CHUNK * CHUNK
    chunks = ops.reshape(values[:whole], (size // CHUNK, CHUNK))
    best = ops.sort(largest(ops.max(chunks, axis=1), k))
    places = ops.reshape(best[:, None] * CHUNK + ops.arange(CHUNK, dtype="int32"), (-1,))
    places = ops.concatenate([places, ops.arange(whole, size, dtype="int32")])
    own = ops.concatenate([ops.reshape(ops.take(chunks, best, axis=0), (-1,)), values[whole:]])
    among = largest(own, k)
    return ops.take(own, among), ops.take(places, among)


def _normalised(alignment: Tensor, overlaps: Tensor, positions: Tensor, index: Tensor, anchor_labels: Tensor) -> Tensor:
    """Quality `(A,)` from alignment, IoU and position of each box's anchors, `(N, k)`, and the box of each anchor."""
    row = ops.arange(ops.shape(positions)[0], dtype="int32")[:, None]
    is_own = ops.logical_and(alignment > 0, ops.take(index, positions) == row)
    is_own = ops.logical_and(is_own, ops.take(anchor_labels, positions) == 1)
    alignment, overlaps = ops.where(is_own, alignment, 0.0), ops.where(is_own, overlaps, 0.0)
    scale = ops.max(overlaps, axis=1, keepdims=True) / (ops.max(alignment, axis=1, keepdims=True) + EPSILON)
    places = ops.where(is_own, positions, ops.shape(index)[0])  # one place more takes all others
    quality = ops.scatter(
        ops.reshape(places, (-1, 1)), ops.reshape(alignment * scale, (-1,)), (ops.shape(index)[0] + 1,)
    )
    return quality[:-1]
