"""Varifocal loss: objects with better boxes count more, and only background is modulated."""

from __future__ import annotations

from collections.abc import Sequence

from keras import ops

from keras_retinanet.losses.focal import sigmoid_loss, weights_of
from keras_retinanet.losses.quality import own_logits, smoothed, soft_cross_entropy, sum_of_objects
from keras_retinanet.losses.targets import ClassTargets
from keras_retinanet.schema import Tensor


def varifocal(
    logits: Tensor,
    targets: ClassTargets,
    *,
    background_weight: float,
    gamma: float,
    class_weights: Sequence[float] = (),
    label_smoothing: float = 0.0,
) -> Tensor:
    """Varifocal loss: `q · cross entropy with q` for an object of quality `q > 0`, `w p^γ · -log(1 - p)` elsewhere.

    Args:
        logits: `(B, A, K)`.
        targets: Labels and quality.
        background_weight: Weight `w` of background, α in the paper. The `alpha` of the focal loss weighs objects.
        gamma: Exponent of the modulating factor of background.
        class_weights: A factor per class on all terms of its logits. Defaults to none.
        label_smoothing: ε: cross entropy with `q (1 - ε) + ε / 2`; weight and factor keep `q`. Defaults to 0.

    Returns:
        Scalar float32, the sum over the batch.

    Reference:
        Zhang et al., VarifocalNet, 2021, equation 2; MMDetection and NanoDet `varifocal_loss`.
    """
    objects, others = weights_of(0.0, background_weight, class_weights)
    background = sigmoid_loss(
        logits,
        targets,
        object_weight=objects,
        background_weight=others,
        gamma=gamma,
        label_smoothing=label_smoothing,
    )
    own, quality = own_logits(logits, targets)
    values = soft_cross_entropy(own, smoothed(quality, label_smoothing))
    factor = background_weight * ops.exp(gamma * (own - ops.softplus(own)))  # quality 0 is background
    values = values * ops.where(quality > 0, quality, factor)
    return background + sum_of_objects(values, targets, class_weights)
