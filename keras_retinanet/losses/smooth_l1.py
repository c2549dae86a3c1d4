"""Smooth L1 and L1 on deltas."""

from __future__ import annotations

from keras import ops

from keras_retinanet.schema import Tensor


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
    """Absolute difference of deltas `(..., 4)`, summed over the four; `beta` is not used."""
    del beta
    return smooth_l1(predicted, target, 0.0)
