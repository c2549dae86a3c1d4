"""Brush masks of Label Studio: run lengths of the four channels of a picture.

Reference: https://github.com/thi-ng/umbrella/tree/develop/packages/rle-pack, whose encoding Label Studio uses.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_retinanet.data.datasets.shared.outlines import Box
from keras_retinanet.data.errors import DataError
from keras_retinanet.schema import Size

_CHANNELS = 4  # red, green, blue, alpha; the mask is where alpha is not 0
_REMAKE = "export the project again as JSON"


def box_of_brush(rle: Any, size: Size, where: str) -> Box:
    """The enclosing box of a brush mask.

    Args:
        rle: Bytes of the encoded mask, a list of numbers.
        size: Height and width of the picture.
        where: File and region, for the message.

    Returns:
        x1, y1, x2, y2 in pixels.

    Raises:
        DataError: It is not a mask of this picture, or is empty.
    """
    height, width = size
    try:
        alpha = _decode(np.array(rle, np.uint8), height * width * _CHANNELS)[_CHANNELS - 1 :: _CHANNELS]
    except (TypeError, ValueError, OverflowError, IndexError) as error:
        raise DataError(where, f"'rle' cannot be read ({error})", "a brush mask of this picture", _REMAKE) from None
    rows, columns = np.nonzero(alpha.reshape(height, width))
    if not len(rows):
        raise DataError(where, "is an empty mask", "a mask with pixels", "remove the region")
    return float(columns.min()), float(rows.min()), float(columns.max() + 1), float(rows.max() + 1)


def _decode(content: Any, expected: int) -> Any:
    """The values, of which there must be `expected`."""
    bits = np.unpackbits(content)
    position = 0

    def read(count: int) -> int:
        nonlocal position
        if position + count > len(bits):
            raise ValueError("it ends too early")
        value = int.from_bytes(np.packbits(bits[position : position + count]).tobytes(), "big")
        position += count
        return value >> (-count % 8)

    total, word = read(32), read(5) + 1
    lengths = [read(4) + 1 for _ in range(4)]
    if total != expected or word != 8:
        raise ValueError(f"{total} values of {word} bits")
    values = np.zeros(total, np.uint8)
    filled = 0
    while filled < total:
        is_run = read(1)
        end = min(filled + 1 + read(lengths[read(2)]), total)
        if is_run:
            values[filled:end] = read(word)
        else:
            count = word * (end - filled)
            if position + count > len(bits):
                raise ValueError("it ends too early")
            values[filled:end] = np.packbits(bits[position : position + count])
            position += count
        filled = end
    return values
