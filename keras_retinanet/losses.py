"""The losses: focal loss and its relatives on logits, smooth L1 and its relatives on boxes (paper §3, §4).

All take integer labels and the anchors' state, compute in float32 whatever they are given, and return the plain sum
over the objects or anchors that count; the model divides by the number of positives.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import keras
from keras import ops

from keras_retinanet.config import BoxLossName, ClassificationLossName
from keras_retinanet.geometry import boxes
from keras_retinanet.schema import Tensor


def sigmoid_loss(logits: Tensor, labels: Tensor, state: Tensor, alpha: float | None, gamma: float) -> Tensor:
    """Sum over anchors and classes of `α_t (1 - p_t)^γ · -log(p_t)`, from logits and integer labels.

    An object's own logit is negated, so that every number is charged alike as background: with `s = softplus(x)`,
    `-log(1 - p) = s` and `p^γ = exp(γ (x - s))`. Nothing overflows or loses its gradient at large logits.

    Args:
        logits: `(B, A, K)`.
        labels: `(B, A)` int; read where `state` is 1.
        state: `(B, A)` int: 1 object, 0 background, -1 ignored.
        alpha: Weight of objects, `1 - alpha` that of background; `None` weighs both 1.
        gamma: Exponent of the modulating factor; 0 gives cross entropy.

    Returns:
        Scalar float32.

    Reference:
        Focal Loss for Dense Object Detection, §3.1–3.3, equations 1, 3 and 5.
    """
    own_weight, other_weight = (1.0, 1.0) if alpha is None else (alpha, 1.0 - alpha)
    is_counted = ops.cast(state >= 0, "float32")[..., None]  # (B, A, 1)
    own_label = ops.where(state == 1, ops.cast(labels, "int32"), -1)[..., None]

    def as_background(logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Whether a number is the object's own; the number to charge as background, and its softplus."""
        is_own = own_label == ops.arange(logits.shape[-1], dtype="int32")  # (B, A, K)
        x = ops.where(is_own, -logits, logits)
        return is_own, x, ops.softplus(x)

    @ops.custom_gradient
    def charge(logits: Tensor) -> tuple[Tensor, Callable[..., Tensor]]:
        is_own, x, surprise = as_background(logits)
        values = surprise if gamma == 0 else surprise * ops.exp(gamma * (x - surprise))
        total = ops.sum(ops.sum(values * ops.where(is_own, own_weight, other_weight), axis=-1) * is_counted[..., 0])

        def gradient(*args: Tensor, upstream: Tensor = None) -> Tensor:
            """`p^γ (γ (1 - p) s + p)`, from the logits alone: nothing of their size is kept in between."""
            is_own, x, surprise = as_background(logits)
            slope = ops.exp((gamma + 1) * (x - surprise))
            if gamma != 0:
                slope = slope + gamma * surprise * ops.exp(gamma * x - (gamma + 1) * surprise)
            weights = ops.where(is_own, -own_weight, other_weight)
            return slope * weights * (is_counted * (args[0] if upstream is None else upstream))

        return total, gradient

    return charge(ops.cast(logits, "float32"))


def focal(logits: Tensor, labels: Tensor, state: Tensor, *, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """Focal loss, summed; see `sigmoid_loss` for arguments and shapes (paper §3.2, equation 5)."""
    return sigmoid_loss(logits, labels, state, alpha, gamma)


def cross_entropy(logits: Tensor, labels: Tensor, state: Tensor, *, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """Binary cross entropy over all classes, summed; `alpha` and `gamma` are not used (paper §3, equation 1)."""
    del alpha, gamma
    return sigmoid_loss(logits, labels, state, None, 0.0)


def balanced_cross_entropy(
    logits: Tensor, labels: Tensor, state: Tensor, *, alpha: float = 0.25, gamma: float = 2.0
) -> Tensor:
    """Cross entropy weighted by `alpha`, summed; `gamma` is not used (paper §3.1, equation 3)."""
    del gamma
    return sigmoid_loss(logits, labels, state, alpha, 0.0)


CLASSIFICATION_LOSSES: dict[ClassificationLossName, Callable[..., Tensor]] = {
    "focal": focal,
    "cross_entropy": cross_entropy,
    "balanced_cross_entropy": balanced_cross_entropy,
}


def smooth_l1(predicted: Tensor, target: Tensor, beta: float = 1 / 9) -> Tensor:
    """Quadratic below `beta`, linear above, summed over the four deltas.

    Args:
        predicted: `(..., 4)` deltas.
        target: `(..., 4)` deltas.
        beta: Where the two pieces meet; fizyr's `sigma` is `1 / sqrt(beta)`.

    Returns:
        `(...)` float32.

    Reference:
        Girshick, Fast R-CNN, 2015, equation 3; fizyr's `smooth_l1(sigma=3)` is `beta` 1/9.
    """
    distance = ops.abs(ops.cast(predicted, "float32") - ops.cast(target, "float32"))
    if beta <= 0:
        return ops.sum(distance, axis=-1)
    quadratic = 0.5 / beta * ops.square(distance)
    return ops.sum(ops.where(distance < beta, quadratic, distance - 0.5 * beta), axis=-1)


def l1(predicted: Tensor, target: Tensor, beta: float = 0.0) -> Tensor:
    """Absolute difference, summed over the four deltas; `beta` is not used."""
    del beta
    return smooth_l1(predicted, target, 0.0)


def giou_loss(predicted: Tensor, target: Tensor, beta: float = 0.0) -> Tensor:
    """`1 - GIoU` of boxes `(..., 4)`; `beta` is not used."""
    del beta
    return 1.0 - boxes.giou(ops.cast(predicted, "float32"), ops.cast(target, "float32"))


def diou_loss(predicted: Tensor, target: Tensor, beta: float = 0.0) -> Tensor:
    """`1 - DIoU` of boxes `(..., 4)`; `beta` is not used."""
    del beta
    return 1.0 - boxes.diou(ops.cast(predicted, "float32"), ops.cast(target, "float32"))


def ciou_loss(predicted: Tensor, target: Tensor, beta: float = 0.0) -> Tensor:
    """`1 - CIoU` of boxes `(..., 4)`; `beta` is not used."""
    del beta
    return 1.0 - boxes.ciou(ops.cast(predicted, "float32"), ops.cast(target, "float32"))


class BoxLoss(NamedTuple):
    """A box loss and what it compares: deltas, or decoded boxes in pixels."""

    function: Callable[..., Tensor]
    is_on_boxes: bool


BOX_LOSSES: dict[BoxLossName, BoxLoss] = {
    "smooth_l1": BoxLoss(smooth_l1, False),
    "l1": BoxLoss(l1, False),
    "giou": BoxLoss(giou_loss, True),
    "diou": BoxLoss(diou_loss, True),
    "ciou": BoxLoss(ciou_loss, True),
}


def replicas() -> tuple[int, Callable[[Tensor], Tensor]]:
    """How many replicas train together, and the sum of a scalar over them.

    Only `tf.distribute` needs it: a JAX program sees the global batch by itself.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        context = tf.distribute.get_replica_context()
        if context is not None and context.num_replicas_in_sync > 1:
            return context.num_replicas_in_sync, lambda x: context.all_reduce("SUM", x)
    return 1, lambda x: x
