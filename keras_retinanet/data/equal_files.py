"""Finds images whose files have equal bytes, without reading every file whole."""

from __future__ import annotations

import collections
import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from keras_retinanet.data.image_files import byte_range, read_bytes

_TAIL = 8192  # bytes at the end of a file; those of two different JPEGs of one length are never equal in practice
_READERS = 16
_MAX_SHOWN = 3


def group_equal_files(images: Sequence[str]) -> list[list[int]]:
    """Group images with equal bytes.

    Lengths are compared first, then the last bytes of files of one length, then the whole files that still agree.

    Args:
        images: Paths or references; files that cannot be read are like no others.

    Returns:
        Groups of at least two positions, ascending. One file that is listed twice is a group, too.
    """
    groups = group_by_key(range(len(images)), lambda position: file_length(images[position]))
    for digest in (_hash_tail, _hash_file):
        candidates = [position for group in groups for position in group]
        with ThreadPoolExecutor(_READERS) as pool:
            found = pool.map(digest, [images[position] for position in candidates])
            digests = dict(zip(candidates, found, strict=True))
        groups = group_by_key(candidates, digests.__getitem__)
    return groups


def group_by_key(positions: Iterable[int], key: Callable[[int], object]) -> list[list[int]]:
    """Groups of at least two positions with equal keys; `None` is like no other."""
    groups: dict[object, list[int]] = collections.defaultdict(list)
    for position in positions:
        if (own := key(position)) is not None:
            groups[own].append(position)
    return sorted(sorted(group) for group in groups.values() if len(group) > 1)


def describe_equal_files(splits: Sequence[tuple[str, Sequence[str]]]) -> list[str]:
    """Describe images that occur twice.

    Args:
        splits: Name and images of each split.

    Returns:
        At most one sentence on images that occur in several splits, and one on images that occur twice in one split.
    """
    images = [image for _, own in splits for image in own]
    split_of = [name for name, own in splits for _ in own]
    groups = group_equal_files(images)
    across = [group for group in groups if len({split_of[position] for position in group}) > 1]
    within = [group for group in groups if group not in across]
    sentences = []
    for chosen, what in (
        (across, "are in several splits, so that validation measures what was learned by heart"),
        (within, "occur more than once in a split"),
    ):
        if chosen:
            shown = "; ".join(" = ".join(images[position] for position in group[:2]) for group in chosen[:_MAX_SHOWN])
            more = f"; and {len(chosen) - _MAX_SHOWN} more" if len(chosen) > _MAX_SHOWN else ""
            sentences.append(f"{len(chosen)} images (equal bytes) {what}: {shown}{more}")
    return sentences


def file_length(image: str) -> int | None:
    """Length of an image file in bytes, `None` if it cannot be read."""
    inside = byte_range(image)
    try:
        return os.stat(image).st_size if inside is None else inside.length
    except (OSError, ValueError):
        return None


def _hash_tail(image: str) -> bytes | None:
    inside = byte_range(image)
    file, end = (image, file_length(image) or 0) if inside is None else (inside.file, inside.start + inside.length)
    start = max(end - _TAIL, 0 if inside is None else inside.start)
    try:
        with open(file, "rb") as opened:
            opened.seek(start)
            return hashlib.blake2b(opened.read(end - start), digest_size=16).digest()
    except (OSError, ValueError):
        return None


def _hash_file(image: str) -> bytes | None:
    try:
        return hashlib.blake2b(read_bytes(image), digest_size=16).digest()
    except (OSError, ValueError):
        return None
