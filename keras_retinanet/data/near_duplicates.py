"""Near duplicates: the same picture saved again, scaled or slightly changed, found by a perceptual hash (dHash).

The hash of a 16 × 16 grey thumbnail has 240 bits, one for each pair of horizontal neighbours: is the right pixel
brighter? Two images are near duplicates if few bits differ and the grey levels are close. Thumbnails that differ in
fewer bits than there are bands agree in at least one whole band (pigeonhole principle), so only those that share a band
are compared.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from keras_retinanet.data.exif import turn

THUMBNAIL_SIDE = 16
"""Height and width in pixels of the grey thumbnails that are compared."""

MAX_DIFFERENT_BITS = 14
"""Of 240. With 15 bands of 16 bits no such pair is overlooked."""

MAX_GREY_DIFFERENCE = 6.0
"""Mean absolute difference in grey levels, after each thumbnail's mean is subtracted."""

MAX_CONTRAST_SHARE = 0.4
"""The same difference as a share of the smaller standard deviation; without it all soft images are alike."""

MIN_STEP = 3.0
"""Grey levels by which a pixel must be brighter to set its bit, so that noise in even areas does not decide."""

MIN_CONTRAST = 3.0
"""Standard deviation in grey levels; plainer thumbnails all look the same."""

_BANDS = 15
_BIT_COUNTS = np.array([number.bit_count() for number in range(256)])
_MAX_NEIGHBOURS = 64  # in one band, each thumbnail is compared with this many that follow it
_PAIRS_PER_CHUNK = 20_000


def make_thumbnail(opened: Image.Image, orientation: int = 1) -> bytes | None:
    """The thumbnail of an image that Pillow has opened and not decoded.

    Args:
        opened: The image. JPEGs are decoded at an eighth of their size; all bytes are read.
        orientation: EXIF orientation to apply. Defaults to 1, none.

    Returns:
        `THUMBNAIL_SIDE²` bytes of grey levels; `None` for plain images, which all look the same.
    """
    opened.draft("L", (2 * THUMBNAIL_SIDE, 2 * THUMBNAIL_SIDE))
    opened.load()
    grey = np.asarray(opened.convert("L").resize((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.BOX))
    grey = turn(grey, orientation)
    return grey.tobytes() if grey.std() > MIN_CONTRAST else None


def group_near_duplicates(thumbnails: Sequence[bytes | None]) -> list[list[int]]:
    """Groups near duplicates.

    Args:
        thumbnails: `make_thumbnail` of each image; `None` is like no other.

    Returns:
        Groups of at least two indices, ascending, ordered by their first.
    """
    indices = np.array([index for index, thumbnail in enumerate(thumbnails) if thumbnail is not None], np.int64)
    if len(indices) < 2:
        return []
    raw = b"".join(thumbnails[index] or b"" for index in indices)
    grey = np.frombuffer(raw, np.uint8).reshape(-1, THUMBNAIL_SIDE, THUMBNAIL_SIDE).astype(np.float32)
    bits = np.packbits(grey[:, :, 1:] > grey[:, :, :-1] + MIN_STEP, axis=None).reshape(len(grey), -1)  # (I, 30)
    parent = np.arange(len(grey))
    for first, second in _similar_pairs(grey - grey.mean(axis=(1, 2), keepdims=True), bits):
        roots = find_root(parent, first), find_root(parent, second)
        parent[max(roots)] = min(roots)
    groups: dict[int, list[int]] = {}
    for position in range(len(grey)):
        groups.setdefault(find_root(parent, position), []).append(int(indices[position]))
    return [group for group in groups.values() if len(group) > 1]


def _similar_pairs(grey: np.ndarray, bits: np.ndarray) -> list[tuple[int, int]]:
    pairs = _pairs_with_equal_band(bits)
    limits = np.minimum(MAX_GREY_DIFFERENCE, MAX_CONTRAST_SHARE * grey.std(axis=(1, 2)))
    similar = []
    for start in range(0, len(pairs), _PAIRS_PER_CHUNK):
        first, second = pairs[start : start + _PAIRS_PER_CHUNK].T
        distance = _BIT_COUNTS[bits[first] ^ bits[second]].sum(axis=1)
        difference = np.abs(grey[first] - grey[second]).mean(axis=(1, 2))
        is_similar = (distance <= MAX_DIFFERENT_BITS) & (difference <= np.minimum(limits[first], limits[second]))
        similar += list(zip(first[is_similar].tolist(), second[is_similar].tolist(), strict=True))
    return similar


def _pairs_with_equal_band(bits: np.ndarray) -> np.ndarray:
    """`(P, 2)` pairs that agree in at least one band."""
    words = bits.reshape(len(bits), _BANDS, 2).astype(np.int64)
    pairs = []
    for band in range(_BANDS):
        key = words[:, band, 0] * 256 + words[:, band, 1]
        order = np.argsort(key, kind="stable")
        for step in range(1, _MAX_NEIGHBOURS + 1):
            is_same = key[order[step:]] == key[order[:-step]]
            if not is_same.any():
                break
            pairs.append(np.stack([order[:-step][is_same], order[step:][is_same]], axis=1))
    return np.unique(np.sort(np.concatenate(pairs), axis=1), axis=0) if pairs else np.zeros((0, 2), np.int64)


def find_root(parent: np.ndarray, position: int) -> int:
    """Root of a union-find tree, with path halving."""
    while parent[position] != position:
        parent[position] = parent[parent[position]]
        position = int(parent[position])
    return position
