"""Images that belong together, and therefore into the same split."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image

from keras_retinanet.data.equal_files import file_length, group_by_key, group_equal_files
from keras_retinanet.data.image_files import byte_range, read_bytes
from keras_retinanet.data.near_duplicates import find_root, group_near_duplicates, make_thumbnail
from keras_retinanet.data.pillow_files import as_stored

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


def group_images(images: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """Groups equal files, copies, images of one scene, and near duplicates.

    Args:
        images: Paths of the images.

    Returns:
        `(I,)` int64 the group of each image, and what the groups of several images have in common.
    """
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


def is_searched_for_near_duplicates(images: Sequence[str]) -> bool:
    """Whether a data set is small enough to compare all its images.

    Args:
        images: Paths of the images.

    Returns:
        True if so.
    """
    return len(images) <= MAX_COMPARED_IMAGES and sum(file_length(image) or 0 for image in images) <= MAX_COMPARED_BYTES


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
    if not is_searched_for_near_duplicates(images):
        return []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return group_near_duplicates(list(pool.map(_read_thumbnail, images)))


def _read_thumbnail(image: str) -> bytes | None:
    try:
        with Image.open(io.BytesIO(read_bytes(image))) as opened:
            return make_thumbnail(as_stored(opened))
    except Exception:  # Pillow's plug-ins raise a dozen kinds on damaged files; training reports them
        return None
