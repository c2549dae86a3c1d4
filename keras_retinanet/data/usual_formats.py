"""Decodes JPEG, PNG, BMP, GIF and WebP without TensorFlow, to the values that `image.decode` has in a graph.

TensorFlow and Pillow share the libraries that decode; what they do differently with the values is done here as in
TensorFlow. It is imported only for what Pillow cannot give: the lower bits of 16-bit colours, and a progressive JPEG
that ends too early without the smoothing of viewers.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from keras_retinanet.data.exif import FIRST_PNG_CHUNK, PNG_MAGIC
from keras_retinanet.data.pillow_files import UnsupportedImageError, opened, to_rgb
from keras_retinanet.data.sixteen_bits import ALL_BITS, is_16_bit_png, read_16_bit, to_8_bits

END_MARK = b"\xff\xd9"
"""Last bytes of a JPEG. A decoder that finds them early leaves the rest grey, in place of an error."""

_SCAN = b"\xff\xda"
_UNCOMPRESSED, _BIT_FIELDS = 0, 3  # kinds of BMP
_BMP_BITS = (8, 24, 32)


def decode_usual_format(content: bytes, bit_depth: int = ALL_BITS) -> Any:
    """Decode an image file as stored.

    Args:
        content: The bytes of a JPEG, PNG, BMP, GIF or WebP file.
        bit_depth: Bits of the values in 16-bit files. Defaults to 16.

    Returns:
        `(H, W, 3)` uint8 RGB.

    Raises:
        UnsupportedImageError: It is of a kind that graphs do not decode: a compressed BMP, an animated WebP.
        Exception: It is not such an image, or is damaged; which kind depends on Pillow's plug-in.
    """
    if bit_depth != ALL_BITS and is_16_bit_png(content):
        return _three_channels(to_8_bits(read_16_bit(content), bit_depth))
    if content[:2] == b"BM":
        _check_bmp(content)
    if content[:8] == PNG_MAGIC:
        _check_png(content)
    with opened(io.BytesIO(content)) as image:
        if image.format == "WEBP" and getattr(image, "is_animated", False):
            raise UnsupportedImageError("is an animated WebP")
        if image.format == "GIF":
            coloured = np.asarray(image.convert("RGBA"))
            return coloured[..., :3] * (coloured[..., 3:] > 0)  # transparent is black
        if image.mode == "CMYK":
            inks = 255 - np.asarray(image).astype(np.int32)  # inverted where the file says so
            return (inks[..., :3] * inks[..., 3:] // 255).astype(np.uint8)
        return to_rgb(image)


def decode_cut_off_jpeg(content: bytes) -> Any:
    """Decode a JPEG that ends too early as far as it goes: what it lacks is grey, of a progressive one it is detail.

    Args:
        content: The bytes of the file.

    Returns:
        `(H, W, 3)` uint8 RGB.

    Raises:
        Exception: It is damaged otherwise, or lacks everything.
    """
    closed = content + END_MARK
    if not _is_progressive(content):
        return decode_usual_format(closed)
    import tensorflow as tf

    return tf.io.decode_jpeg(closed, channels=3, dct_method="INTEGER_ACCURATE").numpy()


def has_end_mark(content: bytes) -> bool:
    """Whether a JPEG has an end mark after its last scan; Pillow needs none if all pixels are there."""
    return content.find(END_MARK, content.rfind(_SCAN)) >= 0


def _is_progressive(content: bytes) -> bool:
    """Whether the header of the frame of a JPEG says so; segments before it are skipped."""
    at = 2
    while content[at : at + 1] == b"\xff":
        mark = content[at + 1 : at + 2]
        if b"\xc0" <= mark <= b"\xcf" and mark not in (b"\xc4", b"\xc8", b"\xcc"):
            return mark in (b"\xc2", b"\xc6", b"\xca", b"\xce")
        at += 1 if mark == b"\xff" else 2 + int.from_bytes(content[at + 2 : at + 4], "big")
    return False


def _check_bmp(content: bytes) -> None:
    bits, compression = int.from_bytes(content[28:30], "little"), int.from_bytes(content[30:34], "little")
    if bits not in _BMP_BITS or compression not in (_UNCOMPRESSED, _BIT_FIELDS if bits == 32 else _UNCOMPRESSED):
        raise UnsupportedImageError("is a compressed BMP, or one of fewer than 8 bits")


def _check_png(content: bytes) -> None:
    """Requires the chunk that ends the file, without which Pillow may still have all pixels."""
    at, name = FIRST_PNG_CHUNK, b""
    while name != b"IEND":
        length, name = int.from_bytes(content[at : at + 4], "big"), content[at + 4 : at + 8]
        at += length + 12
        if at > len(content):
            raise ValueError("the PNG file ends too early")


def _three_channels(image: Any) -> Any:
    """RGB of `(H, W, C)`: grey repeated, alpha dropped."""
    return np.repeat(image[..., :1], 3, axis=-1) if image.shape[-1] < 3 else image[..., :3]
