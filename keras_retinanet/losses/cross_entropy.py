"""Binary cross entropy, plain and balanced (paper §3, §3.1)."""

from __future__ import annotations

from collections.abc import Sequence

from keras_retinanet.losses.focal import focal, sigmoid_loss, weights_of
from keras_retinanet.losses.targets import ClassTargets
from keras_retinanet.schema import Tensor


def cross_entropy(
    logits: Tensor, targets: ClassTargets, *, class_weights: Sequence[float] = (), label_smoothing: float = 0.0
) -> Tensor:
    """Binary cross entropy over all classes.

    Args:
        logits: `(B, A, K)`.
        targets: Labels.
        class_weights: A factor per class on all terms of its logits. Defaults to none.
        label_smoothing: See `sigmoid_loss`. Defaults to 0.

    Returns:
        Scalar float32, the sum over the batch.

    Reference:
        Focal Loss for Dense Object Detection, §3, equation 1.
    """
    objects, background = weights_of(1.0, 1.0, class_weights)
    return sigmoid_loss(
        logits,
        targets,
        object_weight=objects,
        background_weight=background,
        gamma=0.0,
        label_smoothing=label_smoothing,
    )


def balanced_cross_entropy(
    logits: Tensor,
    targets: ClassTargets,
    *,
    alpha: float,
    class_weights: Sequence[float] = (),
    class_alphas: Sequence[float] = (),
    label_smoothing: float = 0.0,
) -> Tensor:
    """Binary cross entropy with different weights for objects and background.

    Args:
        logits: `(B, A, K)`.
        targets: Labels.
        alpha: Weight of objects; background has `1 - alpha`.
        class_weights: A factor per class on all terms of its logits. Defaults to none.
        class_alphas: `alpha` per class. Defaults to the same for all.
        label_smoothing: See `sigmoid_loss`. Defaults to 0.

    Returns:
        Scalar float32, the sum over the batch.

    Reference:
        Focal Loss for Dense Object Detection, §3.1, equation 3.
    """
    return focal(
        logits,
        targets,
        alpha=alpha,
        gamma=0.0,
        class_weights=class_weights,
        class_alphas=class_alphas,
        label_smoothing=label_smoothing,
    )
