"""Sets a share of the training images aside for validation: `--val-share`.

Images that belong together stay on one side: equal files, near duplicates, copies that a tool made of one image, and
images whose names show one scene. Groups are assigned one by one, those with the rarest class first, to the side that
lacks more boxes of that class (Sechidis, Tsoumakas and Vlahavas, "On the Stratification of Multi-Label Data", 2011).
"""

from __future__ import annotations

import collections
import hashlib
import io
import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from PIL import Image

from keras_retinanet.data.datasets.shared.annotated_images import Index
from keras_retinanet.data.equal_files import file_length, group_by_key, group_equal_files
from keras_retinanet.data.errors import DataError
from keras_retinanet.data.image_files import byte_range, read_bytes
from keras_retinanet.data.near_duplicates import find_root, group_near_duplicates, make_thumbnail

MAX_COMPARED_IMAGES = 10_000
MAX_COMPARED_BYTES = 2_000_000_000
"""Larger data sets are not searched for near duplicates, which takes about a minute for this much."""

_COPY = re.compile(
    r"(?<=.)(?:[._-]rf[._-]\w{8,}| ?\(\d+\)|(?:_\d+){4}"
    r"|[ _-](?:copy|aug|augmented|[hv]?flip|flipped|mirror|mirrored|rot|rotated|blur|noise)[ _-]?\d*)$"
)
_NUMBER = re.compile(r"[ _-]*(?:frame|img|image)?[ _-]*\d+$", re.IGNORECASE)
_MIN_SCENES = 10
_MAX_COPIES = 10  # of one image, whatever their share
_MAX_SCENE = 0.2  # of all images; what more of them share is a way of naming files, not a scene


_last: dict[bytes, Division] = {}


@dataclass(frozen=True)
class Division:
    """Training and validation images.

    Attributes:
        train: Positions of the training images, ascending.
        val: Positions of the validation images, ascending.
        note: One sentence on how they were chosen.
    """

    train: list[int]
    val: list[int]
    note: str


def divide(index: Index, share: float, seed: int = 0) -> Division:
    """Divide the images of a data set.

    Args:
        index: The data set.
        share: Share of the images wanted for validation, between 0 and 1.
        seed: Seed of the order in which groups are assigned. Defaults to 0.

    Returns:
        The positions. The same data, share and seed give the same division.

    Raises:
        DataError: One side would be empty.
    """
    key = _hash_inputs(index, share, seed)
    if key not in _last:
        _last.clear()
        _last[key] = _divide(index, share, seed)
    return _last[key]


def _hash_inputs(index: Index, share: float, seed: int) -> bytes:
    """Hash of everything that a division depends on; training and validation images are asked for one by one."""
    parts = [repr((index.images, index.class_names, share, seed)).encode(), *(part.tobytes() for part in (
        index.labels, index.ignore, index.splits))]  # fmt: skip
    lengths = np.array([file_length(image) or 0 for image in index.images], np.int64)
    return hashlib.blake2b(b"".join([*parts, lengths.tobytes()]), digest_size=16).digest()


def _divide(index: Index, share: float, seed: int) -> Division:
    group_of, reasons = _group_images(index.images)
    is_val = _assign(index, group_of, share, seed)
    val = np.flatnonzero(is_val).tolist()
    if not val or len(val) == len(index.images):
        found = f"leaves no {'training' if val else 'validation'} images of {len(index.images)}"
        fix = "choose another share, or add images that are not copies of each other"
        raise DataError(f"--val-share {share:g}", found, "a share that leaves some of both", fix)
    present = set(index.labels[~index.ignore].tolist())
    image = np.repeat(np.arange(len(index.images)), np.diff(index.splits))
    in_val = set(index.labels[is_val[image] & ~index.ignore].tolist())
    absent = [index.class_names[label] for label in sorted(present - in_val)]
    note = f"--val-share {share:g}: {len(val)} of {len(index.images)} images are set aside for validation, by class"
    note += f"; kept together: {', '.join(reasons)}" if reasons else "; no images had to be kept together"
    if len(index.images) > MAX_COMPARED_IMAGES or _num_bytes(index.images) > MAX_COMPARED_BYTES:
        note += "; near duplicates were not searched, as the data set is large (retinanet-doctor finds them)"
    if absent:
        more = ", …" if len(absent) > 5 else ""
        note += f"; without a box among them: {', '.join(absent[:5])}{more}"
    return Division(np.flatnonzero(~is_val).tolist(), val, note)


def _assign(index: Index, group_of: np.ndarray, share: float, seed: int) -> np.ndarray:
    """`(I,)` bool: the image is a validation image."""
    members: dict[int, list[int]] = collections.defaultdict(list)
    for position, group in enumerate(group_of.tolist()):
        members[group].append(position)
    labels: dict[int, collections.Counter[int]] = {group: collections.Counter() for group in members}
    for position in range(len(index.images)):
        rows = slice(index.splits[position], index.splits[position + 1])
        labels[int(group_of[position])].update(index.labels[rows][~index.ignore[rows]].tolist())
    totals: collections.Counter[int] = collections.Counter()
    for counts in labels.values():
        totals.update(counts)
    order = np.random.default_rng(seed).permutation(sorted(members)).tolist()
    order.sort(key=lambda group: min((totals[label] for label in labels[group]), default=np.inf))
    wanted, wanted_images = {label: share * total for label, total in totals.items()}, share * len(index.images)
    found: collections.Counter[int] = collections.Counter()
    seen: collections.Counter[int] = collections.Counter()
    is_val = np.zeros(len(index.images), bool)
    num_val = num_seen = 0
    for group in order:
        size = len(members[group])
        rarest = min(labels[group], key=lambda label: (totals[label], label), default=None)
        if rarest is None:
            lack, rest = wanted_images - num_val, (len(index.images) - wanted_images) - (num_seen - num_val)
            weight, part = size, wanted_images / max(len(index.images), 1)
        else:
            lack, rest = wanted[rarest] - found[rarest], totals[rarest] - wanted[rarest] - seen[rarest]
            weight, part = labels[group][rarest], share
        if lack / part >= rest / (1 - part) and lack >= weight / 2:
            is_val[members[group]] = True
            num_val += size
            found.update(labels[group])
        else:
            seen.update(labels[group])
        num_seen += size
    return is_val


def _group_images(images: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """`(I,)` the group of each image, and what the groups of several images have in common."""
    parent = np.arange(len(images))
    reasons = []
    for groups, name in (
        (group_equal_files(images), "equal files"),
        (_copies(images), "copies or slices of one image (names)"),
        (_scenes(images), "images of one scene (names)"),
        (_near_duplicates(images), "near duplicates"),
    ):
        if groups:
            reasons.append(f"{sum(map(len, groups))} {name}")
        for group in groups:
            roots = [find_root(parent, position) for position in group]
            parent[roots] = min(roots)
    return np.array([find_root(parent, position) for position in range(len(images))], np.int64), reasons


def _num_bytes(images: Sequence[str]) -> int:
    return sum(file_length(image) or 0 for image in images)


def _copies(images: Sequence[str]) -> list[list[int]]:
    groups = group_by_key(range(len(images)), lambda position: _original_name(images[position]))
    return [group for group in groups if len(group) <= max(_MAX_COPIES, _MAX_SCENE * len(images))]


def _original_name(image: str) -> tuple[str, str] | None:
    """Folder and name without what tools append, such as Roboflow's `.rf.HASH`, SAHI's `_X1_Y1_X2_Y2` and `(1)`."""
    if byte_range(image) is not None:
        return None
    folder, name = os.path.split(image)
    return folder, _COPY.sub("", os.path.splitext(name)[0])


def _scenes(images: Sequence[str]) -> list[list[int]]:
    """Images whose names differ only in their last number, unless that is how all files are named."""
    keys = [_scene_of(image) for image in images]
    groups = group_by_key(range(len(images)), keys.__getitem__)
    is_scene = len({key for key in keys if key is not None}) >= _MIN_SCENES
    return [group for group in groups if len(group) <= _MAX_SCENE * len(images)] if is_scene else []


def _scene_of(image: str) -> tuple[str, str] | None:
    original = _original_name(image)
    if original is None or not _NUMBER.search(original[1]):
        return None
    prefix = _NUMBER.sub("", original[1])
    return (original[0], prefix) if prefix else None


def _near_duplicates(images: Sequence[str]) -> list[list[int]]:
    if len(images) > MAX_COMPARED_IMAGES or _num_bytes(images) > MAX_COMPARED_BYTES:
        return []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return group_near_duplicates(list(pool.map(_read_thumbnail, images)))


def _read_thumbnail(image: str) -> bytes | None:
    try:
        with Image.open(io.BytesIO(read_bytes(image))) as opened:
            return make_thumbnail(opened)
    except Exception:  # Pillow's plug-ins raise a dozen kinds on damaged files; training reports them
        return None
