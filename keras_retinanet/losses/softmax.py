"""Cross entropy of one softmax over all classes and background, as in SSD and Faster R-CNN."""

from __future__ import annotations

from collections.abc import Sequence

from keras import ops

from keras_retinanet.losses.targets import ClassTargets
from keras_retinanet.schema import Tensor


def softmax_values(logits: Tensor, targets: ClassTargets) -> Tensor:
    """`-log(p)` of what each anchor is: the class of an object, the last output for background.

    Args:
        logits: `(B, A, K + 1)`, background last.
        targets: Labels; `quality` is not read.

    Returns:
        `(B, A)` float32, 0 for ignored anchors.
    """
    logits = ops.cast(logits, "float32")
    background = logits.shape[-1] - 1
    labels = ops.where(targets.anchor_labels == 1, ops.cast(targets.labels, "int32"), background)
    own = ops.take_along_axis(logits, labels[..., None], axis=-1)[..., 0]
    values = ops.logsumexp(logits, axis=-1) - own
    return ops.where(targets.anchor_labels >= 0, values, 0.0)


def softmax_cross_entropy(logits: Tensor, targets: ClassTargets, *, class_weights: Sequence[float] = ()) -> Tensor:
    """Cross entropy of the softmax over classes and background.

    Args:
        logits: `(B, A, K + 1)`, background last.
        targets: Labels.
        class_weights: A factor per class on its objects; background has 1. Defaults to none.

    Returns:
        Scalar float32, the sum over the batch.

    Reference:
        Liu et al., SSD: Single Shot MultiBox Detector, 2016, equation 3, without its choice of negatives.
    """
    values = softmax_values(logits, targets)
    if len(class_weights):
        labels = ops.maximum(ops.cast(targets.labels, "int32"), 0)
        weights = ops.take(ops.convert_to_tensor(class_weights, "float32"), labels)
        values = values * ops.where(targets.anchor_labels == 1, weights, 1.0)
    return ops.sum(values)
