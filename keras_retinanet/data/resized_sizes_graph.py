"""`resized_sizes` inside graphs of TensorFlow; tests hold the two equal."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from keras_retinanet.config import ResizeConfig
from keras_retinanet.schema import Tensor


def resized_size_tensor(size: Tensor, resize: ResizeConfig, dtype: Any = tf.int64) -> Tensor:
    """`resized_size` inside a graph.

    Args:
        size: `(2,)` integer tensor. Height and width.
        resize: The rule.
        dtype: Of the products of sides and targets. Defaults to `tf.int64`; not every runtime can divide it.

    Returns:
        `(2,)` int32. Height and width before padding.
    """
    sides = tf.cast(size, dtype)
    if resize.shape and resize.shape_mode == "stretch":
        return tf.constant(resize.shape, tf.int32)
    if resize.rounding == "nearest":
        wanted, given = _limiting_side_tensor(sides, resize)
        new = floor_divided(2 * sides * wanted + given, 2 * given)
    else:
        scale = _wanted_scale_tensor(sides, resize)
        exact = tf.cast(sides, scale.dtype) * scale
        new = tf.round(exact) if resize.rounding == "even" else tf.floor(exact)
    return tf.maximum(tf.cast(new, tf.int32), 1)


def floor_divided(value: Tensor, by: Tensor) -> Tensor:
    """`value // by` of whole numbers that are not negative, exact in every runtime: OpenVINO's own may be off by one.

    Args:
        value: Integer tensor.
        by: Integer tensor of the same dtype, above 0.

    Returns:
        The quotient, rounded down.
    """
    quotient = value // by
    rest = value - quotient * by
    return quotient + tf.cast(rest >= by, value.dtype) - tf.cast(rest < 0, value.dtype)


def _limiting_side_tensor(sides: Tensor, resize: ResizeConfig) -> tuple[Tensor, Tensor]:
    """`_limiting_side` of `(2,)` integer sides."""
    if resize.shape:
        height, width = (tf.constant(side, sides.dtype) for side in resize.shape)
        is_high = sides[0] * width >= sides[1] * height
        return tf.where(is_high, height, width), tf.where(is_high, sides[0], sides[1])
    long, short = tf.reduce_max(sides), tf.reduce_min(sides)
    is_long = tf.logical_or(resize.is_square, long * resize.min_side > short * resize.max_side)
    targets = (tf.constant(side, sides.dtype) for side in (resize.max_side, resize.min_side))
    return tf.where(is_long, *targets), tf.where(is_long, long, short)


def _wanted_scale_tensor(size: Tensor, resize: ResizeConfig) -> Tensor:
    if resize.shape:
        return tf.reduce_min(tf.constant(resize.shape, tf.float32) / tf.cast(size, tf.float32))
    sides = tf.cast(size, tf.float64)
    by_long = tf.constant(resize.max_side, tf.float64) / tf.reduce_max(sides)
    if resize.is_square:
        return by_long
    return tf.minimum(tf.constant(resize.min_side, tf.float64) / tf.reduce_min(sides), by_long)


def network_scale_tensor(size: Tensor, given: Tensor, resize: ResizeConfig) -> Tensor:
    """`network_scale` of one image inside a graph: `(2,)` float64 from `(2,)` sizes."""
    own = tf.cast(size, tf.float64) / tf.cast(given, tf.float64)
    if not resize.has_one_scale:
        return own
    is_rule = tf.reduce_all(tf.cast(size, tf.int32) == resized_size_tensor(given, resize))
    return tf.where(is_rule, _wanted_scale_tensor(given, resize), own)
