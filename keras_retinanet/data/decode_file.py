"""Decodes any image file, and a JPEG that ends too early as far as it goes.

`image.decode` runs in every graph, exported ones included, but reads TensorFlow's formats only. Here the others are
passed to Pillow, in Python. Training, evaluation, detection and the server all decode here.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from keras_retinanet.config import ResizeConfig
from keras_retinanet.data.exif import turn
from keras_retinanet.data.image import END_MARK, decode
from keras_retinanet.data.pillow_files import (
    UnsupportedImageError,
    decode_with_pillow,
    is_pillows,
    opened,
    orientation_of_file,
    unsupported_reason,
)
from keras_retinanet.data.sixteen_bits import ALL_BITS
from keras_retinanet.schema import Tensor

UNDECODED = "cannot be decoded as an image"
MAX_BYTES = 2**29
"""TensorFlow decodes no image that takes more, which is 179 megapixels in RGB."""


class Decoded(NamedTuple):
    """A decoded image file.

    Attributes:
        pixels: `(H, W, 3)` uint8 RGB; `(0, 0, 3)` if it cannot be decoded.
        is_cut_off: Whether it is a JPEG without its last bytes.
        reason: Why it cannot be decoded; `""` if it can.
    """

    pixels: Any
    is_cut_off: bool = False
    reason: str = ""


def decode_file(content: bytes, bit_depth: int = ALL_BITS) -> Decoded:
    """Decode an image file.

    What a JPEG lacks at its end is grey, as in every viewer; of a progressive one it is the detail.

    Args:
        content: The bytes of the file.
        bit_depth: Bits of the values in 16-bit files. Defaults to 16.

    Returns:
        The pixels as stored, or the reason why there are none.
    """
    if not content:
        return _failed("is empty")
    if is_pillows(content):
        return _decode_with_pillow(content, bit_depth)
    try:
        return Decoded(decode(tf.constant(content), bit_depth).numpy())
    except tf.errors.OpError:
        return decode_otherwise(content, bit_depth)


def decode_by_rule(content: bytes, rule: ResizeConfig) -> Decoded:
    """Decode an image file as a model sees it: turned upright by its EXIF orientation, 16-bit values in their range.

    Args:
        content: The bytes of the file.
        rule: The model's rule; its `exif` and `bit_depth` are used.

    Returns:
        The pixels, or the reason why there are none.
    """
    return turn_by_rule(decode_file(content, rule.bit_depth), content, rule)


def turn_by_rule(decoded: Decoded, content: bytes, rule: ResizeConfig) -> Decoded:
    """Turn a decoded image upright by the EXIF orientation of its file, if the rule says so."""
    if rule.exif == "ignore" or decoded.reason:
        return decoded
    return decoded._replace(pixels=turn(decoded.pixels, orientation_of_file(content)))


def decode_otherwise(content: bytes, bit_depth: int = ALL_BITS) -> Decoded:
    """`decode_file` for a file of which `image.decode` alone is known to fail."""
    if is_pillows(content):
        return _decode_with_pillow(content, bit_depth)
    is_jpeg = content[:2] == b"\xff\xd8"
    if _is_large(content):
        decoded = _decode_with_pillow(content, bit_depth)
        if len(decoded.pixels) or not is_jpeg:
            return decoded
        return _decode_with_pillow(content + END_MARK, bit_depth, is_cut_off=True)
    if is_jpeg:
        try:
            return Decoded(decode(tf.constant(content + END_MARK)).numpy(), is_cut_off=True)
        except tf.errors.OpError:
            return _failed(UNDECODED)
    return _failed(unsupported_reason(content) or UNDECODED)


def _decode_with_pillow(content: bytes, bit_depth: int, *, is_cut_off: bool = False) -> Decoded:
    try:
        return Decoded(decode_with_pillow(content, bit_depth), is_cut_off)
    except UnsupportedImageError as error:
        return _failed(str(error))
    except MemoryError:
        return _failed("does not fit into memory")
    except Exception:  # Pillow's plug-ins raise a dozen kinds on damaged files, struct.error to KeyError
        return _failed(UNDECODED)


def _failed(reason: str) -> Decoded:
    return Decoded(np.zeros((0, 0, 3), np.uint8), reason=reason)


def _is_large(content: bytes) -> bool:
    try:
        with opened(io.BytesIO(content)) as image:
            return image.width * image.height * 3 >= MAX_BYTES
    except Exception:  # as above
        return False


def decode_otherwise_in_graph(
    content: Tensor, name: Tensor, note: Callable[[bytes, Decoded], object], bit_depth: int = ALL_BITS
) -> tuple[Tensor, Tensor]:
    """`decode_otherwise` inside a tf.data graph.

    Args:
        content: Scalar string.
        name: Scalar string, for `note`.
        note: Called with the name and the result.
        bit_depth: As for `decode_file`.

    Returns:
        `(H, W, 3)` uint8, and the reason as a scalar string.
    """

    def run(content: bytes, name: bytes) -> tuple[Any, Any]:
        decoded = decode_otherwise(content, bit_depth)
        note(name, decoded)
        return decoded.pixels, decoded.reason.encode()

    pixels, reason = tf.numpy_function(run, [content, name], (tf.uint8, tf.string))
    return tf.ensure_shape(pixels, (None, None, 3)), tf.ensure_shape(reason, ())
