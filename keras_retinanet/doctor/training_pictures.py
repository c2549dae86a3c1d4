"""What the network is shown: images after augmentation, with the boxes that train an anchor and those that do not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops

from keras_retinanet.assigners import AssignerInputs, assign
from keras_retinanet.config import AnchorConfig, TrainConfig
from keras_retinanet.data.augment import PRESETS
from keras_retinanet.data.bad_images import BadImages
from keras_retinanet.data.pipeline import TrainingBatches
from keras_retinanet.drawing.visualize import IGNORED_COLOUR, draw_boxes
from keras_retinanet.geometry.anchors import Anchors, image_anchors
from keras_retinanet.schema import Sample

TRAINS, TRAINS_NOTHING, ANCHOR = (40, 210, 80), (255, 50, 50), (90, 150, 255)
"""Colours of boxes that train at least one anchor, of those that train none, and of positive anchors."""

GROUND = (123.68, 116.779, 103.939)
"""Colour of what changes leave empty: the mean that networks with weights of ImageNet pad with, to within 4 levels."""


@dataclass(frozen=True)
class TrainingPicture:
    """An image as the network is shown it.

    Attributes:
        image: Path of the file.
        pixels: `(H, W, 3)` uint8, with everything drawn in, padding cut off.
        covered: Boxes that train at least one anchor.
        missed: Boxes that train nothing.
        ignored: Ignore regions.
    """

    image: str
    pixels: Any
    covered: int
    missed: int
    ignored: int


def training_pictures(
    samples: Sequence[Sample], class_names: Sequence[str], config: TrainConfig, *, has_anchors: bool = False
) -> Iterator[TrainingPicture]:
    """Draws the images of the first pass of a training, in its order and with its augmentation.

    Args:
        samples: Annotated images.
        class_names: Names of their labels.
        config: TrainConfig. Seed, augmentation, resize rule, anchors and assigner count.
        has_anchors: bool. Also draw the positive anchors. Defaults to `False`.

    Yields:
        One picture an image, endlessly.
    """
    batches = TrainingBatches(
        samples,
        resize=config.resize,
        pad_value=GROUND,
        batch_size=1,
        seed=config.seed,
        augmentations=PRESETS[config.data.augment],
        workers=config.data.workers,
        bad_images=BadImages(len(samples)) if config.data.bad_data == "skip" else None,
    )
    for images, targets in batches.dataset():
        image, target = images[0].numpy(), {name: value[0].numpy() for name, value in targets.items()}
        yield _drawn(image, target, samples[int(target["image_index"])]["image"], class_names, config, has_anchors)


def grid_anchors(anchors: AnchorConfig, height: int, width: int) -> Any:
    """All anchors of a padded image, from the layer that trains.

    Args:
        anchors: AnchorConfig.
        height: int. Rows of the padded image.
        width: int. Columns of the padded image.

    Returns:
        `(A, 4)` float32 in pixels.
    """
    return np.concatenate([ops.convert_to_numpy(level) for level in image_anchors(anchors, height, width)])


def _drawn(
    image: Any, target: dict[str, Any], path: str, class_names: Sequence[str], config: TrainConfig, has_anchors: bool
) -> TrainingPicture:
    levels = image_anchors(config.anchors, *image.shape[:2])
    anchors = np.concatenate([ops.convert_to_numpy(level) for level in levels])
    batch = (ops.convert_to_tensor(target[name][None]) for name in ("boxes", "labels", "ignore", "size"))
    inputs = AssignerInputs(levels, Anchors(**vars(config.anchors)).num_anchors, *batch)
    assignment = assign(config.assigner, inputs)
    is_object = ops.convert_to_numpy(assignment.anchor_labels)[0] == 1
    kept = target["labels"] >= 0
    trains = np.isin(np.arange(len(kept)), ops.convert_to_numpy(assignment.matched_idxs)[0][is_object])[kept]
    boxes, labels, ignore = target["boxes"][kept], target["labels"][kept], target["ignore"][kept] > 0
    height, width = target["size"].astype(int)
    pixels = np.clip(np.rint(image[:height, :width]), 0, 255).astype(np.uint8)
    if has_anchors:
        pixels = draw_boxes(pixels, anchors[is_object], ANCHOR, line_width=1)
    colours = np.where(ignore[:, None], IGNORED_COLOUR, np.where(trains[:, None], TRAINS, TRAINS_NOTHING))
    captions = [
        class_names[k] + (" (ignored)" if is_region else "") for k, is_region in zip(labels, ignore, strict=True)
    ]
    pixels = draw_boxes(pixels, boxes, colours, captions=captions)
    counts = int((trains & ~ignore).sum()), int((~trains & ~ignore).sum()), int(ignore.sum())
    return TrainingPicture(path, pixels, *counts)
