"""The signed logits that all sigmoid losses compute with."""

from __future__ import annotations

from typing import Any

from keras import ops

from keras_retinanet.losses.targets import ClassTargets
from keras_retinanet.schema import Tensor


def signed_logits(logits: Tensor, targets: ClassTargets) -> tuple[Tensor, Tensor]:
    """Logits with those of the anchors' own classes negated, so that every one counts as background.

    In the paper's terms the result is `-x_t`: `p_t = sigmoid(-x)`, and the cross entropy is `softplus(x)`.

    Args:
        logits: `(B, A, K)` float32.
        targets: Labels.

    Returns:
        True at an anchor's own class, and the signed logits; both `(B, A, K)`.

    Reference:
        Focal Loss for Dense Object Detection, appendix A, equation 6.
    """
    own_label = ops.where(targets.anchor_labels == 1, ops.cast(targets.labels, "int32"), -1)[..., None]
    is_own = own_label == ops.arange(logits.shape[-1], dtype="int32")
    return is_own, ops.where(is_own, -logits, logits)


def weighted_sum(
    values: Tensor, is_own: Tensor, targets: ClassTargets, object_weight: Any, background_weight: Any
) -> Tensor:
    """Sum over all logits of anchors that are not ignored.

    Args:
        values: `(B, A, K)` float32.
        is_own: `(B, A, K)` bool, of `signed_logits`.
        targets: Labels.
        object_weight: Weight of the logit of an anchor's own class: a number, or `(K,)`.
        background_weight: Weight of all other logits: a number, or `(K,)`.

    Returns:
        Scalar float32.
    """
    weighted = values * ops.where(is_own, object_weight, background_weight)
    return ops.sum(ops.sum(weighted, axis=-1) * ops.cast(targets.anchor_labels >= 0, "float32"))
