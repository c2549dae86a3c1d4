"""The first step of the filter: pairs of anchor and class that enter non-maximum suppression, best first."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, cast

import keras
import numpy as np
from keras import ops

from keras_retinanet.geometry.nms import take_rows
from keras_retinanet.geometry.rated_scores import RatedScores
from keras_retinanet.schema import Tensor

Candidates = tuple[Tensor, Tensor, Tensor]
"""Boxes `(B, N, 4)`, scores `(B, N)` descending with -inf after the last valid one, labels `(B, N)`."""


def best_of_levels(
    boxes: Tensor,
    rated: RatedScores,
    level_sizes: Sequence[int | Tensor] | None,
    threshold: Any,
    top_k: int | None,
    is_agnostic: bool,
) -> Candidates:
    """The best pairs of anchor and class of each pyramid level, all levels in one descending order.

    Args:
        boxes: `(B, A, 4)`.
        rated: Scores of all pairs.
        level_sizes: Anchors of each level; `None` for one level.
        threshold: One number or `(K,)`; scores have to be above it.
        top_k: Most pairs of a level; `None` for all.
        is_agnostic: One pair per anchor, that of its best class.

    Returns:
        The candidates.
    """
    if np.ndim(threshold):  # a best class below its own threshold makes room for the next
        rated = rated.above(threshold)
        best = rated.best()  # (B, A)
    else:
        best = masked(rated.best(), threshold)
    anchors, values, labels = [], [], []
    for start, size in _spans(best, level_sizes):
        level_best, index = _top(best[:, start : start + size], top_k)
        if is_agnostic:
            level_values, index = level_best, index + start
            level_labels = _first_largest(rated.rows(index))
        else:
            level_values, index, level_labels = _best_pairs(rated, index + start, threshold, top_k)
        anchors.append(index)
        values.append(level_values)
        labels.append(ops.cast(level_labels, "int32"))
    values, order = _top(ops.concatenate(values, axis=1), None)  # (B, N)
    return (
        take_rows(boxes, take_rows(ops.concatenate(anchors, axis=1), order)),
        values,
        take_rows(ops.concatenate(labels, 1), order),
    )


def best_of_classes(boxes: Tensor, scores: Tensor, top_k: int | None) -> Candidates:
    """The best anchors of each class over all levels, in one descending order; equal scores by anchor, then by class.

    Args:
        boxes: `(B, A, 4)`.
        scores: `(B, A, K)`, -inf where a pair does not count.
        top_k: Most anchors of a class; `None` for all.

    Returns:
        The candidates.
    """
    num_classes = scores.shape[-1]
    values, anchors = _top(ops.reshape(ops.transpose(scores, (0, 2, 1)), (-1, ops.shape(scores)[1])), top_k)
    labels = ops.arange(num_classes, dtype="int32")[None, :, None]
    pairs = ops.reshape(anchors, (-1, num_classes, ops.shape(anchors)[1])) * num_classes + labels  # (B, K, k)
    values, pairs = (ops.reshape(of, (ops.shape(scores)[0], -1)) for of in (values, pairs))
    order = ops.argsort(pairs, axis=1)  # position then follows (anchor, class), which breaks ties
    values, pairs = take_rows(values, order), take_rows(pairs, order)
    values, order = _top(values, None)
    pairs = take_rows(pairs, order)
    return take_rows(boxes, pairs // num_classes), values, pairs % num_classes


def _first_largest(rows: Tensor) -> Tensor:
    """`argmax` of the last axis; Keras' own, of floats, tests sign bits, which neither ONNX nor LiteRT can."""
    is_largest = rows == ops.max(rows, axis=-1, keepdims=True)
    return ops.argmax(ops.cast(is_largest, "int32"), axis=-1)


def _best_pairs(
    rated: RatedScores, anchors: Tensor, threshold: Any, top_k: int | None
) -> tuple[Tensor, Tensor, Tensor]:
    """The `top_k` pairs `(B, k)` of a level: they all lie in its `top_k` anchors by best class, `anchors (B, k)`."""
    num_classes = rated.scores.shape[-1]
    anchors = ops.sort(anchors, axis=1)  # position then follows (anchor, class), which breaks ties
    rows = masked(rated.rows(anchors), threshold)  # (B, k, K)
    values, pairs = _top(ops.reshape(rows, (ops.shape(rows)[0], -1)), top_k)
    return values, take_rows(anchors, pairs // num_classes), pairs % num_classes


def masked(scores: Tensor, threshold: Any) -> Tensor:
    """The scores, -inf where they are not above the threshold."""
    return ops.where(ops.greater(scores, threshold), scores, -math.inf)  # PyTorch compares with no array of NumPy


def _spans(best: Tensor, level_sizes: Iterable[int | Tensor] | None) -> list[tuple[Any, Any]]:
    """First anchor and number of anchors of each level."""
    spans, start = [], cast(Any, 0)
    for size in [ops.shape(best)[1]] if level_sizes is None else level_sizes:
        if not (isinstance(size, int) and size == 0):
            spans.append((start, size))
        start = start + size
    return spans


def _top(values: Tensor, k: int | None) -> tuple[Tensor, Tensor]:
    """The `k` largest of each row in descending order, equal ones by position."""
    size = ops.shape(values)[1]
    if k is None:
        k = size
    elif isinstance(size, int):
        k = min(k, size)
    else:
        k = ops.minimum(k, size)
    if keras.backend.backend() == "torch":  # torch.topk leaves the order of equal values open
        index = ops.argsort(-values, axis=1)[:, :k]
        return take_rows(values, index), index
    top_values, index = ops.top_k(values, k)
    return top_values, ops.cast(index, "int32")
