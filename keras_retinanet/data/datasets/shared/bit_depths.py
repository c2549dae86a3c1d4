"""How many bits the values of 16-bit images really have: cameras and microscopes often store 10 or 12 of them."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from keras_retinanet.data.image_files import read_bytes
from keras_retinanet.data.image_headers import ImageHeader
from keras_retinanet.data.sixteen_bits import FEWEST_BITS, read_16_bit

MAX_SAMPLED = 32
"""Files, evenly spread over the data set, whose largest value is measured."""

_WORKERS = 4


def choose_bit_depths(
    images: Sequence[str], headers: Sequence[ImageHeader | None], given: int | None
) -> tuple[Any, list[str]]:
    """Measure the range of the 16-bit images of a data set.

    Args:
        images: Paths of I images, or references.
        headers: Their headers, `None` for unreadable files.
        given: The number of bits that the user states, if any.

    Returns:
        `(I,)` uint8, the bits of the values of each 16-bit image and 0 for others; and the sentence that reports it, if
        there is one.
    """
    depths = np.zeros(len(images), np.uint8)
    rows = np.flatnonzero([header is not None and header.is_16_bit for header in headers])
    if not len(rows):
        return depths, []
    head = f"{len(rows)} of {len(images)} images have 16 bits per channel"
    if given is not None:
        depths[rows] = given
        return depths, [f"{head}, of which {given} are used: the value {2**given - 1} is white (--bit-depth)"]
    sampled = rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), MAX_SAMPLED)).round().astype(int))]
    with ThreadPoolExecutor(_WORKERS) as readers:
        largest = max(readers.map(lambda row: _largest_value(images[row]), sampled))
    bits = max(largest.bit_length(), FEWEST_BITS)
    depths[rows] = bits
    measured = f"the largest value in {len(sampled)} of them is {largest}"
    return depths, [f"{head}: {measured}, so they count as {bits}-bit, and {2**bits - 1} is white (--bit-depth)"]


def _largest_value(image: str) -> int:
    """0 for a file that cannot be decoded."""
    try:
        values = read_16_bit(read_bytes(image))
    except (OSError, ValueError):
        return 0
    return 0 if values is None else int(values.max(initial=0))
