"""Leaves out images that are listed and cannot be used: missing files, no images, or not of the size relied on."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_retinanet.data.box_columns import BoxColumns, select_rows
from keras_retinanet.data.datasets.shared.annotations import Annotations
from keras_retinanet.data.datasets.shared.image_places import NAME_FOLDER
from keras_retinanet.data.datasets.shared.text_files import describe_files
from keras_retinanet.data.error_collector import ErrorCollector, OnError
from keras_retinanet.data.errors import DataError, short_repr
from keras_retinanet.data.exif import turned_size
from keras_retinanet.data.image_files import first_unsupported, missing_positions, near_name_hint, read_sizes
from keras_retinanet.data.image_headers import ImageHeader
from keras_retinanet.schema import Size

MAX_MISSING_SHARE = 0.5
"""Largest share of unusable images that are left out: if more are missing, the folder is the wrong one."""

_MAX_FOLDERS = 6  # named in a message
_FIX = f"add the file, correct its name, remove it from the annotations, or {NAME_FOLDER}"


def leave_out_missing(
    annotations: Annotations, columns: BoxColumns, on_error: OnError
) -> tuple[Annotations, BoxColumns]:
    """Leave out the images whose files are missing.

    Args:
        annotations: The set.
        columns: Its boxes.
        on_error: `"error"` raises at the first one.

    Returns:
        Both without these images; a note counts them and names the first five.

    Raises:
        DataError: The set has no image, most of its images are missing, one is and `on_error` is `"error"`, or one
            needs a package that is not installed.
    """
    missing = find_missing(annotations, on_error)
    if missing:
        near = near_name_hint(annotations.images[missing[0]]).removesuffix("; ")
        what = f"are not there{f' ({near})' if near else ''}"
        annotations, columns = _leave_out(annotations, columns, missing, what)
    if (unsupported := first_unsupported(annotations.images)) is not None:
        raise unsupported
    return annotations, columns


def find_missing(annotations: Annotations, on_error: OnError) -> list[int]:
    """Find the images whose files are missing.

    Args:
        annotations: The set; only its list of images is needed.
        on_error: `"error"` raises at the first one; with a collector, any number may be missing.

    Returns:
        Their positions.

    Raises:
        DataError: The set has no image, most of its images are missing, or one is and `on_error` is `"error"`.
    """
    images = annotations.images
    if not images:
        fix = "check the path and the set's name"
        raise DataError(annotations.listed_in, "lists no image", "at least one image", fix)
    missing = list(missing_positions(images))
    are_too_many = not isinstance(on_error, ErrorCollector) and len(missing) > MAX_MISSING_SHARE * len(images)
    if missing and (on_error == "error" or are_too_many):
        raise _missing(annotations, missing)
    return missing


def leave_out_unreadable(
    annotations: Annotations, columns: BoxColumns, headers: Sequence[ImageHeader | None]
) -> tuple[Annotations, BoxColumns, Sequence[ImageHeader | None]]:
    """Leave out empty files, and files without a readable header whose size is not annotated either.

    Args:
        annotations: The set, without missing images.
        columns: Its boxes.
        headers: The header of each image.

    Returns:
        All three without these images; a note counts them and names the first five.

    Raises:
        DataError: Most images cannot be read.
    """
    images, sizes = annotations.images, annotations.sizes or [None] * len(annotations.images)
    without = [position for position, header in enumerate(headers) if header is None]
    broken = [place for place in without if _is_empty(images[place]) or not (sizes[place] or _has_size(images[place]))]
    if not broken:
        return annotations, columns, headers
    if len(broken) > MAX_MISSING_SHARE * len(images):
        read_sizes([images[broken[0]]])  # raises what is wrong with it
    left = set(broken)
    kept = [header for position, header in enumerate(headers) if position not in left]
    return *_leave_out(annotations, columns, broken, "cannot be read as images"), kept


def leave_out_other_sizes(
    annotations: Annotations, columns: BoxColumns, headers: Sequence[ImageHeader | None], on_error: OnError
) -> tuple[Annotations, BoxColumns, Sequence[ImageHeader | None]]:
    """Leave out images that are not of the size on which the reader relies; a note names other sizes as annotated.

    Args:
        annotations: The set, without missing images.
        columns: Its boxes.
        headers: The header of each image.
        on_error: `"error"` raises at the first image that would be left out.

    Returns:
        All three without these images, whose boxes refer to another picture. Where the annotated size is not relied on,
        all images stay, and the note says that boxes are used as they are.

    Raises:
        DataError: Most images would be left out, or one and `on_error` is `"error"`.
    """
    annotated = annotations.annotated_sizes or annotations.sizes
    if not annotated or columns.is_relative:
        return annotations, columns, headers
    others = [place for place, size in enumerate(annotated) if _is_other_size(size, headers[place])]
    if not others:
        return annotations, columns, headers
    sizes = f"{_show_size(_size_of(headers[others[0]]))} pixels, {_show_size(annotated[others[0]])} in the annotations"
    if annotations.annotated_sizes is not None:
        what = f"images have another size than annotated, such as {sizes}: their boxes are used as they are"
        note = describe_files(annotations.listed_in, _shorten([annotations.images[place] for place in others]), what)
        return dataclasses.replace(annotations, notes=[*annotations.notes, *note]), columns, headers
    if on_error == "error" or len(others) > MAX_MISSING_SHARE * len(headers):
        found = f"is {sizes}; {len(others)} of {len(headers)} images have another size"
        allowed = "the size of the file"
        fix = "correct the annotated size if the boxes fit the file; otherwise restore the files that were annotated"
        raise DataError(f"{annotations.listed_in}, {annotations.images[others[0]]}", found, allowed, fix)
    left = set(others)
    kept = [header for place, header in enumerate(headers) if place not in left]
    what = f"have another size than annotated (such as {sizes})"
    return *_leave_out(annotations, columns, others, what), kept


def _is_other_size(annotated: Size | None, header: ImageHeader | None) -> bool:
    """Whether an annotated size is that of the picture neither as stored nor turned upright."""
    if annotated is None or header is None or min(annotated) <= 0:
        return False
    return annotated not in (header.size, turned_size(header.size, header.orientation))


def _size_of(header: ImageHeader | None) -> Size:
    return (0, 0) if header is None else header.size


def _show_size(size: Size | None) -> str:
    height, width = size or (0, 0)
    return f"{width} × {height}"


def _missing(annotations: Annotations, missing: Sequence[int]) -> DataError:
    images, first = annotations.images, missing[0]
    found = f"image {short_repr(images[first], 200)} (number {first + 1} of {len(images)}) is not there"
    if len(missing) > 1:
        found += ", nor is 1 other" if len(missing) == 2 else f", nor are {len(missing) - 1} others"
    allowed = "images that exist"
    if folders := [folder for folder in dict.fromkeys(annotations.image_folders) if os.path.isdir(folder)]:
        more = f" and {len(folders) - _MAX_FOLDERS} more folders" if len(folders) > _MAX_FOLDERS else ""
        allowed += f", in {', '.join(folders[:_MAX_FOLDERS])}{more}"
    fix = annotations.missing_fix or near_name_hint(images[first]) + _FIX
    return DataError(annotations.listed_in, found, allowed, fix)


def _leave_out(
    annotations: Annotations, columns: BoxColumns, positions: Sequence[int], what: str
) -> tuple[Annotations, BoxColumns]:
    images = annotations.images
    is_kept = np.ones(len(images), bool)
    is_kept[list(positions)] = False
    kept = np.flatnonzero(is_kept).tolist()

    def of_kept(values: Any) -> Any:
        return [values[position] for position in kept] if values else values

    rows = select_rows(columns, is_kept[np.asarray(columns.image, np.int64)])
    num_boxes = len(columns.labels) - len(rows.labels)
    rows.image = (np.cumsum(is_kept) - 1)[np.asarray(rows.image, np.int64)]
    names = [images[position] for position in positions]
    boxes = f" with their {num_boxes} boxes" if num_boxes else ""
    note = describe_files(annotations.listed_in, _shorten(names), f"images {what} and are left out{boxes}")
    fields = ("images", "image_ids", "sizes", "annotated_sizes", "headers")
    changed: dict[str, Any] = {name: of_kept(getattr(annotations, name)) for name in fields}
    sources = [*annotations.sources, *names] if annotations.sources else []  # the index is out of date once they appear
    return dataclasses.replace(annotations, **changed, notes=[*annotations.notes, *note], sources=sources), rows


def _shorten(images: Sequence[str]) -> list[str]:
    """Paths below the folder that all of them share."""
    try:
        home = os.path.commonpath([os.path.dirname(image) for image in images])
        return [os.path.relpath(image, home) for image in images]
    except ValueError:  # relative and absolute, or an empty path
        return [os.path.basename(image) for image in images]


def _has_size(image: str) -> bool:
    return read_sizes([image], fallback=(0, 0)) != [(0, 0)]


def _is_empty(image: str) -> bool:
    try:
        return "#bytes=" not in image and os.path.getsize(image) == 0
    except OSError:
        return True
