"""Focal loss of one softmax over all classes and background."""

from __future__ import annotations

from collections.abc import Sequence

from keras import ops

from keras_retinanet.losses.softmax import softmax_values, sum_of_anchors
from keras_retinanet.losses.targets import ClassTargets
from keras_retinanet.schema import Tensor


def softmax_focal(
    logits: Tensor,
    targets: ClassTargets,
    *,
    alpha: float,
    gamma: float,
    class_weights: Sequence[float] = (),
    label_smoothing: float = 0.0,
) -> Tensor:
    """Focal loss `α_t (1 - p_t)^γ · -log(p_t)`, where `p_t` is the softmax of what the anchor is.

    Args:
        logits: `(B, A, K + 1)`, background last.
        targets: Labels.
        alpha: Weight of objects; background has `1 - alpha`.
        gamma: Exponent of the modulating factor.
        class_weights: A factor per class on its objects; background has 1. Defaults to none.
        label_smoothing: See `softmax_values`; the factor keeps the labels. Defaults to 0.

    Returns:
        Scalar float32, the sum over the batch.

    Reference:
        Focal Loss for Dense Object Detection, §3.2, equation 5, whose extension to several classes §3 leaves to the
        reader; kornia `focal_loss`.
    """
    share = -ops.expm1(-softmax_values(logits, targets))  # 1 - p_t
    values = softmax_values(logits, targets, label_smoothing)
    # The gradient of s^γ at s = 0 is not finite for γ < 1 without the floor.
    values = values * ops.power(ops.maximum(share, 1e-7), gamma)
    values = values * ops.where(targets.anchor_labels == 1, alpha, 1.0 - alpha)
    return sum_of_anchors(values, targets, class_weights)
