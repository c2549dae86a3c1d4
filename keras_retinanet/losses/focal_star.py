"""FL*: cross entropy of a steeper, shifted sigmoid, with the properties of the focal loss (paper, appendix A)."""

from __future__ import annotations

from collections.abc import Sequence

from keras import ops

from keras_retinanet.losses.focal import weights_of
from keras_retinanet.losses.quality import soft_cross_entropy
from keras_retinanet.losses.signed_logits import signed_logits, weighted_sum
from keras_retinanet.losses.targets import ClassTargets
from keras_retinanet.schema import Tensor


def focal_star(
    logits: Tensor,
    targets: ClassTargets,
    *,
    alpha: float,
    gamma: float,
    shift: float,
    class_weights: Sequence[float] = (),
    class_alphas: Sequence[float] = (),
    label_smoothing: float = 0.0,
) -> Tensor:
    """FL*: `-log(σ(γ x_t + β)) / γ`, where `x_t` is the logit, negated where the label is background.

    Args:
        logits: `(B, A, K)`.
        targets: Labels.
        alpha: Weight of objects; background has `1 - alpha`.
        gamma: Steepness γ, above 0.
        shift: β, which moves the curve towards misclassified examples where it is above 0.
        class_weights: A factor per class on all terms of its logits. Defaults to none.
        class_alphas: `alpha` per class. Defaults to the same for all.
        label_smoothing: ε: cross entropy with targets of ε / 2 and 1 - ε / 2. Defaults to 0.

    Returns:
        Scalar float32, the sum over the batch.

    Raises:
        ValueError: `gamma` is not above 0.

    Reference:
        Focal Loss for Dense Object Detection, appendix A, equations 7 and 8; α 0.25 as there.
    """
    if gamma <= 0:
        raise ValueError(f"--focal-gamma of focal_star is a steepness above 0; received {gamma:g}.")
    objects, background = weights_of(alpha, 1.0 - alpha, class_weights, class_alphas)
    is_own, x = signed_logits(ops.cast(logits, "float32"), targets)
    values = soft_cross_entropy(gamma * x - shift, label_smoothing / 2) / gamma
    return weighted_sum(values, is_own, targets, objects, background)
