"""Training images after augmentation, with boxes coloured by whether they have a positive anchor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops

from keras_retinanet.assigners import ASSIGNERS, AssignerInputs, assign
from keras_retinanet.config import NetworkConfig, TrainConfig
from keras_retinanet.data.augment import augmentation_names
from keras_retinanet.data.bad_images import BadImages
from keras_retinanet.data.image_rule import learn_image_rule
from keras_retinanet.data.pipeline import TrainingBatches
from keras_retinanet.drawing.visualize import IGNORED_COLOUR, draw_boxes
from keras_retinanet.geometry.configured_anchors import anchor_layer, image_anchors
from keras_retinanet.schema import Sample

COVERED_COLOUR, MISSED_COLOUR, ANCHOR_COLOUR = (40, 210, 80), (255, 50, 50), (90, 150, 255)
"""RGB colours of boxes with a positive anchor, of boxes without one, and of positive anchors."""

PAD_COLOUR = (123.68, 116.779, 103.939)
"""RGB colour of padding: the ImageNet mean, within 4 levels of what pretrained networks pad with."""


@dataclass(frozen=True)
class TrainingPicture:
    """A training image with its boxes drawn.

    Attributes:
        image: Path of the file.
        pixels: `(H, W, 3)` uint8, boxes drawn, padding cropped.
        covered: Number of boxes with a positive anchor.
        missed: Number of boxes without one.
        ignored: Number of ignore regions.
    """

    image: str
    pixels: Any
    covered: int
    missed: int
    ignored: int


def training_pictures(
    samples: Sequence[Sample], class_names: Sequence[str], config: TrainConfig, *, has_anchors: bool = False
) -> Iterator[TrainingPicture]:
    """Draws the images of a training run in their order and with their augmentation, beginning with epoch 1.

    Args:
        samples: Annotated images.
        class_names: Names of their labels.
        config: Seed, augmentation, resize rule, anchors and assigner are used.
        has_anchors: Also draw the positive anchors. Defaults to `False`.

    Yields:
        One picture per image, endlessly.
    """
    batches = TrainingBatches(
        samples,
        resize=learn_image_rule(samples, config.data, config.resize),
        pad_value=PAD_COLOUR,
        batch_size=1,
        seed=config.seed,
        augmentations=augmentation_names(config.data.augment),
        workers=config.data.workers,
        bad_images=BadImages(len(samples)) if config.data.bad_data == "skip" else None,
    )
    for images, targets in batches.dataset():
        image, target = images[0].numpy(), {name: value[0].numpy() for name, value in targets.items()}
        yield _draw_picture(
            image, target, samples[int(target["image_index"])]["image"], class_names, config, has_anchors
        )


def grid_anchors(config: NetworkConfig, height: int, width: int) -> Any:
    """Computes all anchors of a padded image with the layer that the network uses.

    Args:
        config: Settings.
        height: Rows of the padded image.
        width: Columns of the padded image.

    Returns:
        `(A, 4)` float32 in pixels.
    """
    return np.concatenate([ops.convert_to_numpy(level) for level in image_anchors(config, height, width)])


def _draw_picture(
    image: Any, target: dict[str, Any], path: str, class_names: Sequence[str], config: TrainConfig, has_anchors: bool
) -> TrainingPicture:
    levels = image_anchors(config, *image.shape[:2])
    anchors = np.concatenate([ops.convert_to_numpy(level) for level in levels])
    batch = (ops.convert_to_tensor(target[name][None]) for name in ("boxes", "labels", "ignore", "size"))
    inputs = AssignerInputs(levels, anchor_layer(config).num_anchors, *batch)
    if ASSIGNERS[config.assigner.assigner].uses_predictions:  # those of a network that predicts its anchors
        logits = np.zeros((1, len(anchors), len(class_names)), np.float32)
        inputs = inputs._replace(predicted_boxes=anchors[None], logits=logits)
    assignment = assign(config.assigner, inputs)
    is_object = ops.convert_to_numpy(assignment.anchor_labels)[0] == 1
    kept = target["labels"] >= 0
    is_covered = np.isin(np.arange(len(kept)), ops.convert_to_numpy(assignment.matched_idxs)[0][is_object])[kept]
    boxes, labels, ignore = target["boxes"][kept], target["labels"][kept], target["ignore"][kept] > 0
    height, width = target["size"].astype(int)
    pixels = np.clip(np.rint(image[:height, :width]), 0, 255).astype(np.uint8)
    if has_anchors:
        pixels = draw_boxes(pixels, anchors[is_object], ANCHOR_COLOUR, line_width=1)
    colours = np.where(ignore[:, None], IGNORED_COLOUR, np.where(is_covered[:, None], COVERED_COLOUR, MISSED_COLOUR))
    captions = [
        class_names[k] + (" (ignored)" if is_region else "") for k, is_region in zip(labels, ignore, strict=True)
    ]
    pixels = draw_boxes(pixels, boxes, colours, captions=captions)
    counts = int((is_covered & ~ignore).sum()), int((~is_covered & ~ignore).sum()), int(ignore.sum())
    return TrainingPicture(path, pixels, *counts)
