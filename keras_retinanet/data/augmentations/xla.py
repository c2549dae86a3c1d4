"""Pixel operations compiled by XLA, which fuses their steps into one vectorised pass over the image.

XLA compiles once per shape, so images are first padded to their batch shape, of which there are few; the padding is
processed with the image and cropped afterwards.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from keras_retinanet.schema import Tensor


def xla_compiled(function: Callable[..., Tensor]) -> Any:
    """Compile a function of `(H, W, 3)` images and small tensors, once per H, W."""
    return tf.function(function, autograph=False, jit_compile=True, reduce_retracing=True)


def pad_to(image: Tensor, target_size: Tensor | None) -> Tensor:
    """Pad an image with zeros on the right and at the bottom.

    Args:
        image: `(h, w, 3)`.
        target_size: `(2,)` int32 H, W, or `None` for no padding. A smaller value has no effect.

    Returns:
        `(H, W, 3)`, zero outside the image.
    """
    if target_size is None:
        return tf.convert_to_tensor(image)
    size = tf.shape(image)[:2]
    right_below = tf.maximum(target_size - size, 0)
    missing = tf.stack([[0, right_below[0]], [0, right_below[1]], [0, 0]])
    return tf.cond(tf.reduce_any(right_below > 0), lambda: tf.pad(image, missing), lambda: image)


def cast_like(image: Tensor, given: Tensor) -> Tensor:
    """Cast a float32 image of 0–255 to the dtype of another; uint8, a quarter of the memory, is rounded."""
    if given.dtype != tf.uint8:
        return image
    return tf.cast(tf.cast(image + 0.5, tf.int32), tf.uint8)


@xla_compiled
def coloured_padding(images: Tensor, sizes: Tensor, colour: Tensor) -> Tensor:
    """Float images with their padding in one colour; until here they take a quarter of the memory.

    Args:
        images: `(B, H, W, 3)` uint8 or float32, padded on the right and at the bottom.
        sizes: `(B, 2)` float32. Heights and widths of the images without padding.
        colour: `(3,)` float32.

    Returns:
        `(B, H, W, 3)` float32.
    """
    rows, columns = (tf.range(tf.shape(images)[axis], dtype=tf.float32) for axis in (1, 2))
    inside = (rows[None, :, None] < sizes[:, 0, None, None]) & (columns[None, None] < sizes[:, 1, None, None])
    return tf.where(inside[..., None], tf.cast(images, tf.float32), colour)


def crop_to(image: Tensor, size: Tensor) -> Tensor:
    """Crop an image to its upper left `size` (`(2,)` h, w) pixels."""
    is_whole = tf.reduce_all(tf.shape(image)[:2] == size)
    image = tf.cond(is_whole, lambda: image, lambda: image[: size[0], : size[1]])
    return tf.ensure_shape(image, (None, None, 3))
