"""What the first bytes of image files say: size, EXIF orientation, bits per channel. Nothing is decoded.

JPEG and PNG are read here, some ten times as fast as by Pillow, which reads the others.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import IO, NamedTuple

from PIL import Image

from keras_retinanet.data.exif import PNG_MAGIC, UPRIGHT, ReadBytes, find_exif, orientation_of_tiff
from keras_retinanet.data.image_files import byte_range, read_bytes

_READERS = 16  # header reads wait for the disk, not for a core
_CHUNK = 256  # files that a thread reads in one go
_HEAD = 4096  # bytes read at once; most headers are shorter
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # JPEG markers of a frame header
_LAST = (0xD9, 0xDA)  # JPEG: end of the image, start of the pixels


class ImageHeader(NamedTuple):
    """What the header of an image file says.

    Attributes:
        size: Height and width as stored.
        orientation: EXIF orientation, 1 (upright) to 8.
        is_16_bit: Whether its values have 16 bits.
    """

    size: tuple[int, int]
    orientation: int = 1
    is_16_bit: bool = False


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
    try:
        with open(image if part is None else part.file, "rb", buffering=0) as file:
            start, length = (0, None) if part is None else (part.start, part.length)
            return _parse_header(_reader_of(file, start, length), image)
    except (OSError, ValueError):
        return None


def _reader_of(file: IO[bytes], start: int, length: int | None) -> ReadBytes:
    file.seek(start)
    head = file.read(_HEAD if length is None else min(_HEAD, length))

    def read(at: int, count: int) -> bytes:
        if at + count <= len(head):
            return head[at : at + count]
        count = count if length is None else max(0, min(count, length - at))
        file.seek(start + at)
        return file.read(count)

    return read


def header_of(content: bytes) -> ImageHeader | None:
    """The header of an image whose bytes are in memory; `None` if they are not an image."""
    return _parse_header(lambda at, count: content[at : at + count], content)


def _parse_header(read: ReadBytes, source: str | bytes) -> ImageHeader | None:
    magic, size, is_16_bit = read(0, 33), None, False
    if magic[:2] == b"\xff\xd8":
        size = _jpeg_size(read)
    elif magic[:8] == PNG_MAGIC and magic[12:16] == b"IHDR" and len(magic) == 33:
        size = int.from_bytes(magic[20:24], "big"), int.from_bytes(magic[16:20], "big")
        is_16_bit = magic[24] == 16
    if size is None or 0 in size:
        try:
            with Image.open(_file_of(source)) as image:
                size, is_16_bit = (image.height, image.width), image.mode.startswith("I;16")
        except Exception:  # Pillow's plug-ins raise a dozen kinds on damaged headers, struct.error to KeyError
            return None
    tiff = find_exif(read)
    return ImageHeader(size, UPRIGHT if tiff is None else orientation_of_tiff(tiff), is_16_bit)


def _file_of(source: str | bytes) -> str | IO[bytes]:
    if isinstance(source, str) and byte_range(source) is None:
        return source
    return io.BytesIO(read_bytes(source) if isinstance(source, str) else source)


def _jpeg_size(read: ReadBytes) -> tuple[int, int] | None:
    at = 2
    while True:
        head = read(at, 9)
        if len(head) < 9 or head[0] != 0xFF or head[1] in _LAST:
            return None
        if head[1] in _FRAMES:
            return int.from_bytes(head[5:7], "big"), int.from_bytes(head[7:9], "big")
        at += 1 if head[1] == 0xFF else 2 + int.from_bytes(head[2:4], "big")
