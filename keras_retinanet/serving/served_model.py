"""A model under its name: the version that answers requests, and its replacement by a newer one."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
from collections.abc import Callable, Hashable, Iterator

from keras_retinanet.config import ServeConfig
from keras_retinanet.runtimes import Runtime
from keras_retinanet.serving.metrics import Metrics
from keras_retinanet.serving.model_versions import ModelSource, Version
from keras_retinanet.serving.service import Decoding, DetectionService

LOG = logging.getLogger("keras_retinanet.serving")


class LoadedVersion:
    """An opened version.

    Args:
        number: The version.
        service: Detects with it.
    """

    def __init__(self, number: int, service: DetectionService) -> None:
        self.number, self.service = number, service
        self._users = 0
        self._is_unused = asyncio.Event()
        self._is_unused.set()

    @property
    def runtime(self) -> Runtime:
        """The opened artefact."""
        return self.service.runtime

    @contextlib.contextmanager
    def in_use(self) -> Iterator[DetectionService]:
        """Keeps the version open for the duration of the `with`.

        Yields:
            Its service.
        """
        self._users += 1
        self._is_unused.clear()
        try:
            yield self.service
        finally:
            self._users -= 1
            if not self._users:
                self._is_unused.set()

    async def close(self) -> None:
        """Waits for the requests that use it, and closes it."""
        await self._is_unused.wait()
        await self.service.close()


class ServedModel:
    """Serves the newest version of a model; the older one answers until the newer one is warm.

    A request is answered by the version that was current when its body had arrived; that version is closed after its
    last request. A version that cannot be opened or fails its warm-up is skipped until its files change.

    Args:
        source: Looks for the newest version.
        config: The limits.
        decoding: Threads and memory for decoding.
        metrics: Counts batches and versions.
    """

    def __init__(self, source: ModelSource, config: ServeConfig, decoding: Decoding, metrics: Metrics) -> None:
        self.name = source.name
        self.current: LoadedVersion | None = None
        self._source, self._config, self._decoding, self._metrics = source, config, decoding, metrics
        self._closing: set[asyncio.Task[None]] = set()
        self._skipped: tuple[int, Hashable] | None = None

    async def load(self) -> None:
        """Opens the newest version and warms it up.

        Raises:
            ValueError: The model cannot be opened.
            OSError: The model does not exist.
            RuntimeError: The model failed its warm-up.
        """
        await self._replace(await asyncio.to_thread(self._source.newest))

    async def follow(self, on_new: Callable[[ServedModel], None]) -> None:
        """Replaces the version whenever another one is the newest, until cancelled.

        Args:
            on_new: Called after each replacement.
        """
        seen: tuple[int, Hashable] | None = None
        while True:
            await asyncio.sleep(self._config.reload_seconds)
            try:
                version = await asyncio.to_thread(self._source.newest)
            except (OSError, ValueError):  # the folder is gone, or is being changed: what is loaded stays
                continue
            former, seen = seen, (version.number, version.stamp)
            is_new = self.current is not None and version.number != self.current.number
            is_due = is_new and seen == former and seen != self._skipped  # its files have stopped changing
            if is_due and await self._try_to_replace(version):
                on_new(self)

    async def close(self) -> None:
        """Waits for all requests, and closes all versions."""
        if self.current is not None:
            await self.current.close()
        await asyncio.gather(*self._closing)

    async def _try_to_replace(self, version: Version) -> bool:
        try:
            await self._replace(version)
            return True
        except Exception as error:
            self._skipped = (version.number, version.stamp)
            self._metrics.count_reload_failure(self.name)
            problem = " ".join(str(error).split())[:500]
            LOG.error("model %s, version %d cannot be served: %s", self.name, version.number, problem)
            return False

    async def _replace(self, version: Version) -> None:
        runtime = await asyncio.to_thread(version.open)
        service = DetectionService(runtime, self._config, self._decoding, self._count_batch)
        service.start()
        try:
            await service.warm_up()
        except BaseException as error:  # the server may end while it warms up
            await service.close()
            if not isinstance(error, Exception):
                raise
            raise RuntimeError(f"The model failed its warm-up: {error}") from error
        former, self.current = self.current, LoadedVersion(version.number, service)
        self._metrics.set_version(self.name, version.number)
        if former is not None:
            closing = asyncio.create_task(_end_version(former))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    def _count_batch(self, images: int, seconds: float) -> None:
        self._metrics.count_batch(self.name, images, seconds)


async def _end_version(version: LoadedVersion) -> None:
    await version.close()
    del version
    await asyncio.to_thread(_return_freed_memory)


def _return_freed_memory() -> None:
    """Gives freed memory back to the system, of which glibc keeps several megabytes with each version that ends."""
    with contextlib.suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)
