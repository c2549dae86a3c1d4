"""The resize rule inside a graph of plain operators, which converters to other formats read.

TensorFlow's own resize operators become others in every format, each with a rounding of its own, or do not convert at
all. Gathers, products and sums compute what `data.image` computes, operation by operation; only images that are
antialiased are products with two matrices of weights. Padding costs nothing: the canvas is gathered, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import tensorflow as tf

from keras_retinanet.config import ExportFormat, ResizeConfig
from keras_retinanet.data.resize_methods import cv2_weights
from keras_retinanet.data.resized_sizes import padded_size
from keras_retinanet.data.resized_sizes_graph import floor_divided, network_scale_tensor, resized_size_tensor
from keras_retinanet.schema import Size, Tensor

FLOAT32_FORMATS: tuple[ExportFormat, ...] = ("openvino", "litert")
"""Formats whose runtimes have no float64, which some rules need for the sizes."""

_DIGIT = 2**12


@dataclass(frozen=True)
class ResizedImages:
    """Network input, and what leads back from it.

    Attributes:
        images: `(B, H, W, 3)` float32, padded.
        sizes: `(B, 2)` float32. Height and width before padding.
        scale: `(2,)` float32 y, x: network pixels over given pixels.
        given: `(2,)` float32. Height and width of the images as given.
    """

    images: Tensor
    sizes: Tensor
    scale: Tensor
    given: Tensor


def check_rule(name: ExportFormat, resize: ResizeConfig) -> None:
    """Refuses a rule that a format cannot follow to the pixel.

    Args:
        name: The format.
        resize: The rule.

    Raises:
        ValueError: The message names the format that can.
    """
    if name in FLOAT32_FORMATS and (resize.rounding != "nearest" or resize.has_one_scale):
        reason = "has_one_scale" if resize.has_one_scale else f"rounding {resize.rounding!r}"
        raise ValueError(
            f"The resize rule of this snapshot computes sizes in float64 ({reason}), which {name} lacks: omit "
            "--with-resize, or use --format onnx."
        )


def resize_in_graph(
    images: Tensor, resize: ResizeConfig, image_size: Size | None, pad_value: Sequence[float]
) -> ResizedImages:
    """Resizes and pads images of one size by a rule.

    Args:
        images: `(B, h, w, 3)` uint8 RGB.
        resize: The rule.
        image_size: Height and width of the canvas, into which larger images are shrunk; `None` for the smallest one of
            the rule.
        pad_value: R, G, B of the padding in 0–255.

    Returns:
        As `data.preparation.prepare_batch` prepares them.
    """
    given = tf.shape(images)[1:3]
    new = resized_size_tensor(given, resize, tf.int32)
    if image_size is None:
        canvas = tf.stack(padded_size(new[0], new[1], resize))
    else:
        canvas = tf.constant(image_size, tf.int32)
        new = _shrunk(new, given, image_size)
    if resize.has_one_scale:
        scale = network_scale_tensor(new, given, resize)
    else:  # the same in float32, which every format has
        scale = tf.cast(new, tf.float32) / tf.cast(given, tf.float32)
    pixels = _resized(images, new, canvas, scale, resize)
    is_image = (tf.range(canvas[0]) < new[0])[:, None, None] & (tf.range(canvas[1]) < new[1])[:, None]
    pixels = tf.where(is_image, pixels, tf.constant(pad_value, tf.float32))  # (B, H, W, 3)
    if image_size is not None:
        pixels = tf.reshape(pixels, (-1, *image_size, 3))
    sizes = tf.tile(tf.cast(new, tf.float32)[None], (tf.shape(images)[0], 1))
    return ResizedImages(pixels, sizes, tf.cast(scale, tf.float32), tf.cast(given, tf.float32))


def _shrunk(new: Tensor, given: Tensor, image_size: Size) -> Tensor:
    """`data.preparation.shrink_to_fit` of `(2,)` int32 sizes."""
    height, width = image_size
    is_high = height * given[1] <= width * given[0]  # the side that reaches its limit first
    limit, side = tf.where(is_high, height, width), tf.where(is_high, given[0], given[1])
    canvas = tf.constant(image_size, tf.int32)
    shrunk = tf.minimum(tf.maximum(floor_divided(2 * given * limit + side, 2 * side), 1), canvas)
    return tf.where((new[0] <= height) & (new[1] <= width), new, shrunk)


def _resized(images: Tensor, new: Tensor, canvas: Tensor, scale: Tensor, resize: ResizeConfig) -> Tensor:
    """`(B, H, W, 3)` float32, with any values in the padding."""
    if resize.method == "cv2":
        return _with_cv2(images, canvas, scale)
    if resize.method == "pillow":
        columns = _rounded(_weighted_columns(images, new, canvas, antialias=True))
        return _rounded(_weighted_rows(columns, new, canvas, antialias=True))
    if resize.antialias and resize.method in ("bilinear", "float"):
        pixels = _weighted_rows(_weighted_columns(images, new, canvas, antialias=True), new, canvas, antialias=True)
    else:
        pixels = _interpolated(images, new, canvas, is_centred=resize.method != "tf1")
    return _rounded(pixels) if resize.method == "bilinear" else pixels


def _rounded(pixels: Tensor) -> Tensor:
    return tf.floor(pixels + 0.5)


def _interpolated(images: Tensor, new: Tensor, canvas: Tensor, is_centred: bool) -> Tensor:
    """Operation by operation what TensorFlow's `ResizeBilinear` does."""
    given = tf.shape(images)[1:3]
    above, below, down = _neighbours(canvas[0], new[0], given[0], is_centred)
    left, right, across = _neighbours(canvas[1], new[1], given[1], is_centred)
    across = across[:, None]
    first, last = (tf.cast(tf.gather(images, columns, axis=2), tf.float32) for columns in (left, right))
    rows = first - (first - last) * across  # equals first + (last - first) * across, which OpenVINO rounds once
    upper, lower = (tf.gather(rows, places, axis=1) for places in (above, below))  # (B, H, W, 3)
    return upper - (upper - lower) * down[:, None, None]


def _neighbours(count: Tensor, new: Tensor, given: Tensor, is_centred: bool) -> tuple[Tensor, Tensor, Tensor]:
    """The two old pixels of each new one along an axis, and the share of the second, all `(count,)`."""
    step = exact_ratio(given, new)
    place = tf.cast(tf.range(count), tf.float32)
    place = -(0.5 - (place + 0.5) * step) if is_centred else place * step
    first = tf.floor(place)
    low, high = (tf.clip_by_value(tf.cast(end, tf.int32), 0, given - 1) for end in (first, tf.math.ceil(place)))
    return low, high, place - first


def exact_ratio(given: Tensor, new: Tensor) -> Tensor:
    """The float32 nearest to `given / new`, by long division to 36 bits: OpenVINO multiplies by a rounded reciprocal.

    Args:
        given: int32 tensor.
        new: int32 tensor above 0, below 2^19.

    Returns:
        float32 tensor.
    """
    digits, rest = [], given
    for _ in range(4):
        digit = floor_divided(rest, new)
        digits.append(tf.cast(digit, tf.float32))
        rest = (rest - digit * new) * _DIGIT
    whole, first, second, third = digits  # two and two make 24 bits, which float32 holds, and their sum rounds once
    return (whole + first / _DIGIT) + (second / _DIGIT**2 + third / _DIGIT**3)


def _weighted_columns(images: Tensor, new: Tensor, canvas: Tensor, antialias: bool) -> Tensor:
    """Weighted sums along x: `(B, h, W, 3)` float32."""
    weights = _weights(canvas[1], new[1], tf.shape(images)[2], antialias)
    return tf.matmul(weights[None, None], tf.cast(images, tf.float32))


def _weighted_rows(images: Tensor, new: Tensor, canvas: Tensor, antialias: bool) -> Tensor:
    """Weighted sums along y: `(B, H, W, 3)` float32."""
    batch, height, width = tf.unstack(tf.shape(images)[:3])
    rows = tf.matmul(_weights(canvas[0], new[0], height, antialias)[None], tf.reshape(images, (batch, height, -1)))
    return tf.reshape(rows, (batch, canvas[0], width, 3))


def _weights(count: Tensor, new: Tensor, given: Tensor, antialias: bool) -> Tensor:
    """Share of each old pixel in each new one along an axis: a triangle around its centre, `(count, given)`."""
    step = exact_ratio(given, new)
    reach = tf.maximum(step, 1.0) if antialias else tf.constant(1.0)
    centre = (tf.cast(tf.minimum(tf.range(count), new - 1), tf.float32) + 0.5) * step
    place = tf.cast(tf.range(given), tf.float32) + 0.5
    shares = tf.maximum(1.0 - tf.abs(place - centre[:, None]) / reach, 0.0)
    return shares / tf.reduce_sum(shares, axis=1, keepdims=True)


def _with_cv2(images: Tensor, canvas: Tensor, scale: Tensor) -> Tensor:
    """`data.resize_methods.cv2_linear` of a batch."""
    given = tf.shape(images)[1:3]
    left, right, a0, a1 = cv2_weights(canvas[1], given[1], scale[1], is_held=True)
    above, below, b0, b1 = cv2_weights(canvas[0], given[0], scale[0], is_held=False)

    def row(places: Tensor, weight: Tensor) -> Tensor:
        rows = tf.cast(tf.gather(images, places, axis=1), tf.int32)
        sums = tf.gather(rows, left, axis=2) * a0[:, None] + tf.gather(rows, right, axis=2) * a1[:, None]
        return sums // 16 * weight[:, None, None] // 65536

    return tf.cast((row(above, b0) + row(below, b1) + 2) // 4, tf.float32)
