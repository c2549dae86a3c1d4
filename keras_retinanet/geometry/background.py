"""Scores of a softmax over classes and background, in the form of those of a sigmoid for each class."""

from __future__ import annotations

from keras import ops

from keras_retinanet.schema import Tensor

_SMALLEST = 1e-37  # smallest normal number of float32, in round figures


def without_background(logits: Tensor) -> Tensor:
    """Logits of the classes alone, whose sigmoid is the softmax over classes and background.

    `log(p / (1 - p))` of each class: thresholds, calibration and filter then need no case of their own. `1 - p` is the
    sum over the other outputs, so that neither small nor large probabilities lose digits.

    Args:
        logits: `(..., K + 1)`, those of the `K` classes and, last, that of the background.

    Returns:
        `(..., K)` float32.
    """
    shifted = ops.cast(logits, "float32")
    shifted = shifted - ops.max(shifted, axis=-1, keepdims=True)
    powers = ops.exp(shifted)
    is_largest = shifted >= 0.0
    below = ops.sum(ops.where(is_largest, 0.0, powers), axis=-1, keepdims=True)
    largest = ops.sum(ops.cast(is_largest, "float32"), axis=-1, keepdims=True)  # more than one if they are equal
    others = ops.where(is_largest, below + (largest - 1.0), below + (largest - powers))
    return (shifted - ops.log(ops.maximum(others, _SMALLEST)))[..., :-1]
