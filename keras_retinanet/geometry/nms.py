"""Greedy non-maximum suppression: a loop in `keras.ops` for every backend, or one kernel of TensorFlow.

Both use only the rank of the candidates, so both break ties in the same way.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import keras
from keras import ops

from keras_retinanet.config import NmsMode
from keras_retinanet.schema import Tensor

Kernel = Literal["auto", "ops", "tensorflow"]
"""`"ops"`: plain `keras.ops`; `"tensorflow"`: TensorFlow's fused CPU kernel; `"auto"`: the faster one available."""


def uses_tensorflow_kernel(kernel: Kernel) -> bool:
    """True if suppression with this setting runs in TensorFlow's kernel."""
    return kernel == "tensorflow" or (kernel == "auto" and keras.backend.backend() == "tensorflow")


class Suppression(NamedTuple):
    """Settings of non-maximum suppression.

    Attributes:
        nms: Boxes suppress others of their class (`"per_class"`), of any class (`"agnostic"`), or none (`"none"`).
        nms_threshold: A candidate is dropped when its IoU with a picked one is strictly above this.
        max_detections: `D`.
        kernel: See `Kernel`.
        max_per_class: Most picks of a class. `None` sets no limit. Not read without suppression.
    """

    nms: NmsMode
    nms_threshold: float
    max_detections: int
    kernel: Kernel
    max_per_class: int | None = None


def batched_nms(
    boxes: Tensor, is_valid: Tensor, labels: Tensor, settings: Suppression, is_wanted: Tensor | None = None
) -> Tensor:
    """Non-maximum suppression of a batch of candidates, sorted from best to worst.

    Args:
        boxes: `(B, N, 4)` in pixels.
        is_valid: `(B, N)` bool; other candidates are never picked.
        labels: `(B, N)` int32.
        settings: Mode, threshold, limits and kernel.
        is_wanted: `(B, N)` bool. The other candidates suppress and count among those of their class, but not among
            `max_detections`, and are not returned. Defaults to `None`, all.

    Returns:
        `(B, D)` int32: positions of the picked candidates, ascending, padded with -1.
    """
    if settings.nms == "none":
        is_pick = is_valid if is_wanted is None else ops.logical_and(is_valid, is_wanted)
        size = ops.shape(is_valid)[1]
        return _first_of(ops.arange(size, dtype="int32")[None], is_pick, size, settings.max_detections)
    if settings.nms == "agnostic":
        labels, settings = ops.zeros_like(labels), settings._replace(max_per_class=None)
    implementation = _nms_with_tensorflow if uses_tensorflow_kernel(settings.kernel) else _nms_with_ops
    return implementation(boxes, is_valid, labels, settings, is_wanted)


def _first_of(positions: Tensor, is_pick: Tensor, size: Tensor, count: int) -> Tensor:
    """The `count` smallest positions `(B, P)`, each below `size`, that are picks; padded with -1."""
    positions = ops.pad(ops.where(is_pick, positions, size), [(0, 0), (0, count)], constant_values=size)
    first = ops.sort(positions, axis=1)[:, :count]
    return ops.where(first < size, first, -1)


def _nms_with_ops(
    boxes: Tensor, is_valid: Tensor, labels: Tensor, settings: Suppression, is_wanted: Tensor | None
) -> Tensor:
    """Repeatedly keeps the first remaining candidate and drops those that it suppresses, in all images at once."""
    columns = _columns(boxes, labels)
    rows = ops.stack(columns, axis=-1)  # (B, N, 6)
    most, most_of_class = settings.max_detections, settings.max_per_class
    slots = ops.arange(most, dtype="int32")[None]
    position = ops.arange(ops.shape(labels)[1], dtype="int32")[None]

    def is_unfinished(count: Tensor, alive: Tensor, *_: Tensor) -> Tensor:
        del count
        return ops.any(alive)

    def keep_one(count: Tensor, alive: Tensor, picks: Tensor, *room: Tensor) -> tuple[Tensor, ...]:
        is_taken = ops.any(alive, axis=1, keepdims=True)
        pick = ops.cast(ops.argmax(alive, axis=1, keepdims=True), "int32")  # (B, 1)
        kept = take_rows(rows, pick)
        is_dropped = ops.logical_or(_is_suppressed(kept, columns, settings.nms_threshold), position == pick)
        if is_wanted is not None:
            is_taken = ops.logical_and(is_taken, take_rows(is_wanted, pick))
        picks = ops.where(ops.logical_and(slots == count, is_taken), pick, picks)
        count = count + ops.cast(is_taken, "int32")
        alive = ops.logical_and(ops.logical_and(alive, ops.logical_not(is_dropped)), count < most)
        if not room:
            return count, alive, picks
        left = room[0] - ops.cast(columns[5] == kept[..., 5], "int32")
        return count, ops.logical_and(alive, left > 0), picks, left

    batch = ops.shape(labels)[0]
    state = [ops.zeros((batch, 1), dtype="int32"), is_valid, ops.full((batch, most), -1, dtype="int32")]
    if most_of_class is not None and (is_wanted is not None or most_of_class < most):
        state.append(ops.full_like(labels, most_of_class))  # how many more of its class each candidate leaves room for
    return ops.while_loop(is_unfinished, keep_one, tuple(state))[2]


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
    boxes: Tensor, is_valid: Tensor, labels: Tensor, settings: Suppression, is_wanted: Tensor | None
) -> Tensor:
    """One kernel for all classes, each candidate in the column of its class with its rank as its score.

    Ranks are unique, so the kernel's unstable last sort has no ties to break, and they identify the candidates that it
    kept. It is asked for as many more as there are unwanted ones.
    """
    import tensorflow as tf

    size, most = tf.shape(labels)[1], settings.max_detections
    total: Any = most
    if is_wanted is not None:
        is_unwanted = tf.logical_and(is_valid, tf.logical_not(is_wanted))
        total = most + tf.maximum(tf.reduce_max(tf.reduce_sum(tf.cast(is_unwanted, tf.int32), axis=1)), 0)
    rank = tf.where(is_valid, tf.cast(size - tf.range(size), tf.float32), 0.0)  # exact below 2^24 candidates
    num_columns = tf.reduce_max(labels) + 1
    columns = tf.range(num_columns)
    kept = tf.image.combined_non_max_suppression(
        boxes[:, :, None],
        tf.where(labels[..., None] == columns, rank[..., None], 0.0),  # (B, N, K)
        max_output_size_per_class=total
        if settings.max_per_class is None
        else tf.minimum(settings.max_per_class, total),
        max_total_size=total,
        iou_threshold=settings.nms_threshold,
        score_threshold=0.0,
        clip_boxes=False,
    ).nmsed_scores
    if is_wanted is None:
        kept = tf.cast(tf.ensure_shape(kept, (None, most)), tf.int32)
        return tf.where(kept > 0, size - kept, -1)
    kept = tf.cast(kept, tf.int32)
    picks = tf.where(kept > 0, size - kept, 0)
    return _first_of(picks, tf.logical_and(kept > 0, take_rows(is_wanted, picks)), size, most)


def take_rows(values: Tensor, index: Tensor) -> Tensor:
    """`values[b, index[b, n]]` for `(B, A, ...)` and `(B, N)`; sizes may be dynamic."""
    batch, length = ops.shape(values)[0], ops.shape(values)[1]
    first = ops.arange(batch, dtype="int32")[:, None] * length
    flat = ops.reshape(values, (batch * length, *values.shape[2:]))
    return ops.take(flat, index + first, axis=0)
