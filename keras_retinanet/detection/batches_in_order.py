"""Detects in batches of images in threads, and returns the detections in the order of the images."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from keras_retinanet.data.errors import DataError
from keras_retinanet.data.large_images import LargeImage
from keras_retinanet.data.preparation import ImageFit
from keras_retinanet.schema import DetectedImage

_IN_FLIGHT = 2  # batches: one in the network, one being resized
_MAX_SHOWN = 25_000_000  # pixels of the picture with boxes of a large image


@dataclass
class PendingImage:
    """A decoded image that waits for its batch.

    Attributes:
        position: Its place among the images of the call.
        name: Its name.
        pixels: `(H, W, 3)` uint8 RGB, or a `LargeImage`.
        fit: Its sizes.
        is_cut_off: Whether it is a JPEG without its last bytes.
    """

    position: int
    name: str
    pixels: Any
    fit: ImageFit
    is_cut_off: bool


class _Failure(NamedTuple):
    """An image that cannot be read."""

    name: str
    error: DataError


class BatchesInOrder:
    """Detects in batches of images in threads, and returns the detections in the order of the images.

    Of two batches, one is in the network while the other is resized; see `Runtime`.

    Args:
        detect: Detects in one batch.
        keeps_pixels: Return the pixels of each image.
    """

    def __init__(self, detect: Callable[[list[PendingImage]], list[DetectedImage]], *, keeps_pixels: bool) -> None:
        self._detect, self._keeps_pixels = detect, keeps_pixels
        self._pool = ThreadPoolExecutor(_IN_FLIGHT, thread_name_prefix="detect")
        self._in_flight: deque[tuple[list[PendingImage], Future[list[DetectedImage]]]] = deque()
        self._done: dict[int, DetectedImage | _Failure] = {}
        self._next = 0

    def __enter__(self) -> BatchesInOrder:
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def submit(self, group: list[PendingImage]) -> None:
        """Starts a batch."""
        self._in_flight.append((group, self._pool.submit(self._detect, group)))

    def fail(self, position: int, name: str, error: DataError) -> None:
        """Records that an image cannot be read."""
        self._done[position] = _Failure(name, error)

    def take(self, is_lenient: bool, *, most_in_flight: int = _IN_FLIGHT - 1) -> Iterator[DetectedImage]:
        """Yields the images whose turn it is, and waits until at most `most_in_flight` batches are left.

        Args:
            is_lenient: Yield an entry for an image that cannot be read, instead of raising its error.
            most_in_flight: Maximum number of batches that keep running.
        """
        while True:
            if self._next in self._done:
                found = self._done.pop(self._next)
                self._next += 1
                if isinstance(found, DetectedImage):
                    yield found
                elif is_lenient:
                    yield _unread(*found)
                else:
                    raise found.error
            elif len(self._in_flight) > most_in_flight or (self._in_flight and self._in_flight[0][1].done()):
                self._finish(*self._in_flight.popleft())
            else:
                return

    def _finish(self, group: list[PendingImage], batch: Future[list[DetectedImage]]) -> None:
        try:
            for one, found in zip(group, batch.result(), strict=True):
                pixels = _shown(one.pixels) if self._keeps_pixels else None
                self._done[one.position] = dataclasses.replace(found, pixels=pixels)
        except DataError as error:  # the regions of a large image are decoded with it, and it is alone in its group
            self.fail(group[0].position, group[0].name, error)


def _shown(pixels: Any) -> Any:
    """The pixels of an image as they are drawn: a large one is reduced."""
    return pixels.shrunk(pixels.factor_for(_MAX_SHOWN)) if isinstance(pixels, LargeImage) else pixels


def _unread(name: str, error: DataError) -> DetectedImage:
    nothing = np.zeros(0, np.float32)
    return DetectedImage(name, None, nothing.reshape(0, 4), nothing, np.zeros(0, np.int32), (), error=str(error))
