"""Greedy non-maximum suppression: a loop in `keras.ops` for every backend, or one kernel of TensorFlow.

Both use only the rank of the candidates, so both break ties in the same way.
"""

from __future__ import annotations

from typing import Literal

import keras
from keras import ops

from keras_retinanet.config import NmsMode
from keras_retinanet.schema import Tensor

Kernel = Literal["auto", "ops", "tensorflow"]
"""`"ops"`: plain `keras.ops`; `"tensorflow"`: TensorFlow's fused CPU kernel; `"auto"`: the faster one available."""


def uses_tensorflow_kernel(kernel: Kernel) -> bool:
    """True if suppression with this setting runs in TensorFlow's kernel."""
    return kernel == "tensorflow" or (kernel == "auto" and keras.backend.backend() == "tensorflow")


def batched_nms(
    boxes: Tensor,
    is_valid: Tensor,
    labels: Tensor,
    nms: NmsMode,
    nms_threshold: float,
    max_detections: int,
    kernel: Kernel,
    max_per_class: int | None = None,
) -> Tensor:
    """Non-maximum suppression of a batch of candidates, sorted from best to worst.

    Args:
        boxes: `(B, N, 4)` in pixels.
        is_valid: `(B, N)` bool; other candidates are never picked.
        labels: `(B, N)` int32.
        nms: Boxes suppress others of their class (`"per_class"`), of any class (`"agnostic"`), or none (`"none"`).
        nms_threshold: A candidate is dropped when its IoU with a picked one is strictly above this.
        max_detections: `D`.
        kernel: See `Kernel`.
        max_per_class: Most picks of a class. `None` sets no limit. Not read without suppression.

    Returns:
        `(B, D)` int32: positions of the picked candidates, ascending, padded with -1.
    """
    if nms == "none":
        rank = ops.arange(max_detections, dtype="int32")[None]
        count = ops.sum(ops.cast(is_valid, "int32"), axis=1)[:, None]
        return ops.where(rank < count, rank, -1)
    if nms == "agnostic":
        labels, max_per_class = ops.zeros_like(labels), None
    implementation = _nms_with_tensorflow if uses_tensorflow_kernel(kernel) else _nms_with_ops
    return implementation(boxes, is_valid, labels, nms_threshold, max_detections, max_per_class or max_detections)


def _nms_with_ops(
    boxes: Tensor, is_valid: Tensor, labels: Tensor, nms_threshold: float, max_detections: int, max_per_class: int
) -> Tensor:
    """Repeatedly keeps the first remaining candidate and drops those that it suppresses, in all images at once."""
    columns = _columns(boxes, labels)
    rows = ops.stack(columns, axis=-1)  # (B, N, 6)
    slots = ops.arange(max_detections, dtype="int32")[None]
    position = ops.arange(ops.shape(labels)[1], dtype="int32")[None]

    def is_unfinished(step: Tensor, alive: Tensor, picks: Tensor) -> Tensor:
        del picks
        return ops.logical_and(step < max_detections, ops.any(alive))

    def keep_one(step: Tensor, alive: Tensor, picks: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        is_left = ops.any(alive, axis=1, keepdims=True)
        pick = ops.cast(ops.argmax(alive, axis=1, keepdims=True), "int32")  # (B, 1)
        is_dropped = ops.logical_or(_is_suppressed(take_rows(rows, pick), columns, nms_threshold), position == pick)
        picks = ops.where(slots == step, ops.where(is_left, pick, -1), picks)
        if max_per_class < max_detections:
            is_dropped = ops.logical_or(is_dropped, _is_full(labels, pick, picks, max_per_class))
        return step + 1, ops.logical_and(alive, ops.logical_not(is_dropped)), picks

    picks = ops.full((ops.shape(labels)[0], max_detections), -1, dtype="int32")
    return ops.while_loop(is_unfinished, keep_one, (ops.convert_to_tensor(0, "int32"), is_valid, picks))[2]


def _is_full(labels: Tensor, pick: Tensor, picks: Tensor, max_per_class: int) -> Tensor:
    """`(B, N)` bool: the candidates of the class of `pick (B, 1)`, if that class has all its picks."""
    label = take_rows(labels, pick)  # (B, 1)
    own = ops.logical_and(take_rows(labels, ops.maximum(picks, 0)) == label, picks >= 0)  # (B, D)
    count = ops.sum(ops.cast(own, "int32"), axis=1, keepdims=True)
    return ops.logical_and(labels == label, count >= max_per_class)


def _columns(boxes: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
    """x1, y1, x2, y2, area and label, each `(B, N)`; corners sorted, as TensorFlow's kernel reads them."""
    low, high = ops.minimum(boxes[..., :2], boxes[..., 2:]), ops.maximum(boxes[..., :2], boxes[..., 2:])
    x1, y1, x2, y2 = low[..., 0], low[..., 1], high[..., 0], high[..., 1]
    return x1, y1, x2, y2, (x2 - x1) * (y2 - y1), ops.cast(labels, "float32")


def _is_suppressed(kept: Tensor, columns: tuple[Tensor, ...], nms_threshold: float) -> Tensor:
    """`(B, N)` bool: the candidates with the label of `kept (B, 1, 6)` and an IoU above the threshold with it."""
    x1, y1, x2, y2, area, label = (kept[..., i] for i in range(6))  # (B, 1)
    width = ops.minimum(columns[2], x2) - ops.maximum(columns[0], x1)
    height = ops.minimum(columns[3], y2) - ops.maximum(columns[1], y1)
    shared = ops.maximum(width, 0.0) * ops.maximum(height, 0.0)
    union = columns[4] + area - shared
    iou = shared / ops.where(union > 0, union, 1.0)  # boxes without area share nothing: 0
    return ops.logical_and(iou > nms_threshold, columns[5] == label)


def _nms_with_tensorflow(
    boxes: Tensor, is_valid: Tensor, labels: Tensor, nms_threshold: float, max_detections: int, max_per_class: int
) -> Tensor:
    """One kernel for all classes, each candidate in the column of its class with its rank as its score.

    Ranks are unique, so the kernel's unstable last sort has no ties to break, and they identify the candidates that it
    kept.
    """
    import tensorflow as tf

    size = tf.shape(labels)[1]
    rank = tf.where(is_valid, tf.cast(size - tf.range(size), tf.float32), 0.0)  # exact below 2^24 candidates
    num_columns = tf.reduce_max(labels) + 1
    columns = tf.range(num_columns)
    kept = tf.image.combined_non_max_suppression(
        boxes[:, :, None],
        tf.where(labels[..., None] == columns, rank[..., None], 0.0),  # (B, N, K)
        max_output_size_per_class=min(max_per_class, max_detections),
        max_total_size=max_detections,
        iou_threshold=nms_threshold,
        score_threshold=0.0,
        clip_boxes=False,
    ).nmsed_scores
    kept = tf.cast(tf.ensure_shape(kept, (None, max_detections)), tf.int32)
    return tf.where(kept > 0, size - kept, -1)


def take_rows(values: Tensor, index: Tensor) -> Tensor:
    """`values[b, index[b, n]]` for `(B, A, ...)` and `(B, N)`; sizes may be dynamic."""
    batch, length = ops.shape(values)[0], ops.shape(values)[1]
    first = ops.arange(batch, dtype="int32")[:, None] * length
    flat = ops.reshape(values, (batch * length, *values.shape[2:]))
    return ops.take(flat, index + first, axis=0)
