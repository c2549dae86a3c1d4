"""Images that look alike: the same picture, saved again, scaled or lightly changed.

Each picture is a 16 × 16 grey one, of which every pixel is compared with its right-hand neighbour: 240 bits tell where
it grows brighter. Two pictures are alike where few bits differ and the grey values are close. By the pigeonhole
principle pictures that differ in fewer bits than there are bands agree in one whole band, so only those that share a
band are compared.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from keras_retinanet.doctor.image_scan import GRID

MOST_BITS = 14
"""Of 240. There are 15 bands of 16 bits, so no such pair is overlooked."""

MOST_GREY = 6.0
"""Mean difference of the grey values, each picture taken about its own mean."""

MARGIN = 3.0
"""Grey levels by which a pixel must be brighter, so that even areas do not decide by chance."""

_BANDS = 15
_ONES = np.array([number.bit_count() for number in range(256)])
_CROWD = 64  # pictures in one band that are compared all with all; of more, each with its next ones


def alike_groups(looks: Sequence[bytes | None]) -> list[list[int]]:
    """Groups of images that look alike.

    Args:
        looks: `image_scan.ImageFacts.look` of each; `None` is like nothing.

    Returns:
        Positions, ascending in each group of at least two; groups by their first.
    """
    positions = np.array([number for number, look in enumerate(looks) if look is not None], np.int64)
    if len(positions) < 2:
        return []
    raw = b"".join(looks[number] or b"" for number in positions)
    pictures = np.frombuffer(raw, np.uint8).reshape(-1, GRID, GRID).astype(np.float32)
    bits = np.packbits(pictures[:, :, 1:] > pictures[:, :, :-1] + MARGIN, axis=None).reshape(
        len(pictures), -1
    )  # (I, 30)
    owner = np.arange(len(pictures))
    for first, second in _alike_pairs(pictures - pictures.mean(axis=(1, 2), keepdims=True), bits):
        roots = _root(owner, first), _root(owner, second)
        owner[max(roots)] = min(roots)
    groups: dict[int, list[int]] = {}
    for number in range(len(pictures)):
        groups.setdefault(_root(owner, number), []).append(int(positions[number]))
    return [group for group in groups.values() if len(group) > 1]


def _alike_pairs(pictures: np.ndarray, bits: np.ndarray) -> list[tuple[int, int]]:
    pairs = _candidates(bits)
    if not len(pairs):
        return []
    kept = []
    for start in range(0, len(pairs), 20_000):
        first, second = pairs[start : start + 20_000].T
        distance = _ONES[bits[first] ^ bits[second]].sum(axis=1)
        grey = np.abs(pictures[first] - pictures[second]).mean(axis=(1, 2))
        is_alike = (distance <= MOST_BITS) & (grey <= MOST_GREY)
        kept += list(zip(first[is_alike].tolist(), second[is_alike].tolist(), strict=True))
    return kept


def _candidates(bits: np.ndarray) -> np.ndarray:
    """`(P, 2)`: pairs that agree in a band."""
    words = bits.reshape(len(bits), _BANDS, 2).astype(np.int64)
    pairs = []
    for band in range(_BANDS):
        key = words[:, band, 0] * 256 + words[:, band, 1]
        order = np.argsort(key, kind="stable")
        for step in range(1, _CROWD + 1):
            is_same = key[order[step:]] == key[order[:-step]]
            if not is_same.any():
                break
            pairs.append(np.stack([order[:-step][is_same], order[step:][is_same]], axis=1))
    return np.unique(np.sort(np.concatenate(pairs), axis=1), axis=0) if pairs else np.zeros((0, 2), np.int64)


def _root(owner: np.ndarray, number: int) -> int:
    while owner[number] != number:
        owner[number] = owner[owner[number]]
        number = int(owner[number])
    return number
