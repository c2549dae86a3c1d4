"""Headers of many image files, read in parallel; Pillow reads those that `image_headers` does not know."""

from __future__ import annotations

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO

from keras_retinanet.data.image_files import ByteRange, byte_range, image_reference, read_bytes
from keras_retinanet.data.image_headers import ImageHeader, orientation_in_header, parse_header, reader_of
from keras_retinanet.data.pillow_files import opened, orientation_of, stored_size

_READERS = 16  # header reads wait for the disk, not for a core
_JPEG, _JPEG_HEAD = b"\xff\xd8\xff", 1 << 12  # characters that hold the header of most JPEGs
_BASE64_HEAD = 1 << 16  # characters, a multiple of four
_CHUNK = 256  # files that a thread reads in one go


def read_headers(images: Sequence[str]) -> list[ImageHeader | None]:
    """Read the headers of image files in parallel.

    Args:
        images: Paths, or references into record files.

    Returns:
        The header of each; `None` if it cannot be read.
    """
    chunks = [images[start : start + _CHUNK] for start in range(0, len(images), _CHUNK)]
    with ThreadPoolExecutor(_READERS) as readers:
        return [header for found in readers.map(_read_each, chunks) for header in found]


def _read_each(images: Sequence[str]) -> list[ImageHeader | None]:
    return [_read_header(image) for image in images]


def _read_header(image: str) -> ImageHeader | None:
    part = byte_range(image) if "#bytes=" in image else None
    if part is not None and part.is_base64:
        return _header_of_base64(part)
    try:
        with open(image if part is None else part.file, "rb", buffering=0) as file:
            read = reader_of(file) if part is None else reader_of(file, part.start, part.length)
            header = parse_header(read)
            if header is not None:
                return header
            orientation = orientation_in_header(read)
        return _ask_pillow(image if part is None else io.BytesIO(read_bytes(image)), orientation)
    except (OSError, ValueError):
        return None


def _header_of_base64(part: ByteRange) -> ImageHeader | None:
    """The header of a picture in base64, of which the start is decoded, and the rest only if that is not enough."""
    for length in (min(part.length, _JPEG_HEAD), min(part.length, _BASE64_HEAD), part.length):
        try:
            content = read_bytes(image_reference(part.file, part.start, length, is_base64=True))
        except OSError:  # also where escaped slashes end the start within four characters
            continue
        if length > _JPEG_HEAD or length == part.length:
            header = header_of(content)
        else:  # a JPEG's header is followed up to the first scan: what is read is whole
            header = parse_header(reader_of(io.BytesIO(content))) if content.startswith(_JPEG) else None
        if header is not None:
            return header
    return None


def header_of(content: bytes) -> ImageHeader | None:
    """The header of an image whose bytes are in memory; `None` if they are not an image."""

    def read(at: int, count: int) -> bytes:
        return content[at : at + count]

    return parse_header(read) or _ask_pillow(io.BytesIO(content), orientation_in_header(read))


def _ask_pillow(source: str | BinaryIO, orientation: int) -> ImageHeader | None:
    try:
        with opened(source) as image:
            own = orientation_of(image) if image.format in ("TIFF", "AVIF") else orientation
            return ImageHeader(stored_size(image), own, image.mode.startswith("I;16"))
    except Exception:  # Pillow's plug-ins raise a dozen kinds on damaged headers, struct.error to KeyError
        return None
