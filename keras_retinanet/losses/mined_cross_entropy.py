"""Cross entropy of chosen anchors: the heuristics that the focal loss replaced."""

from __future__ import annotations

from collections.abc import Sequence

from keras import ops

from keras_retinanet.config import MiningScope
from keras_retinanet.losses.cross_entropy import cross_entropy
from keras_retinanet.losses.mining import hard_examples, hard_negatives, keep_anchors
from keras_retinanet.losses.signed_logits import signed_logits
from keras_retinanet.losses.targets import ClassTargets
from keras_retinanet.schema import Tensor


def ohem(
    logits: Tensor,
    targets: ClassTargets,
    *,
    mined_examples: int,
    mining_nms: float,
    negative_ratio: float,
    mining_scope: MiningScope,
    class_weights: Sequence[float] = (),
    label_smoothing: float = 0.0,
) -> Tensor:
    """Binary cross entropy of hard examples: those of largest loss after non-maximum suppression.

    Args:
        logits: `(B, A, K)`.
        targets: Labels and anchors.
        mined_examples: Anchors that learn: of each image, or of the batch.
        mining_nms: An anchor is left out if its IoU with a chosen one of larger loss is above this.
        negative_ratio: Background anchors per chosen object, 3 in "OHEM 1:3"; 0 chooses by loss alone.
        mining_scope: Choose from each image, or from all images of the batch.
        class_weights: A factor per class on all terms of its logits. Defaults to none.
        label_smoothing: See `sigmoid_loss`; the choice keeps the labels. Defaults to 0.

    Returns:
        Scalar float32, the sum over the chosen anchors.

    Reference:
        Shrivastava et al., Online Hard Example Mining, 2016; Focal Loss for Dense Object Detection, §5.1, table 1d.
    """
    is_kept = hard_examples(
        anchor_losses(logits, targets),
        targets,
        mined_examples=mined_examples,
        mining_nms=mining_nms,
        negative_ratio=negative_ratio,
        mining_scope=mining_scope,
    )
    kept = keep_anchors(targets, is_kept)
    return cross_entropy(logits, kept, class_weights=class_weights, label_smoothing=label_smoothing)


def hard_negative(
    logits: Tensor,
    targets: ClassTargets,
    *,
    negative_ratio: float,
    class_weights: Sequence[float] = (),
    label_smoothing: float = 0.0,
) -> Tensor:
    """Binary cross entropy of all objects and of the background of largest loss, in a fixed ratio in each image.

    Args:
        logits: `(B, A, K)`.
        targets: Labels.
        negative_ratio: Background anchors per object of the image.
        class_weights: A factor per class on all terms of its logits. Defaults to none.
        label_smoothing: See `sigmoid_loss`; the choice keeps the labels. Defaults to 0.

    Returns:
        Scalar float32, the sum over the chosen anchors.

    Reference:
        Liu et al., SSD, 2016, §2.2, with a sigmoid per class.
    """
    kept = keep_anchors(targets, hard_negatives(anchor_losses(logits, targets), targets.anchor_labels, negative_ratio))
    return cross_entropy(logits, kept, class_weights=class_weights, label_smoothing=label_smoothing)


def anchor_losses(logits: Tensor, targets: ClassTargets) -> Tensor:
    """Binary cross entropy of each anchor, summed over classes, without gradient.

    Args:
        logits: `(B, A, K)`.
        targets: Labels.

    Returns:
        `(B, A)` float32.
    """
    _, x = signed_logits(ops.stop_gradient(ops.cast(logits, "float32")), targets)
    return ops.sum(ops.softplus(x), axis=-1)
