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
from keras_retinanet.serving.admission import Admission
from keras_retinanet.serving.batching import Batcher
from keras_retinanet.serving.images import BadImageError, checked_shape, checked_size, decoded

T = TypeVar("T")


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


class Decoding:
    """Threads and memory for decoding, shared by all models: twice the pixels of the largest allowed image.

    Args:
        max_pixels: Maximum number of pixels of an image.
    """

    def __init__(self, max_pixels: int) -> None:
        self.max_pixels = max_pixels
        self.pixels = Room(2 * max_pixels)
        self._threads = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="decode")

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Calls a function in one of the threads.

        Args:
            function: The function.
            *arguments: Its arguments.

        Returns:
            Its result.
        """
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)

    def close(self) -> None:
        """Waits for the current calls and ends the threads."""
        self._threads.shutdown(wait=True, cancel_futures=True)


class DetectionService:
    """Detects in untrusted images with one version of a model.

    The headers of all files of a request are checked before any is decoded. Files are decoded one by one, in a few
    threads and within a limit of pixels. Only decoded images enter a batch. An image may also be given as pixels.

    Args:
        runtime: Detects the objects.
        config: The limits.
        decoding: Threads and memory for decoding. Defaults to its own.
        on_batch: Called after each batch with its number of images and its seconds in the network. Defaults to nothing.
    """

    def __init__(
        self,
        runtime: Runtime,
        config: ServeConfig,
        decoding: Decoding | None = None,
        on_batch: Callable[[int, float], None] | None = None,
    ) -> None:
        self.runtime, self.config = runtime, config
        self._rule = dataclasses.replace(runtime.resize, exif=config.exif or runtime.resize.exif)
        self._decoding = Decoding(config.max_pixels) if decoding is None else decoding
        limit = config.answer_timeout if config.max_latency_ms is None else config.max_latency_ms / 1000
        self.admission = Admission(min(limit, config.answer_timeout), config.max_queue)
        self._on_batch = on_batch
        self._batcher = Batcher(runtime, config.max_batch, config.max_wait_ms / 1000, self._note_batch)
        self._batches: asyncio.Task[None] | None = None

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Runs the batcher for the duration of the `with`."""
        self.start()
        try:
            yield
        finally:
            await self.close()

    def start(self) -> None:
        """Starts the batcher."""
        self._batches = asyncio.create_task(self._batcher.run())

    async def close(self) -> None:
        """Waits for the current batch and ends the batcher."""
        if self._batches is not None:
            self._batches.cancel()
            await asyncio.gather(self._batches, return_exceptions=True)
        await asyncio.to_thread(self._batcher.close)

    async def warm_up(self) -> None:
        """Detects in grey images of every common batch shape, in batches of 1 and `max_batch`."""
        sizes = common_image_sizes(self.runtime.resize)
        for height, width in sizes[:1] if self.runtime.image_size else sizes:
            grey, fit = np.full((height, width, 3), 127, np.uint8), self.runtime.fit(height, width)
            for count in sorted({1, self.config.max_batch}):
                await self._batcher.detect_at_once([grey] * count, [fit] * count)
        self.admission.end_warm_up()

    async def detect(self, images: Sequence[bytes | np.ndarray]) -> list[Detections]:
        """Detects in the images of one request.

        Args:
            images: The bytes of each file, or pixels `(H, W, 3)` uint8.

        Returns:
            Detections of each image, in its own pixels.

        Raises:
            BusyError: The request would not be answered in time, or the queue is full.
            TooManyError: There are more images than can be answered in time, or than the queue holds.
            ImageError: An image is refused.
        """
        with self.admission.admitted(len(images)):
            sizes = await self._decoding.run(self._check, images)
            one_by_one = (self._detect(*given) for given in zip(range(len(images)), images, sizes, strict=True))
            answers = await asyncio.gather(*one_by_one, return_exceptions=True)
        found: list[Detections] = []
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
            found.append(answer)
        return found

    def _note_batch(self, images: int, seconds: float) -> None:
        self.admission.note_batch(images, seconds)
        if self._on_batch is not None:
            self._on_batch(images, seconds)

    def _check(self, images: Sequence[bytes | np.ndarray]) -> list[tuple[int, int]]:
        sizes, most = [], self.config.max_pixels
        for index, image in enumerate(images):
            try:
                sizes.append(checked_size(image, most) if isinstance(image, bytes) else checked_shape(image, most))
            except BadImageError as error:
                raise ImageError(index, str(error)) from None
        return sizes

    async def _detect(self, index: int, image: bytes | np.ndarray, size: tuple[int, int]) -> Detections:
        async with self._decoding.pixels.taken(size[0] * size[1]):
            pixels: Any = image
            is_cut_off = False
            if isinstance(image, bytes):
                try:
                    pixels, is_cut_off, _ = await self._decoding.run(decoded, image, size, self._rule)
                except BadImageError as error:
                    raise ImageError(index, str(error)) from None
            found = await self._batcher.detect(pixels, self.runtime.fit(*pixels.shape[:2]))
            return {**found, "is_cut_off": True} if is_cut_off else found
