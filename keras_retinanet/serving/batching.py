"""Batches for one runtime from the images of many requests."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from keras_retinanet.data.preparation import ImageFit
from keras_retinanet.runtimes import Runtime
from keras_retinanet.schema import Detections, Size


@dataclass(frozen=True)
class _Waiting:
    image: Any
    fit: ImageFit
    answer: asyncio.Future[Detections]
    since: float


class Batcher:
    """Collects images for up to `max_wait` seconds, runs them as one batch and returns its result to each caller.

    Only images of one batch shape share a batch, so the result for an image is the same as alone. Batches run one after
    the other in a separate thread. If a batch fails, its images are run one by one, so that only the image that caused
    the error fails.

    Args:
        runtime: Detects the objects.
        max_batch: Maximum number of images in a batch.
        max_wait: Seconds that an image waits for others.
        on_batch: Called after each batch with its number of images and its seconds in the network. Defaults to nothing.
    """

    def __init__(
        self,
        runtime: Runtime,
        max_batch: int,
        max_wait: float,
        on_batch: Callable[[int, float], None] | None = None,
    ) -> None:
        self._runtime, self._max_batch, self._max_wait, self._on_batch = runtime, max_batch, max_wait, on_batch
        self._groups: dict[Size, deque[_Waiting]] = {}
        self._woken = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="detect")

    async def detect(self, image: Any, fit: ImageFit) -> Detections:
        """Finds the objects in one image.

        Args:
            image: `(H, W, 3)` uint8.
            fit: Its sizes, from `Runtime.fit`.

        Returns:
            The runtime's detections.
        """
        waiting = _Waiting(image, fit, asyncio.get_running_loop().create_future(), time.monotonic())
        self._groups.setdefault(fit.batch_shape, deque()).append(waiting)
        self._woken.set()
        return await waiting.answer

    async def detect_at_once(self, images: Sequence[Any], fits: Sequence[ImageFit]) -> list[Detections]:
        """Finds the objects in a complete batch.

        Args:
            images: Each `(H, W, 3)` uint8.
            fits: Their sizes, from `Runtime.fit`.

        Returns:
            The runtime's detections, one entry per image.

        Raises:
            RuntimeError: The runtime returned another number of entries.
        """
        began = time.monotonic()
        found = await asyncio.get_running_loop().run_in_executor(self._thread, self._runtime.detect, images, fits)
        if self._on_batch is not None:
            self._on_batch(len(images), time.monotonic() - began)
        if len(found) != len(images):
            raise RuntimeError(f"The runtime answered {len(found)} of {len(images)} images.")
        return found

    async def run(self) -> None:
        """Forms and runs batches until it is cancelled."""
        while True:
            batch, patience = self._next_batch()
            if batch:
                await self._answer(batch)
                continue
            self._woken.clear()
            try:
                async with asyncio.timeout(patience):
                    await self._woken.wait()
            except TimeoutError:
                pass

    def close(self) -> None:
        """Waits for the current batch and ends the thread."""
        self._thread.shutdown(wait=True, cancel_futures=True)
        self._on_batch = None  # which refers to what refers to this: the model would stay until the next collection

    def _next_batch(self) -> tuple[list[_Waiting], float | None]:
        """The ready batch whose first image has waited longest; if none is ready, the seconds until one is."""
        due: dict[Size, float] = {}
        for key in list(self._groups):
            group = self._groups[key]
            while group and group[0].answer.done():  # its client has disconnected
                group.popleft()
            if not group:
                del self._groups[key]
                continue
            due[key] = group[0].since + (0.0 if len(group) >= self._max_batch else self._max_wait)
        if not due:
            return [], None
        now = time.monotonic()
        ready = [key for key, moment in due.items() if moment <= now]
        if not ready:
            return [], min(due.values()) - now
        group = self._groups[min(ready, key=lambda key: self._groups[key][0].since)]
        batch: list[_Waiting] = []
        while group and len(batch) < self._max_batch:
            waiting = group.popleft()
            if not waiting.answer.done():
                batch.append(waiting)
        return batch, None

    async def _answer(self, batch: list[_Waiting]) -> None:
        try:
            images, fits = [waiting.image for waiting in batch], [waiting.fit for waiting in batch]
            found: list[Detections | Exception] = [*await self.detect_at_once(images, fits)]
        except Exception as error:
            found = [error] if len(batch) == 1 else [await self._detect_alone(waiting) for waiting in batch]
        for waiting, answer in zip(batch, found, strict=True):
            if waiting.answer.done():
                continue
            if isinstance(answer, Exception):
                waiting.answer.set_exception(answer)
            else:
                waiting.answer.set_result(answer)

    async def _detect_alone(self, waiting: _Waiting) -> Detections | Exception:
        try:
            return (await self.detect_at_once([waiting.image], [waiting.fit]))[0]
        except Exception as error:
            return error
