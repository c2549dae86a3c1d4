"""Sizes of images after the resize rule and after padding; `resized_sizes_graph` has those inside a graph."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_retinanet.config import ResizeConfig


def resized_size(height: Any, width: Any, resize: ResizeConfig) -> tuple[Any, Any]:
    """Size of an image after the resize rule, before padding.

    The shorter side becomes `min_side`, unless the longer would exceed `max_side`; then the longer becomes `max_side`,
    as it always does with `is_square`. With a `shape`, images are stretched to it, or become as large as fits into it.
    Small images are enlarged. Sides are at least 1.

    Rounding to the nearest pixel (halves up) uses integer arithmetic, so that every framework gets the same result; the
    other roundings follow the arithmetic of their libraries: float64, and float32 for a `shape`.

    Args:
        height: int or integer array. Pixels.
        width: int or integer array of the same shape.
        resize: The rule.

    Returns:
        Height and width as int (or integer arrays).
    """
    sides = np.stack(np.broadcast_arrays(height, width)).astype(np.int64)
    if resize.shape and resize.shape_mode == "stretch":
        new = sides * 0 + np.reshape(resize.shape, (2,) + (1,) * (sides.ndim - 1))
    elif resize.rounding == "nearest":
        wanted, given = _limiting_side(sides, resize)
        new = (2 * sides * wanted + given) // (2 * given)
    else:
        scale = np.asarray(wanted_scale(height, width, resize))
        exact = sides.astype(scale.dtype) * scale
        new = (np.rint(exact) if resize.rounding == "even" else np.floor(exact)).astype(np.int64)
    new = np.maximum(new, 1)
    return (int(new[0]), int(new[1])) if new.ndim == 1 else (new[0], new[1])


def _limiting_side(sides: Any, resize: ResizeConfig) -> tuple[Any, Any]:
    """New and old length of the side that decides the scale, for sides `(2, …)`."""
    if resize.shape:
        is_high = sides[0] * resize.shape[1] >= sides[1] * resize.shape[0]
        return np.where(is_high, *resize.shape), np.where(is_high, sides[0], sides[1])
    long, short = sides.max(axis=0), sides.min(axis=0)
    is_long = resize.is_square | (long * resize.min_side > short * resize.max_side)
    return np.where(is_long, resize.max_side, resize.min_side), np.where(is_long, long, short)


def wanted_scale(height: Any, width: Any, resize: ResizeConfig) -> Any:
    """The scale factor of the rule, before sides are rounded; without meaning where images are stretched.

    Args:
        height: int or integer array. Pixels.
        width: int or integer array of the same shape.
        resize: The rule.

    Returns:
        float64 of the same shape; float32 for a `shape`.
    """
    if resize.shape:
        by_height, by_width = (
            np.float32(new) / np.float32(old) for new, old in zip(resize.shape, (height, width), strict=True)
        )
        return np.minimum(by_height, by_width)
    long, short = np.maximum(height, width), np.minimum(height, width)
    by_long = np.float64(resize.max_side) / long
    return by_long if resize.is_square else np.minimum(np.float64(resize.min_side) / short, by_long)


def network_scale(size: Any, given: Any, resize: ResizeConfig) -> Any:
    """Scale from original pixels to network pixels, for boxes. Every conversion of boxes uses it.

    Args:
        size: `(…, 2)` int. Height and width after resizing, before padding.
        given: `(…, 2)` int. Height and width of the original image.
        resize: The rule.

    Returns:
        `(…, 2)` float64 y, x: ratio of the integer sizes, which differs slightly between the axes. With `has_one_scale`
        it is the exact factor of the rule for both, if the sizes follow the rule (a graph of fixed size may have
        requested smaller ones).
    """
    given = np.asarray(given, np.float64)
    own = np.asarray(size, np.float64) / given
    if not resize.has_one_scale:
        return own
    height, width = given[..., 0], given[..., 1]
    is_rule = np.stack(resized_size(height, width, resize), axis=-1) == np.asarray(size, np.float64)
    return np.where(is_rule.all(axis=-1, keepdims=True), wanted_scale(height, width, resize)[..., None], own)


def padded_size(height: Any, width: Any, resize: ResizeConfig) -> tuple[Any, Any]:
    """Smallest padded size of the rule that holds a resized image.

    Args:
        height: int, or integer array or tensor. Height after resizing.
        width: Width after resizing, of the same type.
        resize: The rule. Sides are rounded up to multiples of `pad_multiple`; with `is_square` both are `max_side`,
            with a `shape` they are its sides, rounded up.

    Returns:
        Height and width.
    """
    multiple = resize.pad_multiple
    if resize.shape:
        height, width = 0 * height + resize.shape[0], 0 * width + resize.shape[1]
    elif resize.is_square:
        height, width = 0 * height + resize.max_side, 0 * width + resize.max_side
    up = multiple - 1  # not -(-side // multiple): converters turn that division into one that truncates
    return (height + up) // multiple * multiple, (width + up) // multiple * multiple
