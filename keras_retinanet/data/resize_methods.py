"""Resizing exactly as particular libraries compute it, in plain TensorFlow, so that it runs in graphs.

A network was trained on the pixels of its library. An imported detector keeps the resize method of its library
(`ResizeConfig.method`), so that its scores equal those of the original.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from keras_retinanet.config import ResizeMethod
from keras_retinanet.data.resize_arrays import CV2_ONE
from keras_retinanet.schema import Tensor

_PILLOW_ONE = 2**22  # Pillow's PRECISION_BITS


def bilinear(image: Tensor, size: Tensor, scale: Tensor, antialias: bool) -> Tensor:
    """Bilinear, in the dtype of `image`; uint8 is rounded once.

    Args:
        image: `(h, w, 3)` uint8 or float32.
        size: `(2,)` int32. Height and width wanted.
        scale: `(2,)` float64. Ignored: positions follow the sizes.
        antialias: Low-pass before shrinking.

    Returns:
        `(*size, 3)`.
    """
    resized = unrounded(image, size, scale, antialias)
    if image.dtype == tf.uint8:
        resized = tf.cast(resized + 0.5, tf.uint8)  # values lie in 0–255, so truncation rounds
    return resized


def unrounded(image: Tensor, size: Tensor, scale: Tensor, antialias: bool) -> Tensor:
    """Bilinear in float32, as PyTorch resizes images that are already numbers. Arguments as `bilinear`."""
    del scale

    def resized(pixels: Tensor) -> Tensor:
        return tf.cast(tf.image.resize(pixels, size, antialias=antialias), tf.float32)

    if image.dtype == tf.float32 or antialias:
        return resized(image)
    # TensorFlow's kernel is vectorised for float32 only: enlarging takes 0.6 of the time, with the same values.
    is_enlarged = tf.size(image) <= 3 * tf.reduce_prod(size)
    return tf.cond(is_enlarged, lambda: resized(tf.cast(image, tf.float32)), lambda: resized(image))


def tf1_bilinear(image: Tensor, size: Tensor, scale: Tensor, antialias: bool) -> Tensor:
    """`tf.image.resize_images` of TensorFlow 1: pixel i of n is taken at i · old / n, not at the centre of its area.

    Args:
        image: `(h, w, 3)` uint8 or float32.
        size: `(2,)` int32. Height and width wanted.
        scale: `(2,)` float64. Ignored: positions follow the sizes.
        antialias: Ignored: this method has no antialiasing.

    Returns:
        `(*size, 3)` float32.
    """
    del scale, antialias
    return tf.raw_ops.ResizeBilinear(images=image[None], size=size, align_corners=False, half_pixel_centers=False)[0]


def cv2_linear(image: Tensor, size: Tensor, scale: Tensor, antialias: bool) -> Tensor:
    """`cv2.resize(…, INTER_LINEAR)` of uint8, bit-equal: weights of 11 bits, intermediate sums truncated to 20 bits.

    Args:
        image: `(h, w, 3)`; float32 is rounded to uint8.
        size: `(2,)` int32. Height and width wanted.
        scale: `(2,)` float64 y, x. New over old pixels: OpenCV's `fy` and `fx`.
        antialias: Ignored: OpenCV has no antialiasing.

    Returns:
        `(*size, 3)` uint8.
    """
    del antialias
    pixels = tf.cast(_whole(image), tf.int32)
    height, width = tf.unstack(tf.shape(pixels)[:2])
    left, right, a0, a1 = cv2_weights(size[1], width, scale[1], is_held=True)
    above, below, b0, b1 = cv2_weights(size[0], height, scale[0], is_held=False)
    rows = tf.gather(pixels, left, axis=1) * a0[:, None] + tf.gather(pixels, right, axis=1) * a1[:, None]
    rows = rows // 16  # (h, W, 3), never negative
    upper = tf.gather(rows, above, axis=0) * b0[:, None, None] // 65536
    lower = tf.gather(rows, below, axis=0) * b1[:, None, None] // 65536
    return tf.cast((upper + lower + 2) // 4, tf.uint8)


def cv2_weights(count: Tensor, given: Tensor, scale: Tensor, *, is_held: bool) -> tuple[Tensor, ...]:
    """The two neighbours of every new pixel along one axis, and their weights.

    Args:
        count: Scalar. Number of new pixels.
        given: Scalar. Number of old pixels.
        scale: Scalar float64. New over old pixels; float32 where a runtime lacks float64.
        is_held: Beyond the last pixel, use that pixel alone, as OpenCV does for columns; else twice, with both weights.

    Returns:
        Positions of the neighbours and their weights in units of 1/2048, four times `(count,)` int32.
    """
    place = (tf.cast(tf.range(count), scale.dtype) + 0.5) * (1.0 / scale) - 0.5
    place = tf.cast(place, tf.float32)
    first = tf.floor(place)
    share, first = place - first, tf.cast(first, tf.int32)
    if is_held:
        share = tf.where(tf.logical_or(first < 0, first >= given - 1), 0.0, share)
    weights = [tf.cast(tf.round(part * CV2_ONE), tf.int32) for part in (1.0 - share, share)]
    neighbours = [tf.clip_by_value(first + step, 0, given - 1) for step in (0, 1)]
    return (*neighbours, *weights)


def pillow_bilinear(image: Tensor, size: Tensor, scale: Tensor, antialias: bool) -> Tensor:
    """`PIL.Image.resize(…, BILINEAR)` of uint8, bit-equal: antialiased, rows first, rounded to uint8 after each axis.

    Args:
        image: `(h, w, 3)`; float32 is rounded to uint8.
        size: `(2,)` int32. Height and width wanted.
        scale: `(2,)` float64. Ignored: positions follow the sizes.
        antialias: Ignored: Pillow always antialiases.

    Returns:
        `(*size, 3)` uint8.
    """
    del scale, antialias
    pixels = tf.cast(_whole(image), tf.int32)
    for axis in (1, 0):
        first, weights = _pillow_weights(size[axis], tf.shape(pixels)[axis])
        pixels = _weighted(pixels, axis, first, weights)
    return tf.cast(pixels, tf.uint8)


def _pillow_weights(count: Tensor, given: Tensor) -> tuple[Tensor, Tensor]:
    """First old pixel of every new one `(count,)`, and the weights of it and the following `(taps, count)`, int32."""
    step = tf.cast(given, tf.float64) / tf.cast(count, tf.float64)
    reach = tf.maximum(step, 1.0)
    centre = (tf.cast(tf.range(count), tf.float64) + 0.5) * step
    first = tf.maximum(tf.cast(centre - reach + 0.5, tf.int32), 0)
    end = tf.minimum(tf.cast(centre + reach + 0.5, tf.int32), given)
    place = first + tf.range(2 * tf.cast(tf.math.ceil(reach), tf.int32) + 1)[:, None]  # (taps, count)
    distance = tf.abs(tf.cast(place, tf.float64) - centre + 0.5) / reach
    shares = tf.where(place < end, tf.maximum(1.0 - distance, 0.0), 0.0)
    shares = shares / tf.reduce_sum(shares, axis=0)
    return first, tf.cast(shares * _PILLOW_ONE + 0.5, tf.int32)


def _weighted(pixels: Tensor, axis: int, first: Tensor, weights: Tensor) -> Tensor:
    """Weighted sums over neighbours along one axis of `(h, w, 3)`, rounded to integers of 0–255."""
    last = tf.shape(pixels)[axis] - 1
    shape = (1, -1, 1) if axis == 1 else (-1, 1, 1)

    def add(tap: Tensor, total: Tensor) -> tuple[Tensor, Tensor]:
        neighbours = tf.gather(pixels, tf.minimum(first + tap, last), axis=axis)
        return tap + 1, total + neighbours * tf.reshape(weights[tap], shape)

    start = tf.zeros_like(tf.gather(pixels, first, axis=axis)) + _PILLOW_ONE // 2
    _, total = tf.while_loop(
        lambda tap, _: tap < tf.shape(weights)[0],
        add,
        (tf.constant(0), start),
        shape_invariants=(tf.TensorShape(()), tf.TensorShape((None, None, 3))),
    )
    return tf.clip_by_value(total // _PILLOW_ONE, 0, 255)


def _whole(image: Tensor) -> Tensor:
    if image.dtype == tf.uint8:
        return image
    return tf.cast(tf.clip_by_value(image, 0.0, 255.0) + 0.5, tf.uint8)


METHODS: dict[ResizeMethod, Callable[[Tensor, Tensor, Tensor, bool], Tensor]] = {
    "bilinear": bilinear,
    "float": unrounded,
    "cv2": cv2_linear,
    "pillow": pillow_bilinear,
    "tf1": tf1_bilinear,
}
"""`(image, size, scale, antialias) → resized image`, by the name in `ResizeConfig.method`."""
