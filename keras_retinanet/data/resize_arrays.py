"""`resize_methods` in NumPy, with the same values, for images that are not in a graph: no TensorFlow is needed.

Columns are resized before rows, in strips of a few rows that stay in the processor's cache.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from PIL import Image

from keras_retinanet.config import ResizeConfig, ResizeMethod
from keras_retinanet.data.resized_sizes import network_scale
from keras_retinanet.schema import Size

_STRIP = 64  # new rows at a time
CV2_ONE = 2048
"""OpenCV's INTER_RESIZE_COEF_SCALE: weights of 11 bits."""

Neighbours = tuple[Any, Any]
"""Positions of the two old pixels around each new one along an axis, `(count,)` int64 each."""
Mix = Callable[[Any, Any, Any], Any]
"""`(first, second, weights) → values`, arrays that broadcast."""


def resize_array(image: Any, size: Size, resize: ResizeConfig) -> Any:
    """Resize with the method of the rule: `image.resize_by_rule` without a graph.

    Args:
        image: `(h, w, 3)` uint8.
        size: Height and width wanted, from `resized_size`.
        resize: The rule.

    Returns:
        `(*size, 3)`, float32 if the method does not round, else uint8.
    """
    scale = network_scale(size, image.shape[:2], resize)
    return ARRAY_METHODS[resize.method](np.asarray(image), size, scale, resize.antialias)


def bilinear_array(image: Any, size: Size, scale: Any, antialias: bool) -> Any:
    """Bilinear, rounded once.

    Args:
        image: `(h, w, 3)` uint8.
        size: Height and width wanted.
        scale: `(2,)` float64. Ignored: positions follow the sizes.
        antialias: Low-pass before shrinking.

    Returns:
        `(*size, 3)` uint8.
    """
    del scale
    if antialias:
        return (_antialiased(image, size) + np.float32(0.5)).astype(np.uint8)
    return _centred(image, size, np.uint8)


def unrounded_array(image: Any, size: Size, scale: Any, antialias: bool) -> Any:
    """Bilinear in float32. Arguments as `bilinear_array`."""
    del scale
    return _antialiased(image, size) if antialias else _centred(image, size, np.float32)


def tf1_array(image: Any, size: Size, scale: Any, antialias: bool) -> Any:
    """TensorFlow 1: pixel i of n is taken at i · old / n; float32. Arguments as `bilinear_array`."""
    del scale, antialias
    places = [_new_pixels(count) * _step(count, given) for count, given in zip(size, image.shape, strict=False)]
    return _linear(image, places, np.float32)


def cv2_array(image: Any, size: Size, scale: Any, antialias: bool) -> Any:
    """`cv2.resize(…, INTER_LINEAR)`, bit-equal: weights of 11 bits, intermediate sums truncated to 20 bits.

    Args:
        image: `(h, w, 3)` uint8.
        size: Height and width wanted.
        scale: `(2,)` float64 y, x. New over old pixels: OpenCV's `fy` and `fx`.
        antialias: Ignored: OpenCV has no antialiasing.

    Returns:
        `(*size, 3)` uint8.
    """
    del antialias
    (rows, down), (columns, across) = (
        _cv2_weights(count, given, factor, is_held=bool(axis))
        for axis, (count, given, factor) in enumerate(zip(size, image.shape, scale, strict=False))
    )

    def mix_columns(left: Any, right: Any, weights: Any) -> Any:
        return (left.astype(np.int32) * weights[0] + right.astype(np.int32) * weights[1]) >> 4

    def mix_rows(above: Any, below: Any, weights: Any) -> Any:
        return ((above * weights[0] >> 16) + (below * weights[1] >> 16) + 2) >> 2

    return _separable(image, (rows, down), (columns, across), (mix_columns, mix_rows), np.uint8)


def pillow_array(image: Any, size: Size, scale: Any, antialias: bool) -> Any:
    """`PIL.Image.resize(…, BILINEAR)`, which always antialiases; uint8. Arguments as `bilinear_array`.

    Columns first: Pillow 13 chooses the cheaper order, earlier ones did not, and each axis is rounded.
    """
    del scale, antialias
    picture = Image.fromarray(np.ascontiguousarray(image))
    columns_first = picture.resize((size[1], picture.height), Image.Resampling.BILINEAR)
    return np.asarray(columns_first.resize((size[1], size[0]), Image.Resampling.BILINEAR))


ARRAY_METHODS: dict[ResizeMethod, Callable[[Any, Size, Any, bool], Any]] = {
    "bilinear": bilinear_array,
    "float": unrounded_array,
    "cv2": cv2_array,
    "pillow": pillow_array,
    "tf1": tf1_array,
}
"""`(image, size, scale, antialias) → resized image`, by the name in `ResizeConfig.method`."""


def _new_pixels(count: int) -> Any:
    return np.arange(count, dtype=np.float32)


def _step(count: int, given: int) -> Any:
    """Old pixels per new pixel."""
    return np.float32(given) / np.float32(count)


def _centred(image: Any, size: Size, dtype: Any) -> Any:
    half = np.float32(0.5)
    both = zip(size, image.shape, strict=False)
    return _linear(image, [(_new_pixels(count) + half) * _step(count, given) - half for count, given in both], dtype)


def _linear(image: Any, places: Sequence[Any], dtype: Any) -> Any:
    """Values between the old pixels around `places`, of rows and of columns; rounded for uint8."""
    half = np.float32(0.5 if dtype == np.uint8 else 0)
    (rows, down), (columns, across) = (
        (_neighbours(np.floor(place), np.ceil(place), given), (place - np.floor(place),))
        for place, given in zip(places, image.shape, strict=False)
    )

    def mix_rows(above: Any, below: Any, weights: Any) -> Any:
        mixed = _mix(above, below, weights)
        mixed += half  # values lie in 0–255, so truncation rounds
        return mixed

    return _separable(image, (rows, down), (columns, across), (_mix, mix_rows), dtype)


def _mix(first: Any, second: Any, weights: Any) -> Any:
    """`first + (second - first) · weights[0]`, as TensorFlow computes it; float32 arguments are overwritten."""
    first, mixed = first.astype(np.float32, copy=False), second.astype(np.float32, copy=False)
    mixed -= first
    mixed *= weights[0]
    mixed += first
    return mixed


def _neighbours(first: Any, second: Any, given: int) -> Neighbours:
    upper = np.minimum(second, given - 1).astype(np.int64)
    return np.minimum(np.maximum(first, 0).astype(np.int64), upper), upper


def _separable(image: Any, rows: Any, columns: Any, mixes: tuple[Mix, Mix], dtype: Any) -> Any:
    """Mixes two columns, then two rows, for every new pixel.

    Args:
        image: `(h, w, 3)` uint8.
        rows: Neighbours along the height, and a tuple of weights `(H,)`.
        columns: Neighbours along the width, and a tuple of weights `(W,)`.
        mixes: For columns and for rows; both may overwrite their arguments.
        dtype: Of the result; values are truncated to it.

    Returns:
        `(H, W, 3)`.
    """
    (above, below), down = rows
    channels = image.shape[2]
    left, right = ((place[:, None] * channels + np.arange(channels)).ravel() for place in columns[0])
    across = [np.repeat(weight, channels) for weight in columns[1]]
    flat = image.reshape(len(image), -1)
    result = np.empty((len(above), len(left)), dtype)
    for start in range(0, len(above), _STRIP):
        part = slice(start, start + _STRIP)
        first, end = above[part][0], below[part][-1] + 1
        strip = flat[first:end]
        mixed = mixes[0](strip.take(left, axis=1), strip.take(right, axis=1), across)
        weights = [weight[part, None] for weight in down]
        result[part] = mixes[1](mixed[above[part] - first], mixed[below[part] - first], weights)
    return result.reshape(len(above), -1, channels)


def _cv2_weights(count: int, given: int, scale: float, *, is_held: bool) -> tuple[Neighbours, tuple[Any, Any]]:
    """`resize_methods.cv2_weights` in NumPy."""
    place = ((np.arange(count) + 0.5) * (1.0 / np.float64(scale)) - 0.5).astype(np.float32)
    first = np.floor(place)
    share = place - first
    if is_held:
        share = np.where((first < 0) | (first >= given - 1), np.float32(0), share)
    first = first.astype(np.int64)
    left, right = (np.clip(first + step, 0, given - 1) for step in (0, 1))
    weights = tuple(np.rint(part * np.float32(CV2_ONE)).astype(np.int32) for part in (np.float32(1) - share, share))
    return (left, right), (weights[0], weights[1])


def _antialiased(image: Any, size: Size) -> Any:
    """Weighted means over as many old pixels as a new one covers, rows before columns; float32."""
    values = image.astype(np.float32)
    for axis, count in enumerate(size):
        first, weights = _covering(count, values.shape[axis])
        shape = (-1, 1, 1) if axis == 0 else (1, -1, 1)
        total = np.zeros([count if own == axis else side for own, side in enumerate(values.shape)], np.float32)
        for tap, weight in enumerate(weights):
            total += values.take(np.minimum(first + tap, values.shape[axis] - 1), axis) * weight.reshape(shape)
        values = total
    return values


def _covering(count: int, given: int) -> tuple[Any, Any]:
    """First old pixel under each new one `(count,)`; weights of it and the following `(taps, count)` float32."""
    one, half = np.float32(1), np.float32(0.5)
    step = one / (np.float32(count) / np.float32(given))
    reach = np.maximum(step, one)
    centre = (_new_pixels(count) + half) * step
    first = np.clip(np.ceil(centre - reach - half), 0, given - 1).astype(np.int64)
    last = np.clip(np.floor(centre + reach - half), 0, given - 1).astype(np.int64)
    place = first + np.arange(int((last - first).max()) + 1)[:, None]  # (taps, count)
    distance = np.abs((place + half).astype(np.float32) - centre) / reach
    weights = np.where(place <= last, np.maximum(one - distance, 0), 0).astype(np.float32)
    return first, weights / weights.sum(axis=0, dtype=np.float32)
