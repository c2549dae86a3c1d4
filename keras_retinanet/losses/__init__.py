"""Classification and box losses: one concept per file, listed in two tables.

All compute in float32 and from logits, whatever dtype they are given, and return plain sums; the model divides them by
the number of objects. A loss that is a mean says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from keras_retinanet.config import BoxLossName, ClassificationLossName, LossConfig
from keras_retinanet.config.constants import chosen_constants
from keras_retinanet.losses.class_balance import check_class_numbers, with_balanced_classes
from keras_retinanet.losses.cross_entropy import balanced_cross_entropy, cross_entropy
from keras_retinanet.losses.distribution_focal import distribution_focal
from keras_retinanet.losses.focal import focal
from keras_retinanet.losses.focal_star import focal_star
from keras_retinanet.losses.ghm import ghm
from keras_retinanet.losses.iou_losses import ciou_loss, diou_loss, giou_loss
from keras_retinanet.losses.mined_cross_entropy import hard_negative, ohem
from keras_retinanet.losses.multibox import multibox
from keras_retinanet.losses.quality import soft_cross_entropy
from keras_retinanet.losses.quality_focal import quality_focal
from keras_retinanet.losses.smooth_l1 import l1, smooth_l1
from keras_retinanet.losses.softmax import softmax_cross_entropy
from keras_retinanet.losses.softmax_focal import softmax_focal
from keras_retinanet.losses.targets import ClassTargets
from keras_retinanet.losses.varifocal import varifocal
from keras_retinanet.schema import Tensor

__all__ = [
    "BOX_LOSSES",
    "CLASSIFICATION_LOSSES",
    "BoxLoss",
    "ClassLoss",
    "ClassTargets",
    "check_class_numbers",
    "class_constants",
    "distribution_focal",
    "soft_cross_entropy",
    "with_balanced_classes",
]


@dataclass(frozen=True)
class ClassLoss:
    """A classification loss.

    Attributes:
        function: `(logits, ClassTargets, **constants) → scalar`, the sum over the batch. Logits are `(B, A, K)`, or
            `(B, A, K + 1)` with `has_background`.
        constants: The keyword arguments of `function` with their defaults. `LossConfig` overrides those that are
            fields of it.
        uses_quality: Set `ClassTargets.quality` to the IoU of the predicted with the assigned box.
        has_background: The scores are one softmax over the classes and, last, the background; otherwise each class has
            a sigmoid of its own.
        prior: Probability of objects with which the class head starts (paper §4.1); `None` starts all biases at 0.
        is_mean: It returns a mean over the batch, which is not divided by the objects.
    """

    function: Callable[..., Tensor]
    constants: Mapping[str, Any] = field(default_factory=dict)
    uses_quality: bool = False
    has_background: bool = False
    prior: float | None = 0.01
    is_mean: bool = False


class BoxLoss(NamedTuple):
    """A box loss and what it compares.

    Attributes:
        function: `(predicted (..., 4), target (..., 4), beta) → (...)`.
        is_on_boxes: Compare decoded boxes in pixels; otherwise deltas.
    """

    function: Callable[..., Tensor]
    is_on_boxes: bool


_WEIGHTS: Mapping[str, Any] = {"class_weights": (), "label_smoothing": 0.0}
_ALPHAS: Mapping[str, Any] = {"alpha": 0.25, "class_alphas": ()}
_OHEM: Mapping[str, Any] = {"mined_examples": 128, "mining_nms": 0.5, "negative_ratio": 0.0, "mining_scope": "image"}

CLASSIFICATION_LOSSES: dict[ClassificationLossName, ClassLoss] = {
    "focal": ClassLoss(focal, {"gamma": 2.0, **_ALPHAS, **_WEIGHTS}),
    "cross_entropy": ClassLoss(cross_entropy, _WEIGHTS),
    "balanced_cross_entropy": ClassLoss(balanced_cross_entropy, {**_ALPHAS, **_WEIGHTS}),
    "quality_focal": ClassLoss(quality_focal, {"gamma": 2.0, **_WEIGHTS}, uses_quality=True),
    "varifocal": ClassLoss(varifocal, {"background_weight": 0.75, "gamma": 2.0, **_WEIGHTS}, uses_quality=True),
    "softmax_cross_entropy": ClassLoss(softmax_cross_entropy, _WEIGHTS, has_background=True),
    "focal_star": ClassLoss(focal_star, {"gamma": 2.0, "shift": 1.0, **_ALPHAS, **_WEIGHTS}),
    "ohem": ClassLoss(ohem, {**_OHEM, **_WEIGHTS}),
    "hard_negative": ClassLoss(hard_negative, {"negative_ratio": 3.0, **_WEIGHTS}),
    "ghm": ClassLoss(ghm, {"gradient_bins": 30, **_WEIGHTS}, is_mean=True),
    "softmax_focal": ClassLoss(softmax_focal, {"gamma": 2.0, "alpha": 0.25, **_WEIGHTS}, has_background=True),
    "multibox": ClassLoss(multibox, {"negative_ratio": 3.0, **_WEIGHTS}, has_background=True, prior=None),
}

BOX_LOSSES: dict[BoxLossName, BoxLoss] = {
    "smooth_l1": BoxLoss(smooth_l1, False),
    "l1": BoxLoss(l1, False),
    "giou": BoxLoss(giou_loss, True),
    "diou": BoxLoss(diou_loss, True),
    "ciou": BoxLoss(ciou_loss, True),
}


def class_constants(config: LossConfig) -> dict[str, Any]:
    """The constants of the classification loss: its own defaults, and what the settings say instead.

    Args:
        config: Name of the loss, and constants or `None`.

    Returns:
        Keyword arguments of `ClassLoss.function`.

    Raises:
        ValueError: A constant is set that this loss does not have.
    """
    name = config.classification
    names = {other: tuple(loss.constants) for other, loss in CLASSIFICATION_LOSSES.items()}
    return chosen_constants(config, "loss", name, names, CLASSIFICATION_LOSSES[name].constants)
