"""EXIF orientation: found in the header of an image file, and applied to its pixels.

`exif_graph` does the same inside a TensorFlow graph; tests hold the two equal on the same bytes.

Reference: CIPA DC-008 (Exif 2.32), §4.6.4, tag 0x0112; PNG 3rd edition, §11.3.4.2 (`eXIf`); the WebP container, `EXIF`.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

UPRIGHT = 1
"""The orientation of pictures that are stored as they are shown."""

FLIPS = (
    (False, False), (False, False), (False, True), (True, True), (True, False),
    (False, False), (False, True), (True, True), (True, False),
)  # fmt: skip
"""Whether to reverse rows and columns, by orientation; from 5 on, after rows and columns were exchanged."""

FIRST_TRANSPOSED = 5
"""Orientations from this one on exchange height and width."""

ORIENTATION_TAG = 0x0112
SHORT = 3
"""Code of 16-bit integers in TIFF, the only type that the tag may have."""

EXIF_MARK = b"Exif\0\0"
JPEG_WINDOW, PNG_WINDOW = 2**16, 2**14
"""The EXIF data of a file begin within so many bytes, which bounds the search."""
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
FIRST_PNG_CHUNK = 8
FIRST_WEBP_CHUNK = 12
HAS_WEBP_EXIF = 8  # bit of the flags of an extended WebP

_BYTE_ORDERS: dict[bytes, Any] = {b"II*\0": "little", b"MM\0*": "big"}

ReadBytes = Callable[[int, int], bytes]
"""`(position, count)` → the bytes there, fewer at the end of the file."""


@dataclass(frozen=True)
class Part:
    """A part of a file, read from positions within it.

    Attributes:
        read: Reads the file.
        start: Position of the part.
        length: Its number of bytes.
    """

    read: ReadBytes
    start: int
    length: int

    def __call__(self, at: int, count: int) -> bytes:
        """The bytes at a position within the part, fewer at its end."""
        return self.read(self.start + at, max(0, min(count, self.length - at)))


def turn(image: Any, orientation: int) -> Any:
    """Turn the pixels of a file upright.

    Args:
        image: `(H, W, …)` array as stored.
        orientation: 1 to 8.

    Returns:
        `(H, W, …)` array, or `(W, H, …)` for orientations from 5 on.
    """
    if orientation <= UPRIGHT:
        return image
    if orientation >= FIRST_TRANSPOSED:
        image = image.swapaxes(0, 1)
    rows, columns = (-1 if is_reversed else 1 for is_reversed in FLIPS[orientation])
    return np.ascontiguousarray(image[::rows, ::columns])


def turned_size(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    """Height and width of a picture that is turned upright."""
    return size if orientation < FIRST_TRANSPOSED else (size[1], size[0])


def read_orientation(content: bytes) -> int:
    """The EXIF orientation in the header of an image file.

    Args:
        content: The bytes of a JPEG (also MPO), PNG or WebP file. `pillow_files.orientation_of_file` reads TIFF and
            AVIF, too; HEIC are turned by their decoder.

    Returns:
        1 to 8; 1 if there is none, or the EXIF data are damaged.
    """
    tiff = find_exif(lambda at, count: content[at : at + count])
    return UPRIGHT if tiff is None else orientation_of_tiff(tiff)


def find_exif(read: ReadBytes) -> Part | None:
    """Find the EXIF data of an image file.

    Args:
        read: Reads the file.

    Returns:
        The TIFF structure inside; `None` if there is none. In a JPEG it is found among the leading application
        and comment segments, in a PNG before the pixels.
    """
    magic = read(0, 12)
    if magic[:2] == b"\xff\xd8":
        return _find_in_jpeg(read)
    if magic[:8] == PNG_MAGIC:
        return _find_in_chunks(read, FIRST_PNG_CHUNK, b"eXIf", (b"IDAT", b"IEND"), is_png=True)
    is_extended_webp = magic[:4] == b"RIFF" and magic[8:] == b"WEBP" and read(12, 4) == b"VP8X"
    if is_extended_webp and int.from_bytes(read(20, 1)) & HAS_WEBP_EXIF:
        return _find_in_chunks(read, FIRST_WEBP_CHUNK, b"EXIF", (), is_png=False)
    return None


def _find_in_jpeg(read: ReadBytes) -> Part | None:
    at = 2
    while at + 10 <= JPEG_WINDOW:
        head = read(at, 10)
        if len(head) < 4 or head[0] != 0xFF or not (0xE0 <= head[1] <= 0xEF or head[1] in (0xFE, 0xFF)):
            return None
        length = int.from_bytes(head[2:4], "big")
        if head[1] == 0xE1 and head[4:] == EXIF_MARK:
            return Part(read, at + 10, length - 8)
        at += 1 if head[1] == 0xFF else 2 + length
    return None


def _find_in_chunks(read: ReadBytes, at: int, wanted: bytes, last: tuple[bytes, ...], *, is_png: bool) -> Part | None:
    """Find a chunk of PNG (length, name, data, checksum) or RIFF (name, length, data, a byte if the length is odd)."""
    while len(head := read(at, 8)) == 8 and (at + 8 <= PNG_WINDOW or not is_png):
        name, number = (head[4:], head[:4]) if is_png else (head[:4], head[4:])
        length = int.from_bytes(number, "big" if is_png else "little")
        if name == wanted:
            mark = len(EXIF_MARK) if read(at + 8, 6) == EXIF_MARK else 0  # not part of the formats, but written
            return Part(read, at + 8 + mark, length - mark)
        if name in last:
            return None
        at += length + 12 if is_png else length + length % 2 + 8
    return None


def orientation_of_exif(data: bytes | None) -> int:
    """The orientation in EXIF data as Pillow keeps them in `image.info["exif"]`, 1 if there is none."""
    tiff = (data or b"").removeprefix(EXIF_MARK)
    return orientation_of_tiff(lambda at, count: tiff[at : at + count])


def orientation_of_tiff(read: ReadBytes) -> int:
    """The orientation in the first directory of a TIFF structure, 1 if there is none or it is damaged."""
    found = _find_entry(read)
    return UPRIGHT if found is None else found[1]


def _find_entry(read: ReadBytes) -> tuple[int, int, Any] | None:
    """Position and value of the orientation in the first directory, and the byte order; `None` without a sound one."""
    order = _BYTE_ORDERS.get(read(0, 4))
    if order is None:
        return None
    start = int.from_bytes(read(4, 4), order)
    entries = read(start + 2, 12 * int.from_bytes(read(start, 2), order))
    for at in range(0, len(entries) - 11, 12):
        entry = entries[at : at + 12]
        if int.from_bytes(entry[:2], order) == ORIENTATION_TAG:
            value = int.from_bytes(entry[8:10], order)
            is_sound = int.from_bytes(entry[2:4], order) == SHORT and value in range(1, len(FLIPS))
            return (start + 2 + at + 8, value, order) if is_sound else None
    return None


def without_orientation(content: bytes) -> bytes:
    """The same image file with the orientation 1, which leaves its pixels as they are stored.

    Args:
        content: The bytes of the file.

    Returns:
        The bytes with two of them changed, and the checksum in a PNG.
    """
    tiff = find_exif(lambda at, count: content[at : at + count])
    found = None if tiff is None else _find_entry(tiff)
    if tiff is None or found is None:
        return content
    position, _, order = found
    at, end = tiff.start + position, tiff.start + tiff.length
    changed = content[:at] + UPRIGHT.to_bytes(2, order) + content[at + 2 :]
    if content[:8] != PNG_MAGIC:
        return changed
    begin = changed.rindex(b"eXIf", 0, tiff.start)
    return changed[:end] + zlib.crc32(changed[begin:end]).to_bytes(4, "big") + changed[end + 4 :]
