"""GHM-C: examples count less the more others have a gradient of the same size."""

from __future__ import annotations

from collections.abc import Sequence

from keras import ops

from keras_retinanet.losses.focal import weights_of
from keras_retinanet.losses.quality import soft_cross_entropy
from keras_retinanet.losses.signed_logits import signed_logits, weighted_sum
from keras_retinanet.losses.targets import ClassTargets
from keras_retinanet.schema import Tensor


def ghm(
    logits: Tensor,
    targets: ClassTargets,
    *,
    gradient_bins: int,
    class_weights: Sequence[float] = (),
    label_smoothing: float = 0.0,
) -> Tensor:
    """Gradient harmonized cross entropy: the mean of each bin of gradient sizes, averaged over the bins in use.

    The size of a gradient is `g = |p - y|`. All logits of the batch are counted together, and no average over batches
    is kept (momentum 0, the default of the published code).

    Args:
        logits: `(B, A, K)`.
        targets: Labels.
        gradient_bins: Bins of equal width that divide `g` in `0 … 1`.
        class_weights: A factor per class on all terms of its logits. Defaults to none.
        label_smoothing: ε: cross entropy with targets of ε / 2 and 1 - ε / 2; `g` keeps the labels. Defaults to 0.

    Returns:
        Scalar float32: a mean over the batch, which is not divided by its objects.

    Reference:
        Li et al., Gradient Harmonized Single-stage Detector, 2019, equations 4 to 9; MMDetection `GHMC`.
    """
    objects, background = weights_of(1.0, 1.0, class_weights)
    is_own, x = signed_logits(ops.cast(logits, "float32"), targets)
    values = soft_cross_entropy(x, label_smoothing / 2) * ops.stop_gradient(_bin_weights(x, targets, gradient_bins))
    return weighted_sum(values, is_own, targets, objects, background)


def _bin_weights(x: Tensor, targets: ClassTargets, bins: int) -> Tensor:
    """`1 / (logits in the bin · bins in use)` for each of the signed logits `x (B, A, K)`."""
    number = ops.minimum(ops.cast(ops.floor(ops.sigmoid(x) * bins), "int32"), bins - 1)
    number = ops.where((targets.anchor_labels >= 0)[..., None], number, bins)  # behind the last bin: not counted
    flat = ops.reshape(number, (-1,))
    # Whole numbers: float32 would stop counting at 2^24, which a batch of large images exceeds.
    counts = ops.cast(ops.segment_sum(ops.ones_like(flat), flat, num_segments=bins + 1)[:bins], "float32")
    in_use = ops.maximum(ops.sum(ops.cast(counts > 0, "float32")), 1.0)
    weights = 1.0 / (ops.maximum(counts, 1.0) * in_use)
    return ops.take(weights, ops.minimum(number, bins - 1), axis=0)
