"""Focal loss, and the sum over logits that all losses with a modulating factor share (paper §3.2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from keras import ops

from keras_retinanet.losses.signed_logits import signed_logits, weighted_sum
from keras_retinanet.losses.targets import ClassTargets
from keras_retinanet.schema import Tensor


def sigmoid_loss(
    logits: Tensor,
    targets: ClassTargets,
    *,
    object_weight: Any,
    background_weight: Any,
    gamma: float,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Sum over anchors and classes of `weight · (1 - p_t)^γ · -log(p_t)`, from logits and integer labels.

    With the signed logits `x` and `s = softplus(x)`, `-log(p_t) = s` and `(1 - p_t)^γ = exp(γ (x - s))`. Neither value
    nor gradient overflows or vanishes at large logits, and there are no one-hot targets.

    Args:
        logits: `(B, A, K)`.
        targets: Labels; `quality` is not read.
        object_weight: Weight of the logit of an anchor's own class: a number, or `(K,)`.
        background_weight: Weight of all other logits: a number, or `(K,)`.
        gamma: Exponent of the modulating factor; 0 gives cross entropy.
        label_smoothing: ε: cross entropy with targets of ε / 2 and 1 - ε / 2. The modulating factor stays that of the
            labels, as in EfficientDet. Defaults to 0.

    Returns:
        Scalar float32.

    Reference:
        Focal Loss for Dense Object Detection, §3.1–3.3, equations 1, 3 and 5; Szegedy et al., Rethinking the
        Inception Architecture, 2016, §7 (label smoothing).
    """
    half = label_smoothing / 2

    @ops.custom_gradient
    def forward(logits: Tensor) -> tuple[Tensor, Callable[..., Tensor]]:
        is_own, x = signed_logits(logits, targets)
        softplus = ops.softplus(x)
        values = softplus - half * x if half else softplus
        if gamma != 0:
            values = values * ops.exp(gamma * (x - softplus))
        total = weighted_sum(values, is_own, targets, object_weight, background_weight)

        def gradient(*args: Tensor, upstream: Tensor = None) -> Tensor:
            """`p^γ (γ (1 - p) v + p - ε / 2)`, where `v` is the cross entropy and `p` is `1 - p_t`.

            It is computed from the logits again: no other `(B, A, K)` tensor is kept.
            """
            is_own, x = signed_logits(logits, targets)
            softplus = ops.softplus(x)
            slope = ops.exp((gamma + 1) * (x - softplus))
            if half:
                slope = slope - half * ops.exp(gamma * (x - softplus))
            if gamma != 0:
                values = softplus - half * x if half else softplus
                slope = slope + gamma * values * ops.exp(gamma * x - (gamma + 1) * softplus)
            weights = ops.where(is_own, -object_weight, background_weight)
            is_counted = ops.cast(targets.anchor_labels >= 0, "float32")[..., None]  # (B, A, 1)
            return slope * weights * (is_counted * (args[0] if upstream is None else upstream))

        return total, gradient

    return forward(ops.cast(logits, "float32"))


def weights_of(
    objects: float, background: float, class_weights: Sequence[float], class_alphas: Sequence[float] = ()
) -> tuple[Any, Any]:
    """Weights of objects and of background: two numbers, or `(K,)` each where classes have their own.

    Args:
        objects: Weight of objects.
        background: Weight of background.
        class_weights: A factor on both per class, or nothing.
        class_alphas: α per class, which replaces `objects` by α and `background` by 1 - α; or nothing.

    Returns:
        Weight of objects and weight of background.
    """
    alphas = np.asarray(class_alphas, np.float32)
    pair = (alphas, 1 - alphas) if len(alphas) else (objects, background)
    factors = np.asarray(class_weights, np.float32)
    return (pair[0] * factors, pair[1] * factors) if len(factors) else pair


def focal(
    logits: Tensor,
    targets: ClassTargets,
    *,
    alpha: float,
    gamma: float,
    class_weights: Sequence[float] = (),
    class_alphas: Sequence[float] = (),
    label_smoothing: float = 0.0,
) -> Tensor:
    """Focal loss.

    Args:
        logits: `(B, A, K)`.
        targets: Labels.
        alpha: Weight of objects; background has `1 - alpha`.
        gamma: Exponent of the modulating factor.
        class_weights: A factor per class on all terms of its logits. Defaults to none.
        class_alphas: `alpha` per class. Defaults to the same for all.
        label_smoothing: See `sigmoid_loss`. Defaults to 0.

    Returns:
        Scalar float32, the sum over the batch.

    Reference:
        Focal Loss for Dense Object Detection, §3.2, equation 5.
    """
    objects, background = weights_of(alpha, 1.0 - alpha, class_weights, class_alphas)
    return sigmoid_loss(
        logits,
        targets,
        object_weight=objects,
        background_weight=background,
        gamma=gamma,
        label_smoothing=label_smoothing,
    )
