"""Image files whose stored pixels are those that their boxes refer to, so that no program can see them otherwise."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image, JpegImagePlugin

from keras_retinanet.data.exif import FIRST_TRANSPOSED, ORIENTATION_TAG, UPRIGHT, turn, without_orientation
from keras_retinanet.data.pillow_files import TURNS, as_stored, is_pillows
from keras_retinanet.data.sixteen_bits import is_16_bit_png, read_16_bit

_QUALITY = 95  # of WebP and AVIF
_LOSSLESS = ("tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits", "group3", "group4", "tiff_ccitt")


def as_annotated(content: bytes, orientation: int) -> bytes:
    """Rewrite an image file with an EXIF orientation as one without.

    Args:
        content: The bytes of a JPEG, PNG, WebP, TIFF or AVIF file.
        orientation: What `Sample.orientation` says: 1 leaves the pixels as they are and changes the tag; otherwise they
            are turned and encoded again. PNG stays exact, and TIFF, of which colours of 16 bits become 8; a JPEG keeps
            its quantisation, so that its blocks change by rounding only. TIFF and AVIF are always encoded again.

    Returns:
        The bytes of a file of the same format.
    """
    if is_pillows(content):
        return _encode_again(content, orientation)
    if orientation == UPRIGHT:
        return without_orientation(content)
    if is_16_bit_png(content):  # Pillow has 8 bits for colours
        import tensorflow as tf

        values = np.atleast_3d(turn(read_16_bit(content), orientation))
        encoded: bytes = tf.io.encode_png(values).numpy()
        return encoded
    stream = io.BytesIO()
    with Image.open(io.BytesIO(content)) as image:
        kind = "JPEG" if image.format == "MPO" else image.format
        options = _jpeg_options(image, orientation) if kind == "JPEG" else {}
        if kind == "WEBP":
            options = {"quality": _QUALITY, "lossless": b"VP8L" in content[:64]}
        exif = image.getexif()
        exif.pop(ORIENTATION_TAG, None)
        options |= {"exif": exif.tobytes(), "icc_profile": image.info.get("icc_profile")}
        image.transpose(TURNS[orientation]).save(stream, kind, **options)
    return stream.getvalue()


def _encode_again(content: bytes, orientation: int) -> bytes:
    """A TIFF or AVIF file with its pixels turned from how they are stored, and no orientation."""
    stream = io.BytesIO()
    with Image.open(io.BytesIO(content)) as image:
        kind, exif = image.format, image.getexif()
        options: dict[str, Any] = {"icc_profile": image.info.get("icc_profile")}
        if kind == "TIFF":
            own = image.info.get("compression", "raw")
            options["compression"] = None if own == "raw" else own if own in _LOSSLESS else "tiff_adobe_deflate"
        else:
            exif.pop(ORIENTATION_TAG, None)
            options |= {"quality": _QUALITY, "subsampling": "4:4:4", "exif": exif.tobytes()}
        stored = as_stored(image)
        turned = stored if orientation == UPRIGHT else stored.transpose(TURNS[orientation])
        turned.save(stream, kind, **options)
    return stream.getvalue()


def _jpeg_options(image: Any, orientation: int) -> dict[str, Any]:
    """The quantisation and subsampling of a JPEG; both follow when its blocks are transposed."""
    is_transposed = orientation >= FIRST_TRANSPOSED
    tables = [np.reshape(table, (8, 8)) for table in image.quantization.values()]
    sampling = JpegImagePlugin.get_sampling(image)
    has_square_blocks = sampling in (0, 2)  # 4:4:4, 4:2:0
    return {
        "qtables": [(table.T if is_transposed else table).ravel().tolist() for table in tables],
        "subsampling": sampling if has_square_blocks or (sampling == 1 and not is_transposed) else 0,
    }
