"""The values of 16-bit images, of which cameras and microscopes often use 10 or 12 bits, and how they become 8 bits."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image

from keras_retinanet.data.exif import PNG_MAGIC

FEWEST_BITS, ALL_BITS = 8, 16
"""Range of `ResizeConfig.bit_depth`."""

_DEPTH_AT = 24  # position in a PNG of its bits per channel


def is_16_bit_png(content: bytes) -> bool:
    """Whether a file is a PNG with 16 bits per channel."""
    return content[:8] == PNG_MAGIC and content[_DEPTH_AT : _DEPTH_AT + 1] == bytes([ALL_BITS])


def read_16_bit(content: bytes) -> Any | None:
    """Decode an image of 16 bits per channel.

    Args:
        content: The bytes of the file.

    Returns:
        `(H, W)` or `(H, W, C)` uint16; `None` for other images.

    Raises:
        ValueError: It is damaged.
        OSError: It is damaged.
    """
    if is_16_bit_png(content):
        import tensorflow as tf

        try:
            return tf.io.decode_png(content, dtype=tf.uint16).numpy()
        except tf.errors.OpError as error:
            raise ValueError("cannot be decoded") from error
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image).astype(np.uint16) if image.mode.startswith("I;16") else None


def to_8_bits(values: Any, bit_depth: int) -> Any:
    """Scale the values of a 16-bit image so that the largest of `bit_depth` bits becomes 255; larger ones do, too.

    Args:
        values: uint16 array.
        bit_depth: 8 to 16.

    Returns:
        uint8 array of the same shape.
    """
    return np.minimum(np.asarray(values, np.uint16) >> (bit_depth - FEWEST_BITS), 255).astype(np.uint8)
