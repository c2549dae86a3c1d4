"""Decodes a TIFF file a few strips or rows of tiles at a time.

They are copied into a small TIFF of their own, with the tags that decide about pixels, which the usual decoder reads.

Reference: TIFF 6.0 (Adobe, 1992), §2 and §15.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from keras_retinanet.data.decode_file import decode_file
from keras_retinanet.data.pillow_files import opened
from keras_retinanet.data.sixteen_bits import ALL_BITS

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _SAMPLES, _PLANES = 256, 257, 258, 259, 277, 284
_STRIPS = (273, 279, 278)  # offsets, byte counts, rows per strip
_TILES = (324, 325, 323)  # offsets, byte counts, rows per tile
_TILE_WIDTH = 322
_COPIED = (
    _WIDTH,
    _BITS,
    _COMPRESSION,
    262,
    266,
    _SAMPLES,
    _PLANES,
    317,
    320,
    322,
    323,
    338,
    339,
    347,
    529,
    530,
    531,
    532,
)
_FORMATS = {3: "H", 4: "L", 5: "L"}  # SHORT, LONG, RATIONAL; all others are written as bytes
_UNCOMPRESSED, _OLD_JPEG = 1, 6
_VIRTUAL_ROWS = 64


def find_tiff_rows(content: bytes, bit_depth: int = ALL_BITS) -> Callable[[int, int], Any] | None:
    """A function that decodes rows of a TIFF file.

    Args:
        content: The bytes of the file.
        bit_depth: Bits of the values in 16-bit files. Defaults to 16.

    Returns:
        Function from first row and row after the last to `(rows, W, 3)` uint8 RGB as stored; `None` if this is not a
        TIFF, or one in a single compressed strip, in separate planes, or with JPEG as of TIFF 6.0.
    """
    if content[:2] not in (b"II", b"MM"):
        return None
    try:
        with opened(io.BytesIO(content)) as image:
            tags: Any = getattr(image, "tag_v2", {})
            known = {tag: (tags.tagtype[tag], _values(tags[tag])) for tag in (*_COPIED, _HEIGHT) if tag in tags}
            kind = _TILES if _TILES[0] in tags else _STRIPS
            parts = list(zip(_values(tags[kind[0]]), _values(tags[kind[1]]), strict=True))
            rows = min(int(tags.get(kind[2], tags[_HEIGHT])), int(tags[_HEIGHT]))
    except Exception:  # Pillow's plug-ins raise a dozen kinds on damaged files
        return None
    per_row = -(-known[_WIDTH][1][0] // known[_TILE_WIDTH][1][0]) if kind is _TILES else 1
    compression = known.get(_COMPRESSION, (3, [_UNCOMPRESSED]))[1][0]
    if known.get(_PLANES, (3, [1]))[1][0] != 1 or compression == _OLD_JPEG:
        return None
    if len(parts) == per_row and kind is _STRIPS:
        if compression != _UNCOMPRESSED:
            return None
        parts, rows = _virtual_strips(known, int(parts[0][0]))
    return _RowsOfTiff(content, known, kind, parts, rows, per_row, bit_depth).read


def _values(value: Any) -> list[Any]:
    if isinstance(value, (bytes, str)):
        return list(value.encode("latin-1") if isinstance(value, str) else value)
    return list(value) if isinstance(value, tuple) else [value]


def _virtual_strips(known: dict[int, tuple[int, list[Any]]], start: int) -> tuple[list[tuple[int, int]], int]:
    """One uncompressed strip as strips of a few rows."""
    samples, bits = known.get(_SAMPLES, (3, [1]))[1][0], known.get(_BITS, (3, [1]))[1]
    pixel_bits = sum(bits) if len(bits) > 1 else bits[0] * samples
    row_bytes, height = (known[_WIDTH][1][0] * pixel_bits + 7) // 8, known[_HEIGHT][1][0]
    tops = range(0, height, _VIRTUAL_ROWS)
    return [(start + top * row_bytes, min(_VIRTUAL_ROWS, height - top) * row_bytes) for top in tops], _VIRTUAL_ROWS


class _RowsOfTiff:
    def __init__(
        self,
        content: bytes,
        known: dict[int, tuple[int, list[Any]]],
        kind: tuple[int, int, int],
        parts: Sequence[tuple[int, int]],
        rows: int,
        per_row: int,
        bit_depth: int,
    ) -> None:
        self._bit_depth = bit_depth
        self._content, self._known, self._kind, self._parts = content, known, kind, parts
        self._rows, self._per_row, self._height = rows, per_row, known[_HEIGHT][1][0]

    def read(self, top: int, bottom: int) -> Any:
        """Rows `top` to `bottom` as `(bottom - top, W, 3)` uint8."""
        first, last = top // self._rows, -(-bottom // self._rows)
        start, end = first * self._rows, min(last * self._rows, self._height)
        decoded = decode_file(self._small_tiff(first, last, end - start), self._bit_depth)
        if decoded.reason:
            raise ValueError(f"rows {top} to {bottom} of a TIFF: {decoded.reason}")
        return decoded.pixels[top - start : bottom - start]

    def _small_tiff(self, first: int, last: int, height: int) -> bytes:
        order = "<" if self._content[:2] == b"II" else ">"
        parts = self._parts[first * self._per_row : last * self._per_row]
        data, offsets, position = [], [], 8
        for start, length in parts:
            data.append(self._content[start : start + length])
            offsets.append(position)
            position += length
        position += position % 2
        entries = {tag: entry for tag, entry in self._known.items() if tag != _HEIGHT}
        entries |= {
            _HEIGHT: (4, [height]),
            self._kind[0]: (4, offsets),
            self._kind[1]: (4, [length for _, length in parts]),
            self._kind[2]: (4, [self._rows]),
        }
        head = self._content[:2] + struct.pack(f"{order}HL", 42, position)
        return (head + b"".join(data)).ljust(position, b"\0") + _directory(entries, position, order)


def _directory(entries: dict[int, tuple[int, list[Any]]], position: int, order: str) -> bytes:
    """A directory that begins at `position`, and the values that do not fit into it."""
    after = position + 2 + 12 * len(entries) + 4
    table, rest = struct.pack(f"{order}H", len(entries)), b""
    for tag, (kind, values) in sorted(entries.items()):
        flat = [part for value in values for part in _parts_of(value, kind)]
        packed = struct.pack(f"{order}{len(flat)}{_FORMATS.get(kind, 'B')}", *flat)
        count = len(values)
        if len(packed) > 4:
            place = struct.pack(f"{order}L", after + len(rest))
            rest += packed + b"\0" * (len(packed) % 2)
        else:
            place = packed.ljust(4, b"\0")
        table += struct.pack(f"{order}HHL", tag, kind, count) + place
    return table + bytes(4) + rest


def _parts_of(value: Any, kind: int) -> list[int]:
    if kind != 5:
        return [int(value)]
    exact = Fraction(float(value)).limit_denominator(2**16)
    return [exact.numerator, exact.denominator]
