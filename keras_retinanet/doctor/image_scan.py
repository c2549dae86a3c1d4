"""One look at every image file, in parallel: is it there and whole, what is it, and what does it look like?"""

from __future__ import annotations

import hashlib
import io
import os
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from PIL import Image

from keras_retinanet.data.image_files import byte_range, near_name_hint, read_bytes

State = Literal["whole", "missing", "unreadable", "truncated"]

DECODABLE = ("JPEG", "MPO", "PNG", "BMP", "GIF", "WEBP")
"""Pillow's names of the formats that `data.image.decode` understands; an MPO begins with a JPEG."""

GRID = 16
"""Side of the small grey picture by which images are told alike."""

_ORIENTATION = 0x0112
_FLAT = 3.0  # standard deviation in grey levels below which a picture looks like any other


@dataclass(frozen=True)
class ImageFacts:
    """What a file tells about itself.

    Attributes:
        state: Whether it can be used.
        reason: Why not, in Pillow's words.
        size: Height and width as stored; `None` where it cannot be read.
        format: Pillow's name of the file format.
        mode: Pillow's name of the pixel format.
        orientation: EXIF orientation, 1 (upright) to 8.
        digest: Hash of the bytes.
        look: `GRID * GRID` bytes, a small grey picture; `None` for broken and for plain images.
    """

    state: State = "whole"
    reason: str = ""
    size: tuple[int, int] | None = None
    format: str = ""
    mode: str = ""
    orientation: int = 1
    digest: str = ""
    look: bytes | None = None


def scan_images(
    images: Sequence[str], progress: Callable[[int], object] | None = None, workers: int | None = None
) -> list[ImageFacts]:
    """Looks at image files.

    Args:
        images: Paths, or references into record files.
        progress: Callable. Called with 1 after each. Defaults to nothing.
        workers: int. Threads; Pillow decodes outside of Python's lock. Defaults to one a core, and four more.

    Returns:
        The facts of each.
    """

    def look(image: str) -> ImageFacts:
        facts = scan_image(image)
        if progress is not None:
            progress(1)
        return facts

    with warnings.catch_warnings(), ThreadPoolExecutor(workers or (os.cpu_count() or 1) + 4) as threads:
        warnings.simplefilter("ignore")  # of Pillow on odd EXIF data, alpha and large images
        return list(threads.map(look, images))


def scan_image(image: str) -> ImageFacts:
    """Looks at one image file.

    Args:
        image: Its path, or a reference.

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
        with Image.open(io.BytesIO(content)) as opened:
            return _described(opened, hashlib.blake2b(content, digest_size=16).hexdigest())
    except Exception as error:  # Pillow's plug-ins raise a dozen kinds on damaged headers, struct.error to KeyError
        return ImageFacts(state="unreadable", reason=_told(error) if content else "the file is empty")


def _described(opened: Image.Image, digest: str) -> ImageFacts:
    facts = ImageFacts(
        size=(opened.height, opened.width),
        format=opened.format or "",
        mode=opened.mode,
        orientation=_orientation(opened),
        digest=digest,
    )
    if facts.format not in DECODABLE:
        return replace(facts, state="unreadable", reason=f"is a {facts.format} file")
    try:
        opened.draft("L", (2 * GRID, 2 * GRID))  # JPEGs are decoded in an eighth of their size; all bytes are read
        opened.load()
        grey = np.asarray(opened.convert("L").resize((GRID, GRID), Image.Resampling.BOX))
    except Exception as error:
        return replace(facts, state="truncated", reason=_told(error))
    return replace(facts, look=grey.tobytes() if grey.std() > _FLAT else None)


def _orientation(opened: Image.Image) -> int:
    try:
        found = opened.getexif().get(_ORIENTATION, 1)
    except Exception:  # damaged EXIF data; decoders pass over them
        return 1
    return found if found in range(1, 9) else 1


def _told(error: Exception) -> str:
    if "cannot identify" in str(error):
        return "is no image"
    return str(error) or type(error).__name__
