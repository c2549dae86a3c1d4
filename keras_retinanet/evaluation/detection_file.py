"""Detections of a data set in a file that grows batch by batch, so that memory does not, and a kill loses nothing.

A header with the digest of what was detected with; then, for each image, a head (position, count, flags, checksum) and
one row per detection, all of 24 bytes. What a kill left half written is cut off when the file is opened.
"""

from __future__ import annotations

import contextlib
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from keras_retinanet.schema import Detections

with contextlib.suppress(ImportError):  # not on Windows, where two processes may write one file
    import fcntl

Array = NDArray[Any]
ROW = np.dtype([("box", "<f4", 4), ("score", "<f4"), ("label", "<i4")])
"""One detection."""
_HEAD = np.dtype([("mark", "<u4"), ("image", "<u4"), ("count", "<u4"), ("flags", "<u4"), ("check", "<u4"), ("", "<u4")])
_MARK = 0x7E7E1A9E
_MAGIC = b"keras_retinanet detections 1\n"
_START = 96  # bytes of the header, a multiple of a row


class StoredDetections(Sequence[Detections]):
    """Detections that are read from a `DetectionFile` when they are needed.

    Args:
        path: The file.
        image_ids: Id of each image.
        starts: `(I,)` int64. Byte at which the rows of each image begin.
        counts: `(I,)` int64. Detections of each image.
    """

    def __init__(self, path: Path, image_ids: Sequence[int | str], starts: Array, counts: Array) -> None:
        self._file = path.open("rb", buffering=0)
        self._image_ids, self._starts, self.counts = image_ids, starts, counts

    def __del__(self) -> None:
        self._file.close()

    def __len__(self) -> int:
        return len(self.counts)

    @overload
    def __getitem__(self, index: int) -> Detections: ...
    @overload
    def __getitem__(self, index: slice) -> list[Detections]: ...
    def __getitem__(self, index: int | slice) -> Detections | list[Detections]:
        if isinstance(index, slice):
            return [self[position] for position in range(*index.indices(len(self)))]
        position = range(len(self))[index]
        rows = self.rows([position])
        return {
            "image_id": self._image_ids[position],
            "boxes": np.ascontiguousarray(rows["box"]),
            "scores": np.ascontiguousarray(rows["score"]),
            "labels": np.ascontiguousarray(rows["label"]),
        }

    def __iter__(self) -> Iterator[Detections]:
        return (self[position] for position in range(len(self)))

    def rows(self, positions: Iterable[int]) -> Array:
        """The detections of some images, one after the other.

        Args:
            positions: The images.

        Returns:
            `(D,)` of type `ROW`.
        """
        parts = [b""]
        for position in positions:
            self._file.seek(self._starts[position])
            parts.append(self._file.read(self.counts[position] * ROW.itemsize))
        return np.frombuffer(b"".join(parts), ROW)


class DetectionFile:
    """The file while it grows.

    Args:
        path: The file; what it holds for the same `digest` is kept, another file is overwritten.
        digest: 32 hexadecimal digits that stand for everything that detections depend on.
        num_images: Images of the data set, `I`.

    Attributes:
        done: `(I,)` bool. Images whose detections are stored.
        flags: `(I,)` uint8. What was stored with them.
        flag_of: Returns the byte that is stored with an image. Defaults to 0.

    Raises:
        OSError: It cannot be written, or another process (`BlockingIOError`) is writing it.
    """

    def __init__(self, path: Path, digest: str, num_images: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.flag_of: Callable[[int], int] = lambda position: 0  # noqa: ARG005
        self._file = open(os.open(path, os.O_RDWR | os.O_CREAT, 0o644), "r+b", buffering=0)  # noqa: SIM115
        self.done, self.flags = np.zeros(num_images, bool), np.zeros(num_images, np.uint8)
        self._end = _START
        self._starts, self._counts = np.zeros(num_images, np.int64), np.zeros(num_images, np.int64)
        try:
            if "fcntl" in globals():
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._recover(_MAGIC + digest.encode() + b"\n")
        except BaseException:
            self._file.close()
            raise

    def add(self, found: Iterable[tuple[int, Detections]]) -> None:
        """Stores the detections of a batch in one write.

        Args:
            found: Position and detections of each image.
        """
        parts, places, end = [], [], self._end
        for position, entry in found:
            flag = self.flag_of(position)
            rows = np.empty(len(entry["scores"]), ROW)
            rows["box"] = np.reshape(entry["boxes"], (-1, 4))  # no detections may be any empty list
            rows["score"], rows["label"] = entry["scores"], entry["labels"]
            parts += [_head(position, rows.tobytes(), flag), rows.tobytes()]
            places.append((position, end + _HEAD.itemsize, len(rows), flag))
            end += _HEAD.itemsize + rows.nbytes
        _write_all(self._file, b"".join(parts))
        self._end = end
        for place in places:
            self._note(*place)

    def detections(self, image_ids: Sequence[int | str]) -> StoredDetections:
        """What is stored; readable even after the file is removed.

        Args:
            image_ids: Id of each image.

        Returns:
            Detections of all images; none of those that are not `done`.
        """
        return StoredDetections(self.path, image_ids, self._starts, self._counts)

    def clear(self) -> None:
        """Forgets what is stored."""
        self._file.truncate(_START)
        self._file.seek(_START)
        self._end = _START
        self.done[:], self.flags[:], self._counts[:] = False, 0, 0

    def close(self) -> None:
        """Closes the file, which stays."""
        self._file.close()

    def remove(self) -> None:
        """Closes and deletes the file."""
        self.close()
        with contextlib.suppress(OSError):
            self.path.unlink()

    def _note(self, position: int, start: int, count: int, flag: int) -> None:
        self.done[position], self.flags[position] = True, flag
        self._starts[position], self._counts[position] = start, count

    def _recover(self, header: bytes) -> None:
        """Reads what an earlier process stored, and cuts off what is not whole."""
        header = header.ljust(_START)
        if self._file.read(_START) != header:
            self._file.truncate(0)
            self._file.seek(0)
            _write_all(self._file, header)
        with open(self.path, "rb", buffering=1 << 20) as content:
            content.seek(_START)
            while (found := _read_image(content, len(self.done))) is not None:
                position, count, flag = found
                self._note(position, self._end + _HEAD.itemsize, count, flag)
                self._end += _HEAD.itemsize + count * ROW.itemsize
        self._file.truncate(self._end)
        self._file.seek(self._end)


def _head(position: int, rows: bytes, flag: int) -> bytes:
    check = zlib.crc32(rows, zlib.crc32(np.array([position, len(rows), flag], "<u4").tobytes()))
    return np.array([(_MARK, position, len(rows) // ROW.itemsize, flag, check, 0)], _HEAD).tobytes()


def _read_image(content: Any, num_images: int) -> tuple[int, int, int] | None:
    """Position, count and flag of the next image; `None` at the end, or where it is damaged."""
    head = content.read(_HEAD.itemsize)
    if len(head) < _HEAD.itemsize:
        return None
    _, position, count, flag, _, _ = np.frombuffer(head, "<u4").tolist()
    rows = content.read(count * ROW.itemsize) if position < num_images else b""
    return (position, count, flag) if head == _head(position, rows, flag) else None


def _write_all(file: Any, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[file.write(view) :]
