"""Decodes a PNG file a few rows at a time.

Rows are unpacked from the stream and written as a small PNG of their own, which the usual decoder reads; so every
colour type has the same pixels as the whole file.

Reference: PNG specification, 3rd edition, §9 (filters) and §11.2.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

from keras_retinanet.data.decode_file import decode_file
from keras_retinanet.data.sixteen_bits import ALL_BITS

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
"""Colour type of 8 bits that has so many bytes per pixel: filters look that far to the left."""
_BLOCK = 2**16


class PngRows:
    """The rows of a PNG file that is not interlaced, from top to bottom; going back starts again.

    Args:
        content: The bytes of the file.
        header: Its IHDR.
        palette: Chunks that decide about colours, as they are in the file.
        parts: Start and length of each IDAT.
        bit_depth: Bits of the values in 16-bit files. Defaults to 16.
    """

    def __init__(
        self,
        content: bytes,
        header: bytes,
        palette: bytes,
        parts: list[tuple[int, int]],
        bit_depth: int = ALL_BITS,
    ) -> None:
        self._content, self._palette, self._parts, self._bit_depth = content, palette, parts, bit_depth
        self._width, _, self._bits, self._type = struct.unpack(">IIBB", header[:10])
        per_pixel = self._bits * _CHANNELS[self._type]
        self._row_bytes, self._pixel_bytes = (self._width * per_pixel + 7) // 8, max(1, per_pixel // 8)
        self._start()

    @classmethod
    def open(cls, content: bytes, bit_depth: int = ALL_BITS) -> PngRows | None:
        """The rows of a file.

        Args:
            content: Its bytes.
            bit_depth: Bits of the values in 16-bit files. Defaults to 16.

        Returns:
            The rows; `None` if it is not a PNG, interlaced or damaged.
        """
        if not content.startswith(_SIGNATURE):
            return None
        header, palette, parts, position = b"", b"", [], len(_SIGNATURE)
        while position + 12 <= len(content):
            length, name = struct.unpack(">I4s", content[position : position + 8])
            if name == b"IHDR":
                header = content[position + 8 : position + 8 + length]
            elif name in (b"PLTE", b"tRNS"):
                palette += content[position : position + 12 + length]
            elif name == b"IDAT":
                parts.append((position + 8, length))
            position += 12 + length
        is_sound = len(header) == 13 and parts and header[9] in _CHANNELS and header[12] == 0
        return cls(content, header, palette, parts, bit_depth) if is_sound else None

    def read(self, top: int, bottom: int) -> Any:
        """Decode rows.

        Args:
            top: First row.
            bottom: Row after the last.

        Returns:
            `(bottom - top, W, 3)` uint8 RGB.
        """
        if top < self._row:
            self._start()
        while self._row < top:
            self._next_rows(min(256, top - self._row))
        rows = self._next_rows(bottom - top)
        plain = np.concatenate([np.zeros((len(rows), 1), np.uint8), rows], axis=1)  # filter 0
        small = self._as_png(self._width, self._bits, self._type, plain, self._palette)
        decoded = decode_file(small, self._bit_depth)
        if decoded.reason:
            raise ValueError(f"rows {top} to {bottom} of a PNG: {decoded.reason}")
        return decoded.pixels

    def _start(self) -> None:
        self._row, self._stream, self._waiting = 0, self._inflate(), b""
        self._above = np.zeros(self._row_bytes, np.uint8)

    def _inflate(self) -> Iterator[bytes]:
        unpacker = zlib.decompressobj()
        for start, length in self._parts:
            for position in range(start, start + length, _BLOCK):
                yield unpacker.decompress(self._content[position : min(position + _BLOCK, start + length)])
        yield unpacker.flush()

    def _next_rows(self, count: int) -> Any:
        """Bytes of the next rows without their filters: `(count, row bytes)` uint8."""
        wanted, parts = count * (self._row_bytes + 1), [self._waiting]
        have = len(self._waiting)
        while have < wanted:
            part = next(self._stream, None)
            if part is None:
                raise ValueError("the PNG file ends too early")
            parts.append(part)
            have += len(part)
        data = b"".join(parts)
        filtered, self._waiting = np.frombuffer(data[:wanted], np.uint8).reshape(count, -1), data[wanted:]
        rows = self._without_filters(filtered)
        self._row, self._above = self._row + count, rows[-1]
        return rows

    def _without_filters(self, filtered: Any) -> Any:
        """A PNG of as many bytes per pixel, whose first row is the last one before these."""
        above = np.concatenate([[0], self._above])[None].astype(np.uint8)
        rows, pixel = np.concatenate([above, filtered]), self._pixel_bytes
        width = self._row_bytes // pixel
        if pixel in _TYPES:
            with Image.open(io.BytesIO(self._as_png(width, 8, _TYPES[pixel], rows))) as image:
                return np.frombuffer(image.tobytes(), np.uint8).reshape(len(rows), -1)[1:]
        import tensorflow as tf  # Pillow has no 16-bit colours

        kind = {6: 2, 8: 6}[pixel]
        values = tf.io.decode_png(self._as_png(width, 16, kind, rows), channels=pixel // 2, dtype=tf.uint16).numpy()
        return values.astype(">u2").view(np.uint8).reshape(len(rows), -1)[1:]

    @staticmethod
    def _as_png(width: int, bits: int, kind: int, rows: Any, palette: bytes = b"") -> bytes:
        header = struct.pack(">IIBBBBB", width, len(rows), bits, kind, 0, 0, 0)
        data = zlib.compress(np.ascontiguousarray(rows).tobytes(), 0)
        return _SIGNATURE + _chunk(b"IHDR", header) + palette + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
