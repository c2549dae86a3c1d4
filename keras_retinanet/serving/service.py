"""Detects in the files of requests: limits, checks, decoding, batches."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np

from keras_retinanet.config import ServeConfig
from keras_retinanet.data.batch_shapes import common_image_sizes
from keras_retinanet.runtimes import Runtime
from keras_retinanet.schema import Detections
from keras_retinanet.serving.batching import Batcher
from keras_retinanet.serving.images import BadImageError, checked_size, decoded

T = TypeVar("T")


class BusyError(Exception):
    """The queue is full; the client may repeat the request."""


class TooManyError(ValueError):
    """The request has more images than the queue holds."""


class ImageError(ValueError):
    """One image of a request is refused.

    Args:
        index: Position of the image in the request.
        reason: The problem and the fix.
    """

    def __init__(self, index: int, reason: str) -> None:
        super().__init__(f"image {index} of the request {reason}")
        self.index = index


class Room:
    """A limited number of units, which tasks acquire in the order of their arrival.

    Args:
        size: Number of units.
    """

    def __init__(self, size: int) -> None:
        self._free = size
        self._turn = asyncio.Lock()
        self._given_back = asyncio.Event()

    @contextlib.asynccontextmanager
    async def taken(self, units: int) -> AsyncIterator[None]:
        """Acquires units for the duration of the `with`, waiting until they are free.

        Args:
            units: Number of units, at most `size`.
        """
        async with self._turn:
            while units > self._free:
                self._given_back.clear()
                await self._given_back.wait()
            self._free -= units
        try:
            yield
        finally:
            self._free += units
            self._given_back.set()


class DetectionService:
    """Detects in untrusted image files.

    The headers of all images of a request are checked before any is decoded. Images are decoded one by one, in a few
    threads and within a limit: decoded images take at most twice the memory of the largest allowed image, in addition
    to the files themselves. Only decoded images enter a batch.

    Args:
        runtime: Detects the objects.
        config: The limits.
    """

    def __init__(self, runtime: Runtime, config: ServeConfig) -> None:
        self.runtime, self.config = runtime, config
        self._rule = dataclasses.replace(runtime.resize, exif=config.exif or runtime.resize.exif)
        self.is_ready = False
        self._batcher = Batcher(runtime, config.max_batch, config.max_wait_ms / 1000)
        self._decoders = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="decode")
        self._pixels = Room(2 * config.max_pixels)
        self._accepted = 0

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Runs the batcher for the duration of the `with`."""
        batches = asyncio.create_task(self._batcher.run())
        try:
            yield
        finally:
            batches.cancel()
            await asyncio.gather(batches, return_exceptions=True)
            self._batcher.close()
            self._decoders.shutdown(wait=True, cancel_futures=True)

    async def warm_up(self) -> None:
        """Detects in grey images of every common batch shape, in batches of 1 and `max_batch`; then it is ready."""
        sizes = common_image_sizes(self.runtime.resize)
        for height, width in sizes[:1] if self.runtime.image_size else sizes:
            grey, fit = np.full((height, width, 3), 127, np.uint8), self.runtime.fit(height, width)
            for count in sorted({1, self.config.max_batch}):
                await self._batcher.detect_at_once([grey] * count, [fit] * count)
        self.is_ready = True

    async def detect(self, files: Sequence[bytes]) -> list[Detections]:
        """Detects in the images of one request.

        Args:
            files: The bytes of each file.

        Returns:
            Detections of each image, in its own pixels.

        Raises:
            BusyError: The queue is full.
            TooManyError: There are more images than the queue holds.
            ImageError: An image is refused.
        """
        limit = self.config.max_queue
        if len(files) > limit:
            raise TooManyError(f"The request has {len(files)} images; send at most {limit} at once.")
        if self._accepted + len(files) > limit:
            raise BusyError(f"{self._accepted} images are waiting already; try again in a moment.")
        self._accepted += len(files)
        try:
            sizes = await self._in_thread(self._check, files)
            one_by_one = (self._detect(*given) for given in zip(range(len(files)), files, sizes, strict=True))
            answers = await asyncio.gather(*one_by_one, return_exceptions=True)
        finally:
            self._accepted -= len(files)
        found: list[Detections] = []
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
            found.append(answer)
        return found

    def _check(self, files: Sequence[bytes]) -> list[tuple[int, int]]:
        sizes = []
        for index, contents in enumerate(files):
            try:
                sizes.append(checked_size(contents, self.config.max_pixels))
            except BadImageError as error:
                raise ImageError(index, str(error)) from None
        return sizes

    async def _detect(self, index: int, contents: bytes, size: tuple[int, int]) -> Detections:
        async with self._pixels.taken(size[0] * size[1]):
            try:
                image, is_cut_off, _ = await self._in_thread(decoded, contents, size, self._rule)
            except BadImageError as error:
                raise ImageError(index, str(error)) from None
            found = await self._batcher.detect(image, self.runtime.fit(*image.shape[:2]))
            return {**found, "is_cut_off": True} if is_cut_off else found

    async def _in_thread(self, function: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._decoders, function, *arguments)
