"""Distribution focal loss: the two bins next to a distance learn it."""

from __future__ import annotations

from keras import ops

from keras_retinanet.schema import Tensor

END_MARGIN = 0.1
"""Distances are cut off this many bins before the last one, as in the published code."""


def distribution_focal(logits: Tensor, distances: Tensor) -> Tensor:
    """Cross entropy with the two bins around a distance, in proportion to its nearness; the mean of the four sides.

    Args:
        logits: `(..., 4 · bins)`, the distributions of the four sides one after the other.
        distances: `(..., 4)` in bins; cut off at 0 and before the last bin.

    Returns:
        `(...)` float32.

    Reference:
        Li et al., Generalized Focal Loss, 2020, equation 6; MMDetection `distribution_focal_loss`.
    """
    bins = logits.shape[-1] // 4
    logits = ops.reshape(ops.cast(logits, "float32"), (*ops.shape(logits)[:-1], 4, bins))
    distances = ops.clip(ops.cast(distances, "float32"), 0.0, bins - 1 - END_MARGIN)
    left = ops.floor(distances)
    index = ops.cast(left, "int32")[..., None]
    total = ops.logsumexp(logits, axis=-1)  # (..., 4)
    lower = total - ops.take_along_axis(logits, index, axis=-1)[..., 0]
    upper = total - ops.take_along_axis(logits, index + 1, axis=-1)[..., 0]
    share = distances - left
    return ops.mean(lower * (1 - share) + upper * share, axis=-1)
