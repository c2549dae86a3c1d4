"""The boxes of a data set in network pixels, and the feature maps that their images have, without decoding an image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from keras_retinanet.config import ResizeConfig
from keras_retinanet.data.resized_sizes import network_scale, padded_size, resized_size
from keras_retinanet.schema import Sample

MapShapes = Callable[[int, int], Sequence[tuple[int, int]]]
"""Height and width of a padded image → rows and columns of each pyramid level, finest first."""


class NetworkBoxes(NamedTuple):
    """The M boxes of I images in network pixels, without ignore regions.

    Attributes:
        boxes: `(M, 4)` float64 in resized pixels.
        labels: `(M,)` int.
        image: `(M,)` int, ascending: the image of each box.
        sizes: `(I, 2)` int. Height and width of each image after resizing, before padding.
        padded: `(I, 2)` int. Height and width after padding.
        maps: `(L, I, 2)` int. Rows and columns of the feature maps of each pyramid level.
    """

    boxes: Any
    labels: Any
    image: Any
    sizes: Any
    padded: Any
    maps: Any


def network_boxes(
    samples: Sequence[Sample], resize: ResizeConfig, map_shapes: MapShapes, sizes: Any = None, padded: Any = None
) -> NetworkBoxes:
    """Applies the resize rule to the boxes of a data set, before any augmentation.

    Args:
        samples: Annotated images.
        resize: The resize rule.
        map_shapes: Shapes of the feature maps; called once for each padded size.
        sizes: `(I, 2)` int. Height and width of each image file. Defaults to the sizes in the samples.
        padded: `(I, 2)` int. Height and width of the network input of each image. Defaults to the smallest padded
            size that the rule allows.

    Returns:
        The boxes.
    """
    stored = np.array([sample["size"] for sample in samples] if sizes is None else sizes, np.int64).reshape(-1, 2)
    if not len(stored):
        none = np.zeros(0, np.int64)
        return NetworkBoxes(np.zeros((0, 4)), none, none, stored, stored, np.zeros((0, 0, 2), np.int64))
    resized = np.stack(resized_size(stored[:, 0], stored[:, 1], resize), axis=1)
    if padded is None:
        padded = np.stack(padded_size(resized[:, 0], resized[:, 1], resize), axis=1)
    counts = [len(sample["labels"]) for sample in samples]
    boxes = np.concatenate([np.asarray(sample["boxes"], np.float64).reshape(-1, 4) for sample in samples])
    labels = np.concatenate([np.asarray(sample["labels"], np.int64) for sample in samples])
    is_object = ~np.concatenate([np.asarray(sample["ignore"], bool) for sample in samples])
    image = np.repeat(np.arange(len(samples)), counts)
    scale = network_scale(resized, stored, resize)[image][:, [1, 0, 1, 0]]  # (M, 4) x, y, x, y
    maps = shapes_of_maps(padded, map_shapes)
    return NetworkBoxes(
        (boxes * scale)[is_object], labels[is_object], image[is_object], resized, np.asarray(padded), maps
    )


def shapes_of_maps(padded: Any, map_shapes: MapShapes) -> Any:
    """Shapes of the feature maps of many images.

    Args:
        padded: `(I, 2)` int. Height and width of each padded image.
        map_shapes: Called once for each distinct size.

    Returns:
        `(L, I, 2)` int. Rows and columns of each pyramid level.
    """
    kinds, kind = np.unique(np.asarray(padded), axis=0, return_inverse=True)
    shapes = np.array([map_shapes(int(height), int(width)) for height, width in kinds], np.int64)  # (U, L, 2)
    return shapes.transpose(1, 0, 2)[:, kind.reshape(-1)]
