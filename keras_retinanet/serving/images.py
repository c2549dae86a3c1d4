"""Untrusted image files: the header is checked before the file is decoded."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image

from keras_retinanet.config import ResizeConfig
from keras_retinanet.data import pillow_files
from keras_retinanet.data.decode_file import UNDECODED, Decoded, decode_file, turn_by_rule
from keras_retinanet.data.given_images import DEFAULT_RULE

MAX_SCANS = 500
"""Maximum number of scans of a JPEG: a progressive one has about ten, and each costs a pass over all pixels."""

_SCAN = b"\xff\xda"


class BadImageError(ValueError):
    """An image file is refused; the message states the problem and the fix."""


def checked_size(contents: bytes, max_pixels: int) -> tuple[int, int]:
    """Checks the header of an image file without decoding the file.

    Args:
        contents: Bytes of the file.
        max_pixels: Maximum number of pixels.

    Returns:
        Height and width in pixels.

    Raises:
        BadImageError: The file has none of the formats, is damaged, or has too many pixels.
    """
    if not contents:
        raise BadImageError("is empty; send the bytes of an image file")
    too_large = _too_large(max_pixels)
    try:
        with Image.open(io.BytesIO(contents), formats=pillow_files.formats_for(contents[:32])) as image:
            height, width = pillow_files.stored_size(image)
            is_moving = image.format == "WEBP" and getattr(image, "is_animated", False)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise BadImageError(f"has {too_large}") from None
    except Exception:  # Pillow's plug-ins raise a dozen kinds on damaged headers, struct.error to KeyError
        what = pillow_files.unsupported_reason(contents) or "is not an image, or is damaged"
        raise BadImageError(f"{what}; send one of {', '.join(pillow_files.FORMATS)}") from None
    if width * height > max_pixels:
        raise BadImageError(f"has {width} x {height} pixels, {too_large}")
    if is_moving:
        raise BadImageError("is an animated WebP; send one picture")
    if contents[:2] == b"\xff\xd8" and contents.count(_SCAN) > MAX_SCANS:
        raise BadImageError(f"is a JPEG with more than {MAX_SCANS} scans; save it again, not progressive")
    return height, width


def checked_shape(pixels: Any, max_pixels: int) -> tuple[int, int]:
    """Checks the size of an image that comes as pixels.

    Args:
        pixels: `(H, W, 3)`.
        max_pixels: Maximum number of pixels.

    Returns:
        Height and width in pixels.

    Raises:
        BadImageError: It has no pixel, or too many.
    """
    height, width = pixels.shape[:2]
    if not height * width:
        raise BadImageError("is empty; send at least one pixel")
    if width * height > max_pixels:
        raise BadImageError(f"has {width} x {height} pixels, {_too_large(max_pixels)}")
    return height, width


def _too_large(max_pixels: int) -> str:
    return f"more than the {max_pixels:,} pixels that are taken; send it smaller"


def decoded(contents: bytes, size: tuple[int, int], rule: ResizeConfig = DEFAULT_RULE) -> Decoded:
    """Decodes a file that has passed `checked_size`.

    Pillow reads the first frame of a GIF; TensorFlow would read all frames, of any size.

    Args:
        contents: Bytes of the file.
        size: Height and width from its header, as stored.
        rule: Whether an EXIF orientation is applied, and the range of 16-bit images. Defaults to applied, 16 bits.

    Returns:
        The pixels, and whether it is a JPEG without its last bytes.

    Raises:
        BadImageError: The file is damaged.
    """
    try:
        found = Decoded(_first_frame(contents)) if contents[:3] == b"GIF" else decode_file(contents, rule.bit_depth)
    except Exception as error:  # those of Pillow's plug-in
        raise BadImageError("is damaged and cannot be decoded; save it again") from error
    if found.reason not in ("", UNDECODED):
        raise BadImageError(f"{found.reason}; save it in another format")
    if found.reason:
        raise BadImageError("is damaged and cannot be decoded; save it again")
    shape = found.pixels.shape[:2]
    if shape != size:
        raise BadImageError(f"is damaged: its header tells {size}, its pixels are {shape}; save it again")
    return turn_by_rule(found, contents, rule)


def _first_frame(contents: bytes) -> Any:
    with Image.open(io.BytesIO(contents), formats=["GIF"]) as image:
        coloured = np.asarray(image.convert("RGBA"))
    return coloured[..., :3] * (coloured[..., 3:] > 0)  # transparent is black, as TensorFlow has it
