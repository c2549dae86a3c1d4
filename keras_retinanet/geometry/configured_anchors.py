"""The anchors that settings describe, with and without a network."""

from __future__ import annotations

import dataclasses

import numpy as np

from keras_retinanet.config import NetworkConfig
from keras_retinanet.config.architectures import ARCHITECTURES
from keras_retinanet.geometry.anchors import Anchors, pyramid_shapes
from keras_retinanet.geometry.default_boxes import DefaultBoxes
from keras_retinanet.schema import Tensor


def anchor_layer(config: NetworkConfig) -> Anchors | DefaultBoxes:
    """The layer of a network's anchors.

    Args:
        config: Settings; those of the architecture are filled in already.

    Returns:
        `Anchors`, or of an SSD `DefaultBoxes`.

    Raises:
        ValueError: The settings contradict each other.
    """
    if ARCHITECTURES[config.model.architecture].has_default_boxes:
        boxes = dataclasses.asdict(config.default_boxes)
        return DefaultBoxes(**boxes, max_side=max(config.resize.shape), name="anchors")
    return Anchors(**dataclasses.asdict(config.anchors), name="anchors")


def map_shapes(config: NetworkConfig, height: int, width: int) -> list[tuple[int, int]]:
    """Shapes of the feature maps by the settings alone; with a model, `RetinaNet.map_shapes` asks its layers.

    Args:
        config: Settings.
        height: Rows of the padded image.
        width: Columns of the padded image.

    Returns:
        Rows and columns of each level; of an SSD those of images of its own shape.
    """
    sides = ARCHITECTURES[config.model.architecture].map_sides
    return [(side, side) for side in sides] or pyramid_shapes(height, width, config.anchors.strides)


def image_anchors(config: NetworkConfig, height: int, width: int) -> tuple[Tensor, ...]:
    """The anchors of a padded image by the settings alone, for checks before there is a network.

    Args:
        config: Settings.
        height: Rows of the padded image.
        width: Columns of the padded image.

    Returns:
        `(A_level, 4)` float32 in pixels, one per level, finest first.
    """
    maps = {
        str(level): np.zeros((1, *shape, 1), np.float32)
        for level, shape in enumerate(map_shapes(config, height, width))
    }
    levels = anchor_layer(config)(maps, np.zeros((1, height, width, 1), np.float32))
    return tuple(anchors[0] for anchors in levels.values())
