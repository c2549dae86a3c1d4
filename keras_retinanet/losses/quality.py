"""What losses with IoU-quality targets share: an object's own logit is compared with a number in `0 … 1`."""

from __future__ import annotations

from collections.abc import Sequence

from keras import ops

from keras_retinanet.losses.targets import ClassTargets
from keras_retinanet.schema import Tensor


def own_logits(logits: Tensor, targets: ClassTargets) -> tuple[Tensor, Tensor]:
    """The logit of each anchor's own class, and its target.

    Args:
        logits: `(B, A, K)`.
        targets: Labels and quality.

    Returns:
        Logits `(B, A)` float32 and quality `(B, A)` float32; both are defined where `anchor_labels` is 1.

    Raises:
        ValueError: The targets have no quality.
    """
    if targets.quality is None:
        raise ValueError("This loss needs `ClassTargets.quality`: list it as `ClassLoss(…, uses_quality=True)`.")
    index = ops.maximum(ops.cast(targets.labels, "int32"), 0)[..., None]  # labels of background may be -1
    own = ops.take_along_axis(ops.cast(logits, "float32"), index, axis=-1)[..., 0]
    return own, ops.cast(targets.quality, "float32")


def sum_of_objects(values: Tensor, targets: ClassTargets, class_weights: Sequence[float]) -> Tensor:
    """Sum of the values of all objects, each with the weight of its class.

    Args:
        values: `(B, A)` float32, read where `anchor_labels` is 1.
        targets: Labels.
        class_weights: One weight per class, or nothing.

    Returns:
        Scalar float32.
    """
    if len(class_weights):
        labels = ops.maximum(ops.cast(targets.labels, "int32"), 0)
        values = values * ops.take(ops.convert_to_tensor(class_weights, "float32"), labels)
    return ops.sum(ops.where(targets.anchor_labels == 1, values, 0.0))


def soft_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Binary cross entropy of logits with targets in `0 … 1`.

    Args:
        logits: Any shape, float32.
        targets: The same shape, float32.

    Returns:
        `softplus(x) - x · target`, of the same shape: no overflow at large logits.
    """
    return ops.softplus(logits) - logits * targets


def smoothed(targets: Tensor, label_smoothing: float) -> Tensor:
    """Targets `y (1 - ε) + ε / 2`.

    Args:
        targets: In `0 … 1`, any shape.
        label_smoothing: ε.

    Returns:
        The same shape.
    """
    return targets * (1 - label_smoothing) + label_smoothing / 2 if label_smoothing else targets
