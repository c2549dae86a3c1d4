"""Binary cross entropy, plain and balanced (paper §3, §3.1)."""

from __future__ import annotations

from keras_retinanet.losses.focal import sigmoid_loss
from keras_retinanet.losses.targets import ClassTargets
from keras_retinanet.schema import Tensor


def cross_entropy(logits: Tensor, targets: ClassTargets) -> Tensor:
    """Binary cross entropy over all classes.

    Args:
        logits: `(B, A, K)`.
        targets: Labels.

    Returns:
        Scalar float32, the sum over the batch.

    Reference:
        Focal Loss for Dense Object Detection, §3, equation 1.
    """
    return sigmoid_loss(logits, targets, object_weight=1.0, background_weight=1.0, gamma=0.0)


def balanced_cross_entropy(logits: Tensor, targets: ClassTargets, *, alpha: float) -> Tensor:
    """Binary cross entropy with different weights for objects and background.

    Args:
        logits: `(B, A, K)`.
        targets: Labels.
        alpha: Weight of objects; background has `1 - alpha`.

    Returns:
        Scalar float32, the sum over the batch.

    Reference:
        Focal Loss for Dense Object Detection, §3.1, equation 3.
    """
    return sigmoid_loss(logits, targets, object_weight=alpha, background_weight=1.0 - alpha, gamma=0.0)
