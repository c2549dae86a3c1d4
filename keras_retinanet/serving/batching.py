"""Images of many requests made into batches for one runtime."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from keras_retinanet.runtimes import Runtime
from keras_retinanet.schema import Detections


@dataclass(frozen=True)
class _Waiting:
    image: Any
    answer: asyncio.Future[Detections]
    since: float


class Batcher:
    """Collects images of one shape for up to `max_wait`, runs them as one batch, returns to each caller its result.

    Only images with the same key share a batch: with the batch shape as the key, an image is answered as it would
    be alone. Batches run one after the other in a thread of their own. Where a batch fails, its images are tried one by
    one, so that only the one which is to blame fails.

    Args:
        runtime: What detects.
        max_batch: Most images of a batch.
        max_wait: Seconds that an image waits for others.
    """

    def __init__(self, runtime: Runtime, max_batch: int, max_wait: float) -> None:
        self._runtime, self._max_batch, self._max_wait = runtime, max_batch, max_wait
        self._groups: dict[Hashable, deque[_Waiting]] = {}
        self._woken = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="detect")

    async def detect(self, image: Any, key: Hashable) -> Detections:
        """Detections in one image.

        Args:
            image: `(H, W, 3)` uint8.
            key: Images of one key may share a batch.

        Returns:
            What the runtime found in it.
        """
        waiting = _Waiting(image, asyncio.get_running_loop().create_future(), time.monotonic())
        self._groups.setdefault(key, deque()).append(waiting)
        self._woken.set()
        return await waiting.answer

    async def detect_at_once(self, images: Sequence[Any]) -> list[Detections]:
        """Detections in a batch that is complete already.

        Args:
            images: Each `(H, W, 3)` uint8.

        Returns:
            What the runtime found in each.
        """
        found = await asyncio.get_running_loop().run_in_executor(self._thread, self._runtime.detect, images)
        if len(found) != len(images):
            raise RuntimeError(f"The runtime answered {len(found)} of {len(images)} images.")
        return found

    async def run(self) -> None:
        """Makes batches until it is cancelled."""
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
        """Lets the batch that is being detected end, and the thread with it."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _next_batch(self) -> tuple[list[_Waiting], float | None]:
        """The ready batch whose first image waits longest; or none, and the seconds until one is ready."""
        due: dict[Hashable, float] = {}
        for key in list(self._groups):
            group = self._groups[key]
            while group and group[0].answer.done():  # its client has gone
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
            found: list[Detections | Exception] = [*await self.detect_at_once([waiting.image for waiting in batch])]
        except Exception as error:
            found = [error] if len(batch) == 1 else [await self._alone(waiting.image) for waiting in batch]
        for waiting, answer in zip(batch, found, strict=True):
            if waiting.answer.done():
                continue
            if isinstance(answer, Exception):
                waiting.answer.set_exception(answer)
            else:
                waiting.answer.set_result(answer)

    async def _alone(self, image: Any) -> Detections | Exception:
        try:
            return (await self.detect_at_once([image]))[0]
        except Exception as error:
            return error
