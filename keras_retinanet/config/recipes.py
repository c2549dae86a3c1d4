"""Recipes: settings that belong together. A recipe fills only what nobody set; `training.recipe` applies it once.

`modern` also chooses by the data: batch, image size, anchors, augmentation and epochs. `docs/training.md` has the
figures that its entries rest on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from keras_retinanet.config.names import MixedPrecision, RecipeName

DEFAULT_RECIPE: RecipeName = "modern"
"""Recipe of `retinanet-train` for new runs; `build()`, `ModelConfig()` and `train()` have the paper's defaults."""

FIZYR: Mapping[str, Any] = {
    "model.box_coder": "corner",
    "model.stride_padding": "same",
    "resize.pad_multiple": 1,
    "resize.rounding": "even",
    "resize.method": "cv2",
    "resize.has_one_scale": True,
    "filter.top_k": 5000,
    "filter.clip_margin": 1,
    "optimizer.optimizer": "adam",
    "optimizer.learning_rate": 1e-5,
    "optimizer.schedule": "constant",
    "optimizer.warmup_steps": 0,
    "optimizer.clip_norm": 0.001,
    "data.augment": "none",
    "batch_size": 1,
    "epochs": 50,
    "steps": 10_000,
}
"""Defaults of `bin/train.py` of fizyr/keras-retinanet 1.0.0.

Its optimizer clips each gradient by itself, and lowers the rate when the loss no longer falls; here the whole gradient
is clipped, and the rate is constant.
"""

MODERN: Mapping[str, Any] = {
    "model.head_norm": "group",
    "model.head_depth": 2,
    "assigner.assigner": "task_aligned",
    "loss.classification": "quality_focal",
    "loss.box": "giou",
    "optimizer.schedule": "flat_cosine",
    "optimizer.flat_share": 0.75,
    "optimizer.ema_decay": 0.998,
    "data.use_cache": True,
}
"""What `modern` sets for every data set; `choose_by_data` adds the rest.

Sources: torchvision's v2 recipe (GroupNorm heads, GIoU), RTMDet and ultralytics (averaged weights, flat cosine,
mixing that ends), TOOD (assignment), GFL (scores that are the IoU), Hägele et al. 2024 (a constant rate, averaged, then
a short decay), DETR (rate of the backbone).
"""

RECIPES: Mapping[RecipeName, Mapping[str, Any]] = {"paper": {}, "fizyr": FIZYR, "modern": MODERN}
"""Name → dotted name of a setting → value. `paper` has no entries: the defaults of the dataclasses are the paper's."""


CHOSEN_BY_DATA = (
    "batch_size", "epochs", "evaluate_every", "mixed_precision", "resize.min_side", "resize.max_side",
    "model.fpn_width", "model.head_width", "optimizer.optimizer", "optimizer.learning_rate", "optimizer.backbone_rate",
    "optimizer.use_muon_in_backbone", "data.augment", "data.close_mosaic", "anchors.sizes", "anchors.ratios",
    "anchors.scales",
)  # fmt: skip
"""Settings that `modern` chooses by the data and the machine."""


def recipe_names() -> frozenset[str]:
    """Dotted names of the settings that a recipe may fill in."""
    return frozenset(CHOSEN_BY_DATA).union(*RECIPES.values())


@dataclass(frozen=True)
class DataFacts:
    """What `modern` looks at.

    Attributes:
        images: Training images.
        boxes: Their boxes, without ignore regions.
        shorter_side: Median of the images' shorter sides in pixels.
        longer_side: Median of their longer sides.
        small_box: √(width · height) in pixels of the image below which a tenth of the boxes lie; 0 without boxes.
        has_accelerator: Whether there is a GPU or TPU.
        half_precision: Half precision that the machine computes faster than float32, or `"none"`.
        is_pretrained: Whether the backbone starts from trained weights.
    """

    images: int
    boxes: int
    shorter_side: float
    longer_side: float
    small_box: float
    has_accelerator: bool
    half_precision: MixedPrecision = "none"
    is_pretrained: bool = True


@dataclass(frozen=True)
class Choice:
    """Settings chosen together.

    Attributes:
        values: Dotted name → value.
        reason: Why, in a few words.
    """

    values: Mapping[str, Any]
    reason: str


SMALLEST_BOX = 26.0
"""Side in network pixels that a tenth of the boxes may fall below: 3 cells of P3."""

SMALLEST_SCALE = 0.65
"""On a CPU, images are not made smaller than this for want of small boxes: their details tell the classes apart."""

SEEN_ON_CPU, SEEN_ON_ACCELERATOR = 12_000, 60_000
"""Images that a run sees, repeats included, if no time is given; on a CPU of `TYPICAL_PIXELS`: 40 CPU minutes with
MobileNet, and evaluations."""

TYPICAL_PIXELS, FEWEST_SEEN = 320 * 416, 4_000
"""On a CPU, larger images are seen less often, but a run sees at least `FEWEST_SEEN` of them."""

EVALUATIONS = 20
"""Evaluations of a run."""


def choose_by_data(facts: DataFacts, epochs: int | None = None) -> list[Choice]:
    """What `modern` chooses by the data and the machine.

    Args:
        facts: The data set and the machine.
        epochs: Epochs of the run, where they are set. Defaults to `None`: they are chosen, too.

    Returns:
        Choices, in the order in which they are printed.
    """
    batch = 16 if facts.has_accelerator else 4
    size = _choose_size(facts)
    if facts.has_accelerator:
        seen = max(SEEN_ON_ACCELERATOR, 12 * facts.images)
    else:
        pixels = size.values["resize.min_side"] * size.values["resize.max_side"]
        seen = max(round(SEEN_ON_CPU * min(TYPICAL_PIXELS / pixels, 1.0)), FEWEST_SEEN)
    epochs = epochs or min(max(round(seen / max(facts.images, 1)), 2), 300)
    device = "an accelerator" if facts.has_accelerator else "a CPU"
    return [
        _choose_network(facts),
        size,
        Choice({"batch_size": batch, "mixed_precision": facts.half_precision}, f"for {device}"),
        _choose_optimizer(facts),
        _choose_augmentation(facts, epochs),
        Choice(
            {"epochs": epochs, "evaluate_every": max(1, round(epochs / EVALUATIONS))},
            f"{epochs * facts.images:,} images seen, for {device}; about {EVALUATIONS} evaluations",
        ),
    ]


def _choose_network(facts: DataFacts) -> Choice:
    if facts.has_accelerator:
        return Choice({"model.fpn_width": 256, "model.head_width": 256}, "an accelerator computes the paper's widths")
    widths = {"model.fpn_width": 96, "model.head_width": 96}
    return Choice(widths, "a CPU sees more images in the same time with narrow heads")


def _choose_size(facts: DataFacts) -> Choice:
    most = 1333 if facts.has_accelerator else 800
    scale = min(most / max(facts.longer_side, 1.0), 800 / max(facts.shorter_side, 1.0))
    wanted = SMALLEST_BOX / facts.small_box if facts.small_box else 0.0
    if not facts.has_accelerator:  # larger images cost time that is worth more as a second look at each
        scale = min(scale, max(wanted, SMALLEST_SCALE))
    scale = min(scale, 2.0)
    sides = [max(64, 32 * round(scale * side / 32)) for side in (facts.shorter_side, facts.longer_side)]
    small = facts.small_box * scale
    reason = f"scale {scale:.2f} of the median image: a tenth of the boxes are smaller than {small:.0f} px"
    return Choice({"resize.min_side": sides[0], "resize.max_side": sides[1]}, reason)


def _choose_optimizer(facts: DataFacts) -> Choice:
    values: dict[str, Any] = {"optimizer.optimizer": "muon"}
    if facts.is_pretrained:
        values |= {"optimizer.learning_rate": 2e-3, "optimizer.use_muon_in_backbone": False}
        return Choice({**values, "optimizer.backbone_rate": 0.3}, "the backbone is trained already: AdamW updates it")
    values |= {"optimizer.learning_rate": 4e-3, "optimizer.use_muon_in_backbone": True}
    return Choice({**values, "optimizer.backbone_rate": 1.0}, "random weights")


def _choose_augmentation(facts: DataFacts, epochs: int) -> Choice:
    if epochs < 8:
        return Choice({"data.augment": "flip"}, f"{epochs} epochs see few images twice")
    if facts.images >= 5_000:
        return Choice({"data.augment": "strong"}, f"{facts.images:,} images")
    close = max(1, round(epochs * 0.15))
    values = {"data.augment": "mosaic", "data.close_mosaic": close}
    return Choice(values, f"{facts.images:,} images; the last 15 % of the epochs see them as they are")
