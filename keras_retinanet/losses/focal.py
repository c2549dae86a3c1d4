"""Focal loss, and the sum over logits that all classification losses share (paper §3.2)."""

from __future__ import annotations

from collections.abc import Callable

from keras import ops

from keras_retinanet.losses.targets import ClassTargets
from keras_retinanet.schema import Tensor


def sigmoid_loss(
    logits: Tensor, targets: ClassTargets, *, object_weight: float, background_weight: float, gamma: float
) -> Tensor:
    """Sum over anchors and classes of `weight · (1 - p_t)^γ · -log(p_t)`, from logits and integer labels.

    The logit of an anchor's own class is negated, so that every logit `x` counts as background: with
    `s = softplus(x)`, `-log(1 - p) = s` and `p^γ = exp(γ (x - s))`. Neither value nor gradient overflows or vanishes
    at large logits, and there are no one-hot targets.

    Args:
        logits: `(B, A, K)`.
        targets: Labels; `quality` is not read.
        object_weight: Weight of the logit of an anchor's own class.
        background_weight: Weight of all other logits.
        gamma: Exponent of the modulating factor; 0 gives cross entropy.

    Returns:
        Scalar float32.

    Reference:
        Focal Loss for Dense Object Detection, §3.1–3.3, equations 1, 3 and 5.
    """
    is_counted = ops.cast(targets.anchor_labels >= 0, "float32")[..., None]  # (B, A, 1)
    own_label = ops.where(targets.anchor_labels == 1, ops.cast(targets.labels, "int32"), -1)[..., None]

    def signed_logits(logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """True at an anchor's own class; the logits, negated there; their softplus. Each `(B, A, K)`."""
        is_own = own_label == ops.arange(logits.shape[-1], dtype="int32")
        x = ops.where(is_own, -logits, logits)
        return is_own, x, ops.softplus(x)

    @ops.custom_gradient
    def forward(logits: Tensor) -> tuple[Tensor, Callable[..., Tensor]]:
        is_own, x, softplus = signed_logits(logits)
        values = softplus if gamma == 0 else softplus * ops.exp(gamma * (x - softplus))
        weighted = values * ops.where(is_own, object_weight, background_weight)
        total = ops.sum(ops.sum(weighted, axis=-1) * is_counted[..., 0])

        def gradient(*args: Tensor, upstream: Tensor = None) -> Tensor:
            """`p^γ (γ (1 - p) s + p)`, computed from the logits again: no other `(B, A, K)` tensor is kept."""
            is_own, x, softplus = signed_logits(logits)
            slope = ops.exp((gamma + 1) * (x - softplus))
            if gamma != 0:
                slope = slope + gamma * softplus * ops.exp(gamma * x - (gamma + 1) * softplus)
            weights = ops.where(is_own, -object_weight, background_weight)
            return slope * weights * (is_counted * (args[0] if upstream is None else upstream))

        return total, gradient

    return forward(ops.cast(logits, "float32"))


def focal(logits: Tensor, targets: ClassTargets, *, alpha: float, gamma: float) -> Tensor:
    """Focal loss.

    Args:
        logits: `(B, A, K)`.
        targets: Labels.
        alpha: Weight of objects; background has `1 - alpha`.
        gamma: Exponent of the modulating factor.

    Returns:
        Scalar float32, the sum over the batch.

    Reference:
        Focal Loss for Dense Object Detection, §3.2, equation 5.
    """
    return sigmoid_loss(logits, targets, object_weight=alpha, background_weight=1.0 - alpha, gamma=gamma)
