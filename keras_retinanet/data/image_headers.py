"""Reads size and orientation of JPEG and PNG files from their first bytes, several times as fast as Pillow opens them.

References: ITU-T T.81 (JPEG), annex B; PNG specification, 3rd edition, §11.2.1.
"""

from __future__ import annotations

import zlib
from typing import BinaryIO, NamedTuple

from keras_retinanet.data.exif import UPRIGHT, ReadBytes, find_exif, orientation_of_tiff

_PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
_FRAMES = frozenset([*range(0xC0, 0xD0)]) - {0xC4, 0xC8, 0xCC}  # DHT, JPG and DAC are not frames
_ALONE = frozenset([0x01, *range(0xD0, 0xD8)])  # markers without a length
_SCAN = 0xDA
_MAX_SEGMENTS = 1000
_HEAD = 4096  # bytes read at once; most headers are shorter


class ImageHeader(NamedTuple):
    """What the header of an image file says.

    Attributes:
        size: Height and width as stored.
        orientation: EXIF orientation, 1 (upright) to 8.
        is_16_bit: Whether its values have 16 bits.
    """

    size: tuple[int, int]
    orientation: int = UPRIGHT
    is_16_bit: bool = False


def size_in_header(path: str) -> tuple[int, int] | None:
    """Read the size of an image file.

    Args:
        path: Any file, which need not exist.

    Returns:
        `(height, width)` as stored; `None` if this is not a sound JPEG or PNG header.
    """
    try:
        with open(path, "rb", buffering=0) as file:
            header = parse_header(reader_of(file))
    except (OSError, ValueError):
        return None
    return None if header is None else header.size


def reader_of(file: BinaryIO, start: int = 0, length: int = 2**62) -> ReadBytes:
    """A function that reads parts of an open file.

    Args:
        file: The file.
        start: Position that counts as 0. Defaults to the start of the file.
        length: Number of bytes from there that may be read. Defaults to all.

    Returns:
        The function; it keeps the first bytes.
    """
    file.seek(start)
    head = file.read(min(_HEAD, length))

    def read(at: int, count: int) -> bytes:
        if at + count <= len(head):
            return head[at : at + count]
        file.seek(start + at)
        return file.read(max(0, min(count, length - at)))

    return read


def parse_header(read: ReadBytes) -> ImageHeader | None:
    """Read the header of a JPEG or PNG.

    Args:
        read: Reads the file.

    Returns:
        The header; `None` for other formats and for damaged files.
    """
    head = read(0, 33)
    if head.startswith(_PNG):
        size, is_16_bit = _size_of_png(head), head[24:25] == b"\x10"
    else:
        size, is_16_bit = _size_of_jpeg(read) if head.startswith(b"\xff\xd8\xff") else None, False
    return None if size is None else ImageHeader(size, orientation_in_header(read), is_16_bit)


def orientation_in_header(read: ReadBytes) -> int:
    """The EXIF orientation of an image file, 1 if there is none."""
    tiff = find_exif(read)
    return UPRIGHT if tiff is None else orientation_of_tiff(tiff)


def _size_of_png(head: bytes) -> tuple[int, int] | None:
    width, height = int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")
    is_sound = zlib.crc32(head[12:29]) == int.from_bytes(head[29:33], "big") and width and height
    return (height, width) if is_sound else None


def _size_of_jpeg(read: ReadBytes) -> tuple[int, int] | None:
    """Follow the segments up to the first scan."""
    size, position = None, 2
    for _ in range(_MAX_SEGMENTS):
        head = read(position, 9)
        if len(head) < 4 or head[0] != 0xFF:
            return None
        marker = head[1]
        if marker == 0xFF or marker in _ALONE:
            position += 1 if marker == 0xFF else 2
            continue
        if marker == _SCAN:
            return size
        if marker in _FRAMES and size is None:
            size = int.from_bytes(head[5:7], "big"), int.from_bytes(head[7:9], "big")
            if len(head) < 9 or not all(size):
                return None
        position += 2 + int.from_bytes(head[2:4], "big")
    return None
