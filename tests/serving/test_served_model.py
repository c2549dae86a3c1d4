"""New versions: warm before they answer, and the former one ends after its last request."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from keras_retinanet.config import ServeConfig
from keras_retinanet.serving.metrics import Metrics
from keras_retinanet.serving.model_versions import ModelSource, Version
from keras_retinanet.serving.served_model import LoadedVersion, ServedModel
from keras_retinanet.serving.service import Decoding

CONFIG = ServeConfig(reload_seconds=0.01, max_batch=2, max_wait_ms=0.0)


class Shelf:
    """A folder of versions."""

    def __init__(self, number: int, runtime: Any) -> None:
        self.newest = Version(number, lambda: runtime)
        self.model = ServedModel(ModelSource("insects", lambda: self.newest), CONFIG, Decoding(10_000), Metrics())
        self.replaced: list[int] = []

    def note(self, model: ServedModel) -> None:
        self.replaced.append(current(model).number)


def current(model: ServedModel) -> LoadedVersion:
    assert model.current is not None
    return model.current


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.005)


def test_a_request_is_answered_by_the_version_it_began_with(pixel_runtime: Any, png: Any) -> None:
    may_go, is_warm = threading.Event(), threading.Event()
    old, new = pixel_runtime(lambda images: is_warm.is_set() and may_go.wait(30)), pixel_runtime()
    file = png((4, 1, 2))

    async def act() -> None:
        shelf = Shelf(1, old)
        await shelf.model.load()
        is_warm.set()
        following = asyncio.create_task(shelf.model.follow(shelf.note))
        with current(shelf.model).in_use() as service:
            asked = asyncio.create_task(service.detect([file]))
            shelf.newest = Version(2, lambda: new)
            await until(lambda: current(shelf.model).number == 2)
            with current(shelf.model).in_use() as other:
                assert len((await other.detect([file]))[0]["scores"]) == 1
            assert not asked.done()
            may_go.set()
            assert len((await asked)[0]["scores"]) == 1
        following.cancel()
        await shelf.model.close()
        assert shelf.replaced == [2]

    asyncio.run(act())
    warmed = 6
    assert (len(old.batches), len(new.batches)) == (warmed + 1, warmed + 1)


def test_a_version_that_cannot_be_served_is_skipped_until_its_files_change(
    pixel_runtime: Any, caplog: pytest.LogCaptureFixture
) -> None:
    tried: list[int] = []

    def fail() -> Any:
        tried.append(1)
        raise ValueError("cut off")

    async def act() -> None:
        shelf = Shelf(3, pixel_runtime())
        await shelf.model.load()
        following = asyncio.create_task(shelf.model.follow(shelf.note))
        shelf.newest = Version(4, fail, "half")
        await until(lambda: bool(tried))
        await asyncio.sleep(0.1)
        assert (tried, current(shelf.model).number) == ([1], 3)
        shelf.newest = Version(4, pixel_runtime, "whole")
        await until(lambda: current(shelf.model).number == 4)
        shelf.newest = Version(3, pixel_runtime)
        await until(lambda: current(shelf.model).number == 3)
        assert shelf.replaced == [4, 3]
        following.cancel()
        await shelf.model.close()

    asyncio.run(act())
    assert caplog.messages == ["model insects, version 4 cannot be served: cut off"]


def test_a_version_that_warms_up_when_the_server_ends_is_closed(pixel_runtime: Any) -> None:
    is_warming, may_go = threading.Event(), threading.Event()

    def warm(images: Any) -> None:
        is_warming.set()
        may_go.wait(30)

    async def act() -> None:
        before = set(threading.enumerate())
        shelf = Shelf(1, pixel_runtime(warm))
        loading = asyncio.create_task(shelf.model.load())
        await asyncio.to_thread(is_warming.wait, 30)
        detecting = {one for one in set(threading.enumerate()) - before if one.name.startswith("detect")}
        assert len(detecting) == 1
        loading.cancel()
        may_go.set()
        with pytest.raises(asyncio.CancelledError):
            await loading
        assert shelf.model.current is None
        assert not any(one.is_alive() for one in detecting)

    asyncio.run(act())


def test_files_that_still_change_are_left_alone(pixel_runtime: Any) -> None:
    async def act() -> None:
        shelf = Shelf(1, pixel_runtime())
        await shelf.model.load()
        looks = iter(range(10**9))
        shelf.model._source = ModelSource("insects", lambda: Version(2, pixel_runtime, next(looks)))
        following = asyncio.create_task(shelf.model.follow(shelf.note))
        await until(lambda: next(looks) > 8)
        assert current(shelf.model).number == 1
        following.cancel()
        await shelf.model.close()

    asyncio.run(act())


def test_a_folder_that_is_gone_changes_nothing(pixel_runtime: Any) -> None:
    async def act() -> None:
        shelf, looks = Shelf(1, pixel_runtime()), []

        def gone() -> Version:
            looks.append(1)
            raise FileNotFoundError("no such folder")

        await shelf.model.load()
        shelf.model._source = ModelSource("insects", gone)
        following = asyncio.create_task(shelf.model.follow(shelf.note))
        await until(lambda: len(looks) > 2)
        assert not following.done()
        assert current(shelf.model).number == 1
        following.cancel()
        await shelf.model.close()

    asyncio.run(act())


def test_a_version_that_has_ended_leaves_the_memory_at_once(pixel_runtime: Any, png: Any) -> None:
    """Not at the next collection of cycles, which may be minutes away."""

    async def act() -> None:
        shelf = Shelf(1, None)
        shelf.newest = Version(1, pixel_runtime)
        await shelf.model.load()
        with current(shelf.model).in_use() as service:
            await service.detect([png((1, 0, 0))])
        del service
        former = weakref.ref(current(shelf.model).runtime)
        await shelf.model.load()
        await until(lambda: former() is None)
        assert former() is None
        assert current(shelf.model).number == 1
        await shelf.model.close()

    gc.collect()
    gc.disable()
    try:
        asyncio.run(act())
    finally:
        gc.enable()


def test_memory_goes_back_after_the_last_request_of_the_former_version(
    pixel_runtime: Any, png: Any, until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread that computed the last answer may hold the former runtime for a moment longer than its request."""
    events: list[str] = []

    async def act() -> None:
        shelf = Shelf(1, None)
        shelf.newest = Version(1, pixel_runtime)
        await shelf.model.load()
        former = weakref.ref(current(shelf.model).runtime)

        def return_freed_memory() -> None:
            events.append("memory returned")
            until(lambda: former() is None)
            events.append("the former runtime is gone")

        monkeypatch.setattr("keras_retinanet.serving.served_model._return_freed_memory", return_freed_memory)
        with current(shelf.model).in_use() as service:
            shelf.newest = Version(2, pixel_runtime)
            await shelf.model.load()
            assert current(shelf.model).number == 2
            await asyncio.sleep(0.05)
            assert len(await service.detect([png((1, 0, 0))])) == 1
            assert former() is not None
            events.append("answered")
        del service
        await shelf.model.close()

    asyncio.run(act())
    assert events == ["answered", "memory returned", "the former runtime is gone"]
