"""From images to network input, and from the network's boxes back to the pixels of each image.

`export/serving_graph.py` is the same inside a TensorFlow graph; tests hold the two equal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_retinanet.config import ResizeConfig
from keras_retinanet.data.batch_shapes import bucket_shape
from keras_retinanet.data.resize_arrays import resize_array
from keras_retinanet.data.resized_sizes import network_scale, padded_size, resized_size
from keras_retinanet.schema import Detections, Size


@dataclass(frozen=True)
class ImageFit:
    """The sizes of one image on its way into the network.

    Attributes:
        original: Height and width of the image as it was given.
        resized: Height and width after resizing, before padding.
        batch_shape: Height and width after padding. Images of one batch shape can share a batch.
    """

    original: Size
    resized: Size
    batch_shape: Size


def fit_image(
    height: int, width: int, resize: ResizeConfig, *, fixed_shape: Size | None = None, is_bucketed: bool = False
) -> ImageFit:
    """The sizes of an image under a resize rule.

    Args:
        height: Of the image, in pixels.
        width: Of the image, in pixels.
        resize: The rule.
        fixed_shape: `(H, W)` that every batch has. An image that the rule makes larger is made smaller, in its own
            proportions, until it fits. Defaults to `None`: the smallest shape of the rule that holds the image.
        is_bucketed: Take the batch shape from the few of `bucket_shape`, for backends that compile each shape. Not read
            with `fixed_shape`. Defaults to `False`.

    Returns:
        The sizes.
    """
    resized = resized_size(height, width, resize)
    if fixed_shape is not None:
        return ImageFit((height, width), shrink_to_fit(resized, (height, width), fixed_shape), fixed_shape)
    shape = bucket_shape(*resized, resize) if is_bucketed else padded_size(*resized, resize)
    return ImageFit((height, width), resized, shape)


def shrink_to_fit(resized: Size, original: Size, shape: Size) -> Size:
    """The size of an image inside a fixed batch shape.

    Args:
        resized: Height and width that the resize rule gives it.
        original: Height and width that it has.
        shape: Height and width of the batch.

    Returns:
        `resized` where it fits; else the largest size of the original proportions that does, each side rounded to the
        nearest pixel.
    """
    if resized[0] <= shape[0] and resized[1] <= shape[1]:
        return resized
    axis = 0 if shape[0] * original[1] <= shape[1] * original[0] else 1  # the side that reaches its limit first
    sides = [
        min(max((2 * side * shape[axis] + original[axis]) // (2 * original[axis]), 1), limit)
        for side, limit in zip(original, shape, strict=True)
    ]
    return int(sides[0]), int(sides[1])


def prepare_batch(
    images: Sequence[Any], fits: Sequence[ImageFit], resize: ResizeConfig, pad_value: Sequence[float]
) -> tuple[Any, Any]:
    """Resizes images and pads them to one shape, the smallest that holds the batch shapes of all.

    Args:
        images: Each `(h, w, 3)` uint8 RGB.
        fits: The sizes of each image, from `fit_image`.
        resize: The rule.
        pad_value: Three floats, R, G, B in 0–255.

    Returns:
        Images `(B, H, W, 3)` float32, and `(B, 2)` float32 height and width of each before padding.
    """
    batch = np.empty((len(images), *np.max([fit.batch_shape for fit in fits], axis=0), 3), np.float32)
    for row, image, fit in zip(batch, images, fits, strict=True):
        height, width = fit.resized
        row[:height, :width] = resize_array(image, fit.resized, resize)
        row[:height, width:] = row[height:] = pad_value
    return batch, np.asarray([fit.resized for fit in fits], np.float32)


def fill_batch(array: Any, count: int) -> Any:
    """Fills a batch up with copies of its last row, so that a model is not compiled again for a smaller one.

    Args:
        array: `(B, …)`, at least one row.
        count: Rows of a full batch.

    Returns:
        `(max(B, count), …)`; the array itself where it is full already.
    """
    if len(array) >= count:
        return array
    return array[np.minimum(np.arange(count), len(array) - 1)]


def restore_detections(batch: Mapping[str, Any], row: int, *, scale: Any, original: Any) -> Detections:
    """The detections of one image without padding, in the pixels of the image.

    Args:
        batch: `schema.BatchDetections` as NumPy arrays, boxes in network pixels.
        row: Position of the image in the batch.
        scale: `(2,)` y, x: network pixels over original pixels, from `network_scale`.
        original: `(2,)` height and width of the image, to which boxes are clipped.

    Returns:
        Its detections, in the order of the model.
    """
    found = cut_padding(batch, row)
    y, x = np.asarray(scale).astype(np.float32)
    height, width = np.asarray(original, np.float32)
    boxes = found["boxes"] / np.array([x, y, x, y])  # (D, 4)
    return {**found, "boxes": np.clip(boxes, 0, np.array([width, height, width, height]))}


def cut_padding(batch: Mapping[str, Any], row: int) -> Detections:
    """The detections of one image without padding, boxes as they are; arguments as in `restore_detections`."""
    count = int(batch["num_detections"][row])
    return {
        "boxes": np.asarray(batch["boxes"][row, :count], np.float32),
        "scores": np.asarray(batch["scores"][row, :count], np.float32),
        "labels": np.asarray(batch["labels"][row, :count], np.int32),
    }


def restore_by_fit(batch: Mapping[str, Any], row: int, fit: ImageFit, resize: ResizeConfig) -> Detections:
    """`restore_detections` of an image whose sizes are known: arguments as there and in `fit_image`."""
    scale = network_scale(fit.resized, fit.original, resize)
    return restore_detections(batch, row, scale=scale, original=fit.original)
