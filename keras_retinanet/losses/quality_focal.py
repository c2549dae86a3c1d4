"""Quality focal loss: the score of an object learns the IoU of its box."""

from __future__ import annotations

from keras import ops

from keras_retinanet.losses.focal import sigmoid_loss
from keras_retinanet.losses.quality import own_logits, soft_cross_entropy
from keras_retinanet.losses.targets import ClassTargets
from keras_retinanet.schema import Tensor


def quality_focal(logits: Tensor, targets: ClassTargets, *, gamma: float) -> Tensor:
    """Quality focal loss: cross entropy with the quality `y`, times `|y - p|^γ`.

    Background and the other classes of an object have `y = 0`: there it is the focal loss without `alpha`.

    Args:
        logits: `(B, A, K)`.
        targets: Labels and quality.
        gamma: Exponent of the modulating factor, β in the paper.

    Returns:
        Scalar float32, the sum over the batch.

    Reference:
        Li et al., Generalized Focal Loss, 2020, equation 5; MMDetection `quality_focal_loss`.
    """
    background = sigmoid_loss(logits, targets, object_weight=0.0, background_weight=1.0, gamma=gamma)
    own, quality = own_logits(logits, targets)
    distance = ops.abs(quality - ops.sigmoid(own))
    # The gradient of |d|^γ at d = 0 is not finite for γ < 1 without the floor.
    values = soft_cross_entropy(own, quality) * ops.power(ops.maximum(distance, 1e-7), gamma)
    return background + ops.sum(ops.where(targets.anchor_labels == 1, values, 0.0))
