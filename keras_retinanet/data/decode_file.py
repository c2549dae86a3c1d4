"""Decodes any image file, and a JPEG that ends too early as far as it goes.

`image.decode` runs in every graph, exported ones included, but reads TensorFlow's formats only. Here every format is
decoded, in Python and without TensorFlow: by detection and the server, and by training where `image.decode` fails.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from keras_retinanet.config import ResizeConfig
from keras_retinanet.data.exif import turn
from keras_retinanet.data.pillow_files import (
    UnsupportedImageError,
    decode_with_pillow,
    is_pillows,
    orientation_of_file,
    unsupported_reason,
)
from keras_retinanet.data.sixteen_bits import ALL_BITS
from keras_retinanet.data.usual_formats import decode_cut_off_jpeg, decode_usual_format, has_end_mark

UNDECODED = "cannot be decoded as an image"


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
        return _attempt(decode_with_pillow, content, bit_depth)
    decoded = _attempt(decode_usual_format, content, bit_depth)
    is_jpeg = content[:2] == b"\xff\xd8"
    if not decoded.reason:
        return decoded._replace(is_cut_off=is_jpeg and not has_end_mark(content))
    if is_jpeg:
        decoded = _attempt(decode_cut_off_jpeg, content)
        return decoded._replace(is_cut_off=not decoded.reason)
    return decoded._replace(reason=unsupported_reason(content) or decoded.reason)


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


def _attempt(decode: Callable[..., Any], *arguments: Any) -> Decoded:
    try:
        return Decoded(decode(*arguments))
    except UnsupportedImageError as error:
        return _failed(str(error))
    except MemoryError:
        return _failed("does not fit into memory")
    except Exception:  # Pillow's plug-ins raise a dozen kinds on damaged files, struct.error to KeyError
        return _failed(UNDECODED)


def _failed(reason: str) -> Decoded:
    return Decoded(np.zeros((0, 0, 3), np.uint8), reason=reason)
