"""Random changes to an image and its boxes, each a function `(sample, seed) -> sample` in `AUGMENTATIONS`.

A sample is a dict of tensors: `image` `(h, w, 3)` uint8 or float32 RGB 0–255, unpadded; `boxes` `(N, 4)` float32;
`labels` `(N,)` int32; `ignore` `(N,)` bool; `canvas` `(2,)` int32 H, W, into which the image must still fit afterwards.
A seed is a `(2,)` int64 tensor; the same seed gives the same change, whatever ran before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from keras_retinanet.data.image import resize_boxes, resize_image
from keras_retinanet.schema import Tensor

GraphSample = dict[str, Tensor]
Augmentation = Callable[[GraphSample, Tensor], GraphSample]

MIN_VISIBLE = 0.3
"""Share of a box's area that must remain in the picture for the box to remain."""


def horizontal_flip(sample: GraphSample, seed: Tensor) -> GraphSample:
    """Mirror left and right, every second time."""
    return tf.cond(_coin(seed), lambda: _mirrored(sample, axis=1), lambda: dict(sample))


def vertical_flip(sample: GraphSample, seed: Tensor) -> GraphSample:
    """Mirror top and bottom, every second time; for pictures without an up, such as aerial ones."""
    return tf.cond(_coin(seed), lambda: _mirrored(sample, axis=0), lambda: dict(sample))


def rotate90(sample: GraphSample, seed: Tensor) -> GraphSample:
    """Turn by 0, 90, 180 or 270 degrees; a turned image too long for the canvas is scaled down to fit."""
    turns = tf.random.stateless_uniform((), seed, 0, 4, tf.int32)
    # A quarter turn to the left is a transposition, then a mirroring of top and bottom; two mirrorings are a half turn.
    is_odd = turns % 2 == 1
    sample = tf.cond(is_odd, lambda: _fitted(_transposed(sample)), lambda: dict(sample))
    sample = tf.cond(tf.logical_or(turns == 1, turns == 2), lambda: _mirrored(sample, axis=0), lambda: dict(sample))
    return tf.cond(turns >= 2, lambda: _mirrored(sample, axis=1), lambda: dict(sample))


def colour(sample: GraphSample, seed: Tensor) -> GraphSample:
    """Gentle changes of brightness (±12 %), contrast and saturation (±20 %) and hue (±9°)."""
    seeds = tf.unstack(tf.random.split(seed, 4))
    image = tf.cast(sample["image"], tf.float32) / 255.0
    image = image * tf.random.stateless_uniform((), seeds[0], 0.88, 1.12)
    image = tf.image.stateless_random_contrast(image, 0.8, 1.2, seeds[1])
    image = tf.clip_by_value(image, 0.0, 1.0)
    image = tf.image.stateless_random_saturation(image, 0.8, 1.2, seeds[2])
    image = tf.image.stateless_random_hue(image, 0.025, seeds[3])
    return {**sample, "image": tf.clip_by_value(image * 255.0, 0.0, 255.0)}


def scale_jitter(sample: GraphSample, seed: Tensor) -> GraphSample:
    """Scale by 0.6 to 1.6 (even in the logarithm), then crop at random what exceeds the canvas.

    Boxes are clipped; those that keep less than `MIN_VISIBLE` of their area go. Ignore regions go only when nothing is
    left of them: what is to be ignored stays so.
    """
    seeds = tf.unstack(tf.random.split(seed, 2))
    factor = tf.exp(tf.random.stateless_uniform((), seeds[0], tf.math.log(0.6), tf.math.log(1.6)))
    scaled = _scaled(sample, factor)
    size = tf.shape(scaled["image"])[:2]
    window = tf.minimum(size, sample["canvas"])
    room = tf.cast(size - window + 1, tf.float32)
    offset = tf.cast(tf.random.stateless_uniform((2,), seeds[1]) * room, tf.int32)
    return cropped(scaled, offset, window)


def cropped(sample: GraphSample, offset: Tensor, size: Tensor) -> GraphSample:
    """Cut out a window, with the boxes that show enough in it.

    Args:
        sample: The sample.
        offset: `(2,)` int32 y, x of the upper left corner.
        size: `(2,)` int32 height and width.

    Returns:
        The sample of the window; its boxes are clipped.
    """
    y, x = tf.unstack(offset)
    height, width = tf.unstack(size)
    moved = sample["boxes"] - tf.cast(tf.stack([x, y, x, y]), tf.float32)
    clipped = tf.clip_by_value(moved, 0.0, tf.cast(tf.stack([width, height, width, height]), tf.float32))
    visible = _area(clipped)
    is_kept = tf.logical_and(visible > 0, tf.logical_or(sample["ignore"], visible >= MIN_VISIBLE * _area(moved)))
    return {
        **sample,
        "image": sample["image"][y : y + height, x : x + width],
        "boxes": tf.boolean_mask(clipped, is_kept),
        "labels": tf.boolean_mask(sample["labels"], is_kept),
        "ignore": tf.boolean_mask(sample["ignore"], is_kept),
    }


AUGMENTATIONS: dict[str, Augmentation] = {
    "horizontal_flip": horizontal_flip,
    "vertical_flip": vertical_flip,
    "rotate90": rotate90,
    "colour": colour,
    "scale_jitter": scale_jitter,
}
"""Augmentations by name."""

PRESETS: dict[str, tuple[str, ...]] = {
    "none": (),
    "flip": ("horizontal_flip",),
    "flips": ("horizontal_flip", "vertical_flip"),
    "strong": ("horizontal_flip", "scale_jitter", "colour"),
}
"""Usual combinations by name."""


def _coin(seed: Tensor) -> Tensor:
    return tf.random.stateless_uniform((), seed) < 0.5


def _area(boxes: Tensor) -> Tensor:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def _mirrored(sample: GraphSample, axis: int) -> GraphSample:
    side = tf.cast(tf.shape(sample["image"])[axis], tf.float32)
    x1, y1, x2, y2 = tf.unstack(sample["boxes"], axis=1)
    boxes = tf.stack([side - x2, y1, side - x1, y2] if axis == 1 else [x1, side - y2, x2, side - y1], axis=1)
    return {**sample, "image": tf.reverse(sample["image"], [axis]), "boxes": boxes}


def _transposed(sample: GraphSample) -> GraphSample:
    boxes = tf.gather(sample["boxes"], [1, 0, 3, 2], axis=1)
    return {**sample, "image": tf.transpose(sample["image"], (1, 0, 2)), "boxes": boxes}


def _fitted(sample: GraphSample) -> GraphSample:
    """Shrunk where it is larger than the canvas."""
    room = tf.cast(sample["canvas"], tf.float32) / tf.cast(tf.shape(sample["image"])[:2], tf.float32)
    return tf.cond(tf.reduce_min(room) < 1, lambda: _scaled(sample, tf.reduce_min(room)), lambda: dict(sample))


def _scaled(sample: GraphSample, factor: Any) -> GraphSample:
    old = tf.cast(tf.shape(sample["image"])[:2], tf.float32)
    size = tf.maximum(tf.cast(tf.round(old * factor), tf.int32), 1)
    boxes = resize_boxes(sample["boxes"], tf.cast(size, tf.float32) / old)
    return {**sample, "image": resize_image(sample["image"], size, antialias=True), "boxes": boxes}
