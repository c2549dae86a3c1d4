"""Cross entropy of one softmax over all classes and background, as in SSD and Faster R-CNN."""

from __future__ import annotations

from collections.abc import Sequence

from keras import ops

from keras_retinanet.losses.targets import ClassTargets
from keras_retinanet.schema import Tensor


def softmax_values(logits: Tensor, targets: ClassTargets, label_smoothing: float = 0.0) -> Tensor:
    """`-log(p)` of what each anchor is: the class of an object, the last output for background.

    Args:
        logits: `(B, A, K + 1)`, background last.
        targets: Labels; `quality` is not read.
        label_smoothing: ε: cross entropy with a target of `1 - ε` and, of all outputs, `ε / (K + 1)` more. Defaults
            to 0.

    Returns:
        `(B, A)` float32, 0 for ignored anchors.

    Reference:
        Szegedy et al., Rethinking the Inception Architecture, 2016, §7 (label smoothing).
    """
    logits = ops.cast(logits, "float32")
    background = logits.shape[-1] - 1
    labels = ops.where(targets.anchor_labels == 1, ops.cast(targets.labels, "int32"), background)
    own = ops.take_along_axis(logits, labels[..., None], axis=-1)[..., 0]
    values = ops.logsumexp(logits, axis=-1) - own
    if label_smoothing:
        values = values + label_smoothing * (own - ops.mean(logits, axis=-1))
    return ops.where(targets.anchor_labels >= 0, values, 0.0)


def sum_of_anchors(values: Tensor, targets: ClassTargets, class_weights: Sequence[float]) -> Tensor:
    """Sum of the values of all anchors, those of objects with the weight of their class.

    Args:
        values: `(B, A)` float32.
        targets: Labels.
        class_weights: One weight per class, or nothing; background has 1.

    Returns:
        Scalar float32.
    """
    if len(class_weights):
        labels = ops.maximum(ops.cast(targets.labels, "int32"), 0)
        weights = ops.take(ops.convert_to_tensor(class_weights, "float32"), labels)
        values = values * ops.where(targets.anchor_labels == 1, weights, 1.0)
    return ops.sum(values)


def softmax_cross_entropy(
    logits: Tensor, targets: ClassTargets, *, class_weights: Sequence[float] = (), label_smoothing: float = 0.0
) -> Tensor:
    """Cross entropy of the softmax over classes and background.

    Args:
        logits: `(B, A, K + 1)`, background last.
        targets: Labels.
        class_weights: A factor per class on its objects; background has 1. Defaults to none.
        label_smoothing: See `softmax_values`. Defaults to 0.

    Returns:
        Scalar float32, the sum over the batch.

    Reference:
        Liu et al., SSD: Single Shot MultiBox Detector, 2016, equation 3, without its choice of negatives.
    """
    return sum_of_anchors(softmax_values(logits, targets, label_smoothing), targets, class_weights)
