"""Scans image files in parallel: present and whole, size, format, and a thumbnail for comparison."""

from __future__ import annotations

import hashlib
import io
import os
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from keras_retinanet.data.image_files import byte_range, near_name_hint, read_bytes
from keras_retinanet.data.near_duplicates import make_thumbnail
from keras_retinanet.data.pillow_files import (
    as_stored,
    has_known_range,
    opened,
    orientation_of_file,
    stored_size,
    unsupported_reason,
)
from keras_retinanet.data.usual_formats import END_MARK

State = Literal["whole", "cut off", "missing", "unreadable", "truncated"]

USABLE: tuple[State, ...] = ("whole", "cut off")
"""States of files that training uses; what a JPEG lacks at its end is grey."""

_JPEGS = ("JPEG", "MPO")


@dataclass(frozen=True)
class ImageFacts:
    """Properties of an image file.

    Attributes:
        state: `"whole"`, or what is wrong; training uses files in a state of `USABLE`.
        reason: Pillow's error message, if any.
        size: Height and width as stored, in a scanned split upright if boxes refer to them so; `None` if they cannot be
            read.
        format: Pillow's name of the file format.
        mode: Pillow's name of the pixel format.
        orientation: EXIF orientation, 1 (upright) to 8.
        digest: Hash of the bytes.
        thumbnail: `near_duplicates.make_thumbnail`; `None` for broken and for plain images.
    """

    state: State = "whole"
    reason: str = ""
    size: tuple[int, int] | None = None
    format: str = ""
    mode: str = ""
    orientation: int = 1
    digest: str = ""
    thumbnail: bytes | None = None


class Scan(Protocol):
    """Scans image files, as `scan_images` does."""

    def __call__(
        self, images: Sequence[str], progress: Callable[[int], object] | None = None, workers: int | None = None
    ) -> list[ImageFacts]:
        """Scans image files; see `scan_images`."""


def scan_images(
    images: Sequence[str], progress: Callable[[int], object] | None = None, workers: int | None = None
) -> list[ImageFacts]:
    """Scans image files.

    Args:
        images: Paths, or references into record files.
        progress: Called with 1 after each image. Defaults to nothing.
        workers: Threads; Pillow decodes without holding Python's lock. Defaults to the number of cores plus 4.

    Returns:
        The facts of each image.
    """

    def scan(image: str) -> ImageFacts:
        facts = scan_image(image)
        if progress is not None:
            progress(1)
        return facts

    with warnings.catch_warnings(), ThreadPoolExecutor(workers or (os.cpu_count() or 1) + 4) as threads:
        warnings.simplefilter("ignore")  # Pillow's, on odd EXIF data, alpha and large images
        return list(threads.map(scan, images))


def scan_image(image: str) -> ImageFacts:
    """Scans one image file.

    Args:
        image: Its path, or a reference into a record file.

    Returns:
        Its facts.
    """
    try:
        content = read_bytes(image)
    except (OSError, ValueError) as error:
        part = byte_range(image)
        is_there = os.path.exists(part.file if part else image) if "\0" not in image else False
        reason = ("" if is_there else near_name_hint(image)) + (getattr(error, "strerror", None) or str(error))
        return ImageFacts(state="unreadable" if is_there else "missing", reason=reason)
    try:
        facts = _read_facts(content)
        if facts.state != "truncated" or facts.format not in _JPEGS:
            return facts
        closed = _read_facts(content + END_MARK)
        return replace(closed, state="cut off", reason=facts.reason) if closed.state == "whole" else facts
    except Exception as error:  # Pillow's plug-ins raise a dozen kinds on damaged headers, struct.error to KeyError
        reason = unsupported_reason(content) or _describe_error(error)
        return ImageFacts(state="unreadable", reason=reason if content else "the file is empty")


def _read_facts(content: bytes) -> ImageFacts:
    orientation = orientation_of_file(content)
    with opened(io.BytesIO(content)) as image:
        facts = ImageFacts(
            size=stored_size(image),
            format=image.format or "",
            mode=image.mode,
            orientation=orientation,
            digest=hashlib.blake2b(content, digest_size=16).hexdigest(),
        )
        try:
            thumbnail = make_thumbnail(pixels := as_stored(image), orientation)
            if not has_known_range(pixels):
                return replace(facts, state="unreadable", reason=f"has values of 32 bits (mode {image.mode!r})")
        except Exception as error:
            return replace(facts, state="truncated", reason=_describe_error(error))
    return replace(facts, thumbnail=thumbnail)


def _describe_error(error: Exception) -> str:
    if "cannot identify" in str(error):
        return "is not an image"
    return str(error) or type(error).__name__
