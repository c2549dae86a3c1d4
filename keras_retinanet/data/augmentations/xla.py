"""Pixel work that XLA compiles: one pass over an image instead of one for every step, on vectors of the processor.

XLA compiles anew for every shape, so images are laid on their canvas first, of which there are few; what lies outside
the image is computed with it and cut off again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from keras_retinanet.schema import Tensor


def xla_compiled(function: Callable[..., Tensor]) -> Any:
    """A function of `(H, W, 3)` images and small tensors, compiled once for every H, W."""
    return tf.function(function, autograph=False, jit_compile=True, reduce_retracing=True)


def pad_to(image: Tensor, target_size: Tensor | None) -> Tensor:
    """The image in the upper left corner of its canvas.

    Args:
        image: `(h, w, 3)`.
        target_size: `(2,)` int32 H, W, or `None`: no larger than the image.

    Returns:
        `(H, W, 3)`, black outside of the image.
    """
    if target_size is None:
        return tf.convert_to_tensor(image)
    size = tf.shape(image)[:2]
    right_below = tf.maximum(target_size - size, 0)
    missing = tf.stack([[0, right_below[0]], [0, right_below[1]], [0, 0]])
    return tf.cond(tf.reduce_any(right_below > 0), lambda: tf.pad(image, missing), lambda: image)


def cast_like(image: Tensor, given: Tensor) -> Tensor:
    """An image of float32 0–255 in the type of another: whole values, rounded, for uint8, a quarter of the memory."""
    if given.dtype != tf.uint8:
        return image
    return tf.cast(tf.cast(image + 0.5, tf.int32), tf.uint8)


def crop_to(image: Tensor, size: Tensor) -> Tensor:
    """The `(2,)` h, w upper left pixels of an image."""
    is_whole = tf.reduce_all(tf.shape(image)[:2] == size)
    image = tf.cond(is_whole, lambda: image, lambda: image[: size[0], : size[1]])
    return tf.ensure_shape(image, (None, None, 3))
