"""Image files whose stored pixels are those that their boxes refer to, so that no program can see them otherwise."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image, JpegImagePlugin

from keras_retinanet.data.exif import FIRST_TRANSPOSED, ORIENTATION_TAG, UPRIGHT, turn, without_orientation
from keras_retinanet.data.sixteen_bits import is_16_bit_png, read_16_bit

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip
_WEBP_QUALITY = 95


def as_annotated(content: bytes, orientation: int) -> bytes:
    """Rewrite an image file with an EXIF orientation as one without.

    Args:
        content: The bytes of a JPEG, PNG or WebP file.
        orientation: What `Sample.orientation` says: 1 leaves the pixels as they are and changes the tag; otherwise they
            are turned and encoded again. PNG stays exact; a JPEG keeps its quantisation, so that its blocks change by
            rounding only.

    Returns:
        The bytes of a file of the same format.
    """
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
            options = {"quality": _WEBP_QUALITY, "lossless": b"VP8L" in content[:64]}
        exif = image.getexif()
        exif.pop(ORIENTATION_TAG, None)
        options |= {"exif": exif.tobytes(), "icc_profile": image.info.get("icc_profile")}
        image.transpose(_TURNS[orientation]).save(stream, kind, **options)
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
