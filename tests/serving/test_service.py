"""Room for pixels: bounded, and in the order of arrival."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from keras_retinanet.config import ServeConfig
from keras_retinanet.serving.admission import BusyError, TooManyError
from keras_retinanet.serving.service import DetectionService, ImageError, Room


def test_a_large_one_is_not_overtaken_for_ever() -> None:
    """Ten units: 6 are taken; 8 must wait, and so must the 1 that came after it."""

    async def act() -> list[int]:
        room, entered = Room(10), []

        async def hold(units: int, until: asyncio.Event) -> None:
            async with room.taken(units):
                entered.append(units)
                await until.wait()

        first, rest = asyncio.Event(), asyncio.Event()
        tasks = [asyncio.create_task(hold(6, first))]
        for units in (8, 1, 2):
            await asyncio.sleep(0)
            tasks.append(asyncio.create_task(hold(units, rest)))
        await asyncio.sleep(0.01)
        assert entered == [6]
        first.set()
        await asyncio.sleep(0.01)
        assert entered == [6, 8, 1], "one unit is left, two do not fit"
        rest.set()
        await asyncio.gather(*tasks)
        return entered

    assert asyncio.run(act()) == [6, 8, 1, 2]


def test_who_gives_up_waiting_leaves_no_trace() -> None:
    async def act() -> None:
        room = Room(2)
        async with room.taken(2):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01), room.taken(1):
                    pass
        async with asyncio.timeout(5), room.taken(2):
            pass

    asyncio.run(act())


def test_pixels_in_memory_are_bounded(pixel_runtime: Any, png: Any) -> None:
    """24 x 16 pixels each, the largest allowed: two fit, so no batch sees more, though eight wait."""
    runtime = pixel_runtime()

    async def act() -> list[Any]:
        service = DetectionService(runtime, ServeConfig(max_pixels=24 * 16, max_batch=8))
        async with service.running():
            return await service.detect([png((i, 0, 0)) for i in range(8)])

    found = asyncio.run(act())
    assert [len(one["scores"]) for one in found] == [0, 1, 2, 0, 1, 2, 0, 1]
    assert max(len(batch) for batch in runtime.batches) == 2


def test_one_canvas_for_all_lets_all_shapes_share(pixel_runtime: Any, png: Any) -> None:
    """Lying and upright images: two batches, or one where the model has only one canvas, which is all to warm up."""

    async def act(runtime: Any) -> list[list[tuple[int, int]]]:
        service = DetectionService(runtime, ServeConfig(max_batch=2, max_wait_ms=50.0))
        async with service.running():
            await service.warm_up()
            await service.detect([png((1, 0, 0), (24, 16)), png((2, 0, 0), (16, 24))])
        batches: list[list[tuple[int, int]]] = runtime.batches
        return batches

    free, fixed = pixel_runtime(), pixel_runtime(image_size=(64, 64))
    assert sorted(asyncio.run(act(free))[6:]) == [[(16, 24)], [(24, 16)]]
    first, both, last = asyncio.run(act(fixed))
    assert (first, both) == ([(144, 192)], [(144, 192)] * 2)
    assert sorted(last) == [(16, 24), (24, 16)]


def test_limits_and_errors(pixel_runtime: Any, png: Any) -> None:
    may_go = threading.Event()
    runtime = pixel_runtime(lambda images: may_go.wait(30))
    good = png((1, 0, 0))

    async def act() -> None:
        service = DetectionService(runtime, ServeConfig(max_queue=3, max_batch=2))
        async with service.running():
            waiting = asyncio.create_task(service.detect([good, good]))
            await asyncio.sleep(0)
            with pytest.raises(BusyError, match="2 images are waiting already"):
                await service.detect([good, good])
            with pytest.raises(TooManyError, match="has 4 images; send at most 3"):
                await service.detect([good] * 4)
            with pytest.raises(ImageError, match=r"^image 0 of the request is empty") as caught:
                await service.detect([b""])
            assert caught.value.index == 0
            may_go.set()
            assert len(await waiting) == 2

    asyncio.run(act())
