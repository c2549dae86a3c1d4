"""Decodes, resizes and pads images in plain TensorFlow, so that it runs in graphs.

Training and export share these functions and the rule of `config.ResizeConfig`; `usual_formats` and `resize_arrays`
are the same without TensorFlow. Values are those of the stored pixels; `exif` turns images upright.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from keras_retinanet.config import ResizeConfig
from keras_retinanet.data.resize_methods import METHODS, bilinear
from keras_retinanet.data.resized_sizes_graph import network_scale_tensor
from keras_retinanet.data.sixteen_bits import ALL_BITS
from keras_retinanet.data.usual_formats import END_MARK
from keras_retinanet.schema import Tensor

_WEBP_ANIMATION = 2  # bit of the flags of an extended WebP
_BMP_HEADER = 54  # bytes up to the palette of the usual 40-byte kind of header


def with_end_mark(contents: Tensor) -> Tensor:
    """The bytes of an image file, a JPEG with a second end mark: one that lacks its end is decoded as far as it goes.

    Args:
        contents: Scalar string.

    Returns:
        Scalar string, from which `decode` makes the same pixels if the file is whole.
    """
    is_jpeg = tf.strings.substr(contents, 0, 2) == b"\xff\xd8"
    return tf.cond(is_jpeg, lambda: tf.strings.join([contents, END_MARK]), lambda: contents)


def decode(contents: Tensor, bit_depth: int = ALL_BITS) -> Tensor:
    """Decode an image file to RGB, as stored: `exif` turns it.

    JPEG (grey, RGB and CMYK), PNG (grey, palette, 16-bit, alpha), BMP (8, 24 and 32 bit, uncompressed), GIF (the first
    frame) and WebP (not animated). Alpha is dropped, not blended; of 16-bit values the upper eight bits are kept.
    JPEGs are decoded with the accurate DCT, which gives the same values as Pillow; TensorFlow's default is off by up to
    13.

    Args:
        contents: Scalar string. The bytes of the file.
        bit_depth: Bits of the values in 16-bit files, 8 to 16; larger values are white. Defaults to 16.

    Returns:
        `(H, W, 3)` uint8.

    Raises:
        tf.errors.InvalidArgumentError: The bytes are not such an image, or are damaged.
    """
    image = tf.case(
        [
            (
                tf.strings.substr(contents, 0, 2) == b"\xff\xd8",
                lambda: tf.io.decode_jpeg(contents, channels=3, dct_method="INTEGER_ACCURATE"),
            ),
            (tf.strings.substr(contents, 0, 2) == b"BM", lambda: _decode_bmp(contents)),
            (tf.strings.substr(contents, 0, 4) == b"RIFF", lambda: _decode_webp(contents)),
        ],
        default=lambda: _decode_other(contents, bit_depth),
    )
    return tf.ensure_shape(image, (None, None, 3))


def _decode_other(contents: Tensor, bit_depth: int) -> Tensor:
    """Decode PNG and GIF."""

    def plain() -> Tensor:
        return tf.io.decode_image(contents, channels=3, expand_animations=False)

    def scaled() -> Tensor:
        values = tf.bitwise.right_shift(tf.io.decode_png(contents, 3, tf.uint16), tf.constant(bit_depth - 8, tf.uint16))
        return tf.cast(tf.minimum(values, tf.constant(255, tf.uint16)), tf.uint8)

    if bit_depth == ALL_BITS:
        return plain()
    head = tf.strings.substr(contents, 0, 25)
    is_16_bit = tf.strings.regex_full_match(head, r"\CPNG\C{20}\x10")
    return tf.cond(is_16_bit, scaled, plain)


def _decode_bmp(contents: Tensor) -> Tensor:
    """Decode BMP: TensorFlow takes palette indices for grey values, and run-length codes for pixels."""
    bits = tf.io.decode_raw(tf.strings.substr(contents, 28, 2), tf.uint16)[0]
    compression = tf.io.decode_raw(tf.strings.substr(contents, 30, 4), tf.int32)[0]
    is_plain = tf.logical_or(compression == 0, tf.logical_and(compression == 3, bits == 32))
    with tf.control_dependencies([tf.debugging.Assert(is_plain, ["compressed BMP"])]):
        contents = tf.identity(contents)

    def look_up() -> Tensor:
        start = tf.io.decode_raw(tf.strings.substr(contents, 10, 4), tf.int32)[0]
        palette = tf.io.decode_raw(tf.strings.substr(contents, _BMP_HEADER, start - _BMP_HEADER), tf.uint8)
        indices = tf.cast(tf.io.decode_bmp(contents)[..., 0], tf.int32)
        return tf.gather(tf.reshape(palette, (-1, 4))[:, 2::-1], indices)  # stored as B, G, R, 0

    return tf.cond(bits == 8, look_up, lambda: tf.io.decode_image(contents, channels=3, expand_animations=False))


def _decode_webp(contents: Tensor) -> Tensor:
    """Decode WebP: TensorFlow refuses alpha if three channels are requested, and overruns its buffer for animations."""
    is_extended = tf.strings.substr(contents, 12, 4) == b"VP8X"
    flags = tf.cast(tf.io.decode_raw(tf.strings.substr(contents, 20, 1), tf.uint8)[0], tf.int32)
    is_animated = tf.logical_and(is_extended, flags // _WEBP_ANIMATION % 2 == 1)
    with tf.control_dependencies([tf.debugging.Assert(tf.logical_not(is_animated), ["animated WebP"])]):
        contents = tf.identity(contents)
    return tf.io.decode_image(contents, channels=0, expand_animations=False)[..., :3]


def resize_image(image: Tensor, size: Tensor, antialias: bool = False) -> Tensor:
    """Bilinear resize with half-pixel centres, as in OpenCV, Pillow and torchvision.

    Args:
        image: `(h, w, 3)` uint8 or float32.
        size: `(2,)` int32. Height and width wanted.
        antialias: Low-pass before shrinking. Defaults to `False`.

    Returns:
        `(*size, 3)` in the dtype of `image`; uint8 is rounded to the nearest value.
    """
    return bilinear(image, size, size, antialias)


def resize_by_rule(image: Tensor, size: Tensor, resize: ResizeConfig) -> Tensor:
    """Resize with the method of the rule.

    Args:
        image: `(h, w, 3)` uint8.
        size: `(2,)` int32. Height and width wanted, from `resized_size`.
        resize: The rule.

    Returns:
        `(*size, 3)` of `resized_dtype(resize)`.
    """
    size = tf.convert_to_tensor(size, tf.int32)
    scale = network_scale_tensor(size, tf.shape(image)[:2], resize)
    return METHODS[resize.method](image, size, scale, resize.antialias)


def resized_dtype(resize: ResizeConfig) -> Any:
    """Dtype that `resize_by_rule` returns for uint8 images: float32 if the method does not round, else uint8."""
    return tf.float32 if resize.method in ("float", "tf1") else tf.uint8


def resize_boxes(boxes: Tensor, scale: Tensor) -> Tensor:
    """Scale boxes with their image.

    Args:
        boxes: `(N, 4)` float32 x1, y1, x2, y2.
        scale: `(2,)` float32 y, x: see `network_scale`.

    Returns:
        `(N, 4)` float32.
    """
    return boxes * tf.stack([scale[1], scale[0], scale[1], scale[0]])


def pad(image: Tensor, size: Tensor, pad_value: Sequence[float]) -> Tensor:
    """Pad on the right and at the bottom.

    Args:
        image: `(h, w, 3)` uint8 or float32, 0–255.
        size: `(2,)` int32 H, W, at least as large as the image.
        pad_value: Three floats, R, G, B: the model's `pad_value`, which is zero once normalised.

    Returns:
        `(H, W, 3)` float32.
    """
    height, width = tf.unstack(tf.shape(image)[:2])
    image, value = tf.cast(image, tf.float32), tf.constant(pad_value, tf.float32)
    right, below = size[1] - width, size[0] - height
    # Most images fill the padded shape along one axis: skip a copy of 10 MB there.
    image = tf.cond(
        right > 0, lambda: tf.concat([image, tf.broadcast_to(value, (height, right, 3))], axis=1), lambda: image
    )
    return tf.cond(
        below > 0, lambda: tf.concat([image, tf.broadcast_to(value, (below, size[1], 3))], axis=0), lambda: image
    )
