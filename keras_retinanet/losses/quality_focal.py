"""Quality focal loss: the score of an object learns the IoU of its box."""

from __future__ import annotations

from collections.abc import Sequence

from keras import ops

from keras_retinanet.losses.focal import sigmoid_loss, weights_of
from keras_retinanet.losses.quality import own_logits, smoothed, soft_cross_entropy, sum_of_objects
from keras_retinanet.losses.targets import ClassTargets
from keras_retinanet.schema import Tensor


def quality_focal(
    logits: Tensor,
    targets: ClassTargets,
    *,
    gamma: float,
    class_weights: Sequence[float] = (),
    label_smoothing: float = 0.0,
) -> Tensor:
    """Quality focal loss: cross entropy with the quality `y`, times `|y - p|^γ`.

    Background and the other classes of an object have `y = 0`: there it is the focal loss without `alpha`.

    Args:
        logits: `(B, A, K)`.
        targets: Labels and quality.
        gamma: Exponent of the modulating factor, β in the paper.
        class_weights: A factor per class on all terms of its logits. Defaults to none.
        label_smoothing: ε: cross entropy with `y (1 - ε) + ε / 2`; the factor keeps `y`. Defaults to 0.

    Returns:
        Scalar float32, the sum over the batch.

    Reference:
        Li et al., Generalized Focal Loss, 2020, equation 5; MMDetection `quality_focal_loss`.
    """
    objects, others = weights_of(0.0, 1.0, class_weights)
    background = sigmoid_loss(
        logits,
        targets,
        object_weight=objects,
        background_weight=others,
        gamma=gamma,
        label_smoothing=label_smoothing,
    )
    own, quality = own_logits(logits, targets)
    distance = ops.abs(quality - ops.sigmoid(own))
    # The gradient of |d|^γ at d = 0 is not finite for γ < 1 without the floor.
    values = soft_cross_entropy(own, smoothed(quality, label_smoothing))
    values = values * ops.power(ops.maximum(distance, 1e-7), gamma)
    return background + sum_of_objects(values, targets, class_weights)
