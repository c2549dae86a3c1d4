"""Moves an image together with its boxes: crops, resizes, flips, and clips boxes at the border.

A sample is a dict of tensors: `image` `(h, w, 3)` uint8 or float32 RGB 0–255, unpadded; `boxes` `(N, 4)` float32;
`labels` `(N,)` int32; `ignore` `(N,)` bool; `target_size` `(2,)` int32 H, W, the largest size of the result;
`pad_value` `(3,)` float32, the colour of what lies outside the image. A sample with `resized_size`, `(2,)` int32, may
not be resized yet: `image` and `boxes` are those of the stored image, and a change of scale gives the new size relative
to `resized_size`, so that pixels are interpolated once instead of twice.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from keras_retinanet.data.image import resize_boxes, resize_image
from keras_retinanet.schema import Tensor

GraphSample = dict[str, Tensor]

MIN_VISIBLE = 0.3
"""Minimum share of a box's area inside the image; below it the box becomes an ignore region."""

MIN_SIDE = 4.0
"""Minimum shorter side of a shrunk box in pixels, half a cell of P3; below it the box becomes an ignore region."""

MIN_PLAIN_SCALE = 0.5
"""Images shrunk by less than this scale are antialiased."""


def bernoulli(seed: Tensor) -> Tensor:
    """Scalar bool, True with probability 0.5."""
    return tf.random.stateless_uniform((), seed) < 0.5


def resized_scale(sample: GraphSample) -> Tensor:
    """`(2,)` float32 y, x: the size that the image gets by the resize rule over its present one."""
    size = tf.shape(sample["image"])[:2]
    return tf.cast(sample.get("resized_size", size), tf.float32) / tf.cast(size, tf.float32)


def resized(sample: GraphSample) -> GraphSample:
    """The sample after the resize rule, without `resized_size`."""
    sample = dict(sample)
    target = sample.pop("resized_size", None)
    if target is None:
        return sample
    scale = resized_scale({**sample, "resized_size": target})
    image = tf.cond(tf.reduce_all(scale == 1), lambda: sample["image"], lambda: resize_image(sample["image"], target))
    return {**sample, "image": tf.ensure_shape(image, (None, None, 3)), "boxes": resize_boxes(sample["boxes"], scale)}


def with_clipped_boxes(sample: GraphSample, image: Tensor, boxes: Tensor) -> GraphSample:
    """Replace the image and the boxes of a sample, clipping boxes that extend beyond the image.

    Boxes left empty are removed. Boxes that keep less than `MIN_VISIBLE` of their area, or that shrink to a side below
    `MIN_SIDE`, become ignore regions: too small to learn the object from, but not background. Ignore regions remain
    ignore regions.

    Args:
        sample: The sample before.
        image: `(h, w, 3)`. The new image.
        boxes: `(N, 4)` float32. The sample's boxes in pixels of the new image, before clipping.

    Returns:
        The new sample, with at most N boxes.
    """
    before = resize_boxes(sample["boxes"], resized_scale(sample))
    height, width = tf.unstack(tf.cast(tf.shape(image)[:2], tf.float32))
    clipped = tf.clip_by_value(boxes, 0.0, tf.stack([width, height, width, height]))
    visible, side = _area(clipped), _shorter_side(clipped)
    is_hidden = visible < MIN_VISIBLE * _area(boxes)
    is_tiny = tf.logical_and(side < MIN_SIDE, side < 0.99 * _shorter_side(before))
    ignore = sample["ignore"] | is_hidden | is_tiny
    is_left = visible > 0
    return {
        **sample,
        **({"resized_size": tf.shape(image)[:2]} if "resized_size" in sample else {}),
        "image": image,
        "boxes": tf.boolean_mask(clipped, is_left),
        "labels": tf.boolean_mask(sample["labels"], is_left),
        "ignore": tf.boolean_mask(ignore, is_left),
    }


def crop_window(sample: GraphSample, offset: Tensor, size: Tensor) -> GraphSample:
    """Crop to a window.

    Args:
        sample: The sample.
        offset: `(2,)` int32 y, x of the upper left corner.
        size: `(2,)` int32 height and width.

    Returns:
        The sample of the window; boxes are treated as in `with_clipped_boxes`.
    """
    return with_clipped_boxes(sample, _slice_window(sample["image"], offset, size), sample["boxes"] - _to_xyxy(offset))


def resize_window(sample: GraphSample, offset: Tensor, size: Tensor, target: Tensor) -> GraphSample:
    """Crop to a window and resize it.

    Args:
        sample: The sample.
        offset: `(2,)` int32 y, x of the upper left corner.
        size: `(2,)` int32 height and width of the window.
        target: `(2,)` int32 height and width after resizing.

    Returns:
        The sample of the window; boxes are treated as in `with_clipped_boxes`.
    """
    scale = tf.cast(target, tf.float32) / tf.cast(size, tf.float32)
    window = _slice_window(sample["image"], offset, size)
    # Down to half the size, bilinear interpolation uses every pixel; antialiasing costs four times as much.
    image = tf.cond(
        tf.reduce_min(scale) < MIN_PLAIN_SCALE,
        lambda: resize_image(window, target, antialias=True),
        lambda: resize_image(window, target),
    )
    return with_clipped_boxes(sample, image, resize_boxes(sample["boxes"] - _to_xyxy(offset), scale))


def rescale(sample: GraphSample, factor: Any) -> GraphSample:
    """Resize the whole image to `factor` times its size by the resize rule."""
    size = tf.shape(sample["image"])[:2]
    target = round_size(tf.cast(size, tf.float32) * resized_scale(sample) * factor)
    return resize_window(sample, tf.zeros(2, tf.int32), size, target)


def shrink_to_fit(sample: GraphSample) -> GraphSample:
    """Shrink the image if it is larger than `target_size`."""
    limit = tf.reduce_min(
        tf.cast(sample["target_size"], tf.float32) / tf.cast(tf.shape(sample["image"])[:2], tf.float32)
    )
    return tf.cond(limit < 1, lambda: rescale(sample, limit), lambda: dict(sample))


def mirror(sample: GraphSample, axis: int) -> GraphSample:
    """Flip horizontally (`axis` 1) or vertically (`axis` 0)."""
    side = tf.cast(tf.shape(sample["image"])[axis], tf.float32)
    x1, y1, x2, y2 = tf.unstack(sample["boxes"], axis=1)
    boxes = tf.stack([side - x2, y1, side - x1, y2] if axis == 1 else [x1, side - y2, x2, side - y1], axis=1)
    return {**sample, "image": tf.reverse(sample["image"], [axis]), "boxes": boxes}


def transpose(sample: GraphSample) -> GraphSample:
    """Swap rows and columns."""
    boxes = tf.gather(sample["boxes"], [1, 0, 3, 2], axis=1)
    return {**sample, "image": tf.transpose(sample["image"], (1, 0, 2)), "boxes": boxes}


def round_size(size: Tensor) -> Tensor:
    """Round sides to integers, at least 1."""
    return tf.maximum(tf.cast(tf.round(size), tf.int32), 1)


def random_offset(limit: Tensor, seed: Tensor) -> Tensor:
    """Random `(2,)` int32 from 0 to `limit`, inclusive."""
    return tf.cast(tf.random.stateless_uniform((2,), seed) * tf.cast(limit + 1, tf.float32), tf.int32)


def _slice_window(image: Tensor, offset: Tensor, size: Tensor) -> Tensor:
    y, x = tf.unstack(offset)
    return image[y : y + size[0], x : x + size[1]]


def _to_xyxy(offset: Tensor) -> Tensor:
    y, x = tf.unstack(tf.cast(offset, tf.float32))
    return tf.stack([x, y, x, y])


def _area(boxes: Tensor) -> Tensor:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def _shorter_side(boxes: Tensor) -> Tensor:
    return tf.reduce_min(boxes[:, 2:] - boxes[:, :2], axis=1)
