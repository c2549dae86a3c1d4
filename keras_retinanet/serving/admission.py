"""Which requests are admitted: those that can be answered in time."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator

_WEIGHT = 0.05  # of an image in the moving average of seconds per image


class BusyError(Exception):
    """The server has too much to do; the client may repeat the request.

    Args:
        message: The problem.
        retry_after: Seconds after which there should be room.
    """

    def __init__(self, message: str, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class TooManyError(ValueError):
    """The request has more images than can be answered in time, or than the queue holds."""


class Admission:
    """Counts the images that wait, and refuses requests that would not be answered within a limit.

    The time of a request is estimated as the images ahead of it and its own, times the seconds that an image takes: a
    moving average over the latest batches. While images wait for the next batch, it is the time from the end of one
    batch to the end of the next, which includes decoding. Otherwise it is the time in the network.

    Args:
        limit: Seconds from arrival to result.
        max_images: Maximum number of images waiting or in progress.
        clock: Returns the time in seconds. Defaults to `time.monotonic`.
    """

    def __init__(self, limit: float, max_images: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit, self._max_images, self._clock = limit, max_images, clock
        self._seconds: float | None = None  # per image
        self._shortest = math.inf
        self._last_end: float | None = None
        self.waiting = 0

    @contextlib.contextmanager
    def admitted(self, images: int) -> Iterator[None]:
        """Counts the images of a request for the duration of the `with`.

        Args:
            images: Number of images.

        Raises:
            BusyError: The request would not be answered in time now.
            TooManyError: It would not even if the server had nothing else to do.
        """
        self._check(images)
        self.waiting += images
        try:
            yield
        finally:
            self.waiting -= images

    def expected_seconds(self, images: int) -> float:
        """Estimates the time of a request that arrives now.

        Args:
            images: Number of images.

        Returns:
            Seconds; 0 before the first batch.
        """
        return (self.waiting + images) * (self._seconds or 0.0)

    def note_batch(self, images: int, seconds: float) -> None:
        """Learns from a batch, at its end.

        Args:
            images: Number of images in the batch.
            seconds: Time in the network.
        """
        now = self._clock()
        each = (seconds if self._last_end is None else now - self._last_end) / images
        share = 1 - (1 - _WEIGHT) ** images
        self._seconds = each if self._seconds is None else self._seconds + share * (each - self._seconds)
        self._shortest = min(self._shortest, each)
        self._last_end = now if self.waiting > 2 * images else None  # else the next batch may have to wait for images

    def end_warm_up(self) -> None:
        """Forgets the slow first batches of each shape."""
        self._seconds, self._last_end = self._shortest, None

    def _check(self, images: int) -> None:
        if images > self._max_images:
            raise TooManyError(f"The request has {images} images; send at most {self._max_images} at once.")
        if images > 1 and self._limit < images * self._shortest < math.inf:
            most = max(1, int(self._limit / self._shortest))
            raise TooManyError(
                f"The request has {images} images, which take longer than {self._limit:g} s; send at most {most}."
            )
        if self.waiting + images > self._max_images:
            raise BusyError(f"{self.waiting} images are waiting already; try again in a moment.")
        if self.waiting and (expected := self.expected_seconds(images)) > self._limit:
            raise BusyError(
                f"{self.waiting} images are waiting already, and a result would take {expected:.1f} s; "
                "try again in a moment.",
                max(1, math.ceil(expected - self._limit)),
            )
