"""SSD's own loss of the classes: softmax cross entropy with hard negatives."""

from __future__ import annotations

from collections.abc import Sequence

from keras import ops

from keras_retinanet.losses.mining import hard_negatives, keep_anchors
from keras_retinanet.losses.softmax import softmax_cross_entropy, softmax_values
from keras_retinanet.losses.targets import ClassTargets
from keras_retinanet.schema import Tensor


def multibox(
    logits: Tensor,
    targets: ClassTargets,
    *,
    negative_ratio: float,
    class_weights: Sequence[float] = (),
    label_smoothing: float = 0.0,
) -> Tensor:
    """Softmax cross entropy of all objects and of the background of largest loss, in a fixed ratio in each image.

    Args:
        logits: `(B, A, K + 1)`, background last.
        targets: Labels.
        negative_ratio: Background anchors per object of the image; an image without objects has none.
        class_weights: A factor per class on its objects; background has 1. Defaults to none.
        label_smoothing: See `softmax_values`; the choice keeps the labels. Defaults to 0.

    Returns:
        Scalar float32, the sum over the chosen anchors.

    Reference:
        Liu et al., SSD: Single Shot MultiBox Detector, 2016, §2.2, equation 3; torchvision `SSD.compute_loss`.
    """
    values = softmax_values(ops.stop_gradient(ops.cast(logits, "float32")), targets)
    kept = keep_anchors(targets, hard_negatives(values, targets.anchor_labels, negative_ratio))
    return softmax_cross_entropy(logits, kept, class_weights=class_weights, label_smoothing=label_smoothing)
