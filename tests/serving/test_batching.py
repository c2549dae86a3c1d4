"""Batches mix requests, never answers."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest

from keras_retinanet.data.preparation import ImageFit
from keras_retinanet.serving.batching import Batcher

A, B, C = (ImageFit((4, 5), (4, 5), (32, 32 * k)) for k in (1, 2, 3))
"""Images of three batch shapes."""


def picture(r: int, g: int = 1, b: int = 7, size: tuple[int, int] = (4, 5)) -> Any:
    return np.full((*size, 3), (r, g, b), np.uint8)


@contextlib.asynccontextmanager
async def running(runtime: Any, max_batch: int = 4, max_wait: float = 0.02) -> AsyncIterator[Batcher]:
    batcher = Batcher(runtime, max_batch, max_wait)
    task = asyncio.create_task(batcher.run())
    try:
        yield batcher
    finally:
        task.cancel()
        batcher.close()


def test_each_gets_its_own_answer(pixel_runtime: Any) -> None:
    """60 images of three shapes, all at once: batches of four, each of one shape, nothing mixed up."""
    runtime = pixel_runtime()
    sizes = [(4, 5), (5, 4), (6, 6)]

    async def act() -> list[Any]:
        async with running(runtime) as batcher:
            fits = [ImageFit(size, size, size) for size in sizes]
            asked = (batcher.detect(picture(i, i % 3, 200, sizes[i % 3]), fits[i % 3]) for i in range(60))
            return await asyncio.gather(*asked)

    for i, found in enumerate(asyncio.run(act())):
        assert found["boxes"].tolist() == [[i, i % 3, 200, k] for k in range(i % 3)]
        assert found["labels"].tolist() == [i % 3] * (i % 3)
    assert [len(batch) for batch in runtime.batches] == [4] * 15
    assert all(len(set(batch)) == 1 for batch in runtime.batches)


def test_a_lone_image_waits_no_longer_than_it_must(pixel_runtime: Any) -> None:
    runtime = pixel_runtime()

    async def act() -> Any:
        async with running(runtime, max_wait=0.001) as batcher:
            async with asyncio.timeout(30):
                return await batcher.detect(picture(2), A)

    assert asyncio.run(act())["boxes"].tolist() == [[2, 1, 7, 0], [2, 1, 7, 1]]
    assert runtime.batches == [[(4, 5)]]


def test_what_comes_meanwhile_makes_the_next_batch(pixel_runtime: Any) -> None:
    """The first image occupies the runtime; five more arrive, and go in the order of their arrival."""
    is_busy, may_go = threading.Event(), threading.Event()

    def hold(images: Any) -> None:
        is_busy.set()
        may_go.wait(30)

    runtime = pixel_runtime(hold)

    async def act() -> list[Any]:
        async with running(runtime, max_wait=0.0) as batcher:
            first = asyncio.create_task(batcher.detect(picture(0), A))
            await asyncio.to_thread(is_busy.wait, 30)
            later = [asyncio.create_task(batcher.detect(picture(1, g=k), A)) for k in range(5)]
            await asyncio.sleep(0)
            may_go.set()
            return await asyncio.gather(first, *later)

    found = asyncio.run(act())
    assert [len(batch) for batch in runtime.batches] == [1, 4, 1]
    assert [one["boxes"].tolist() for one in found[1:]] == [[[1, k, 7, 0]] for k in range(5)]


def test_only_the_image_to_blame_fails(pixel_runtime: Any) -> None:
    def refuse(images: Any) -> None:
        if any(image[0, 0, 0] == 13 for image in images):
            raise RuntimeError("unlucky")

    runtime = pixel_runtime(refuse)

    async def act() -> list[Any]:
        async with running(runtime) as batcher:
            asked = (batcher.detect(picture(r), A) for r in (1, 13, 2, 4))
            return await asyncio.gather(*asked, return_exceptions=True)

    found = asyncio.run(act())
    assert isinstance(found[1], RuntimeError)
    assert [len(found[k]["scores"]) for k in (0, 2, 3)] == [1, 2, 1]
    assert [len(batch) for batch in runtime.batches] == [4, 1, 1, 1, 1]


def test_who_has_gone_takes_no_place(pixel_runtime: Any) -> None:
    runtime = pixel_runtime()

    async def act() -> Any:
        async with running(runtime, max_wait=0.2) as batcher:
            gone = asyncio.create_task(batcher.detect(picture(1), A))
            stays = asyncio.create_task(batcher.detect(picture(2), A))
            await asyncio.sleep(0)
            gone.cancel()
            return await stays

    assert len(asyncio.run(act())["scores"]) == 2
    assert runtime.batches == [[(4, 5)]]


def test_who_has_gone_from_the_middle_takes_no_place(pixel_runtime: Any) -> None:
    seen: list[int] = []
    runtime = pixel_runtime(lambda images: seen.extend(int(image[0, 0, 0]) for image in images))

    async def act() -> list[Any]:
        async with running(runtime, max_wait=0.2) as batcher:
            tasks = [asyncio.create_task(batcher.detect(picture(r), A)) for r in (1, 2, 4)]
            await asyncio.sleep(0)
            tasks.pop(1).cancel()
            return await asyncio.gather(*tasks)

    assert [len(found["scores"]) for found in asyncio.run(act())] == [1, 1]
    assert seen == [1, 4]


def test_a_runtime_that_answers_too_few_is_found_out(pixel_runtime: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = pixel_runtime()
    monkeypatch.setattr(runtime, "detect", lambda images, fits: [])

    async def act() -> None:
        async with running(runtime) as batcher:
            await batcher.detect(picture(1), A)

    with pytest.raises(RuntimeError, match="answered 0 of 1 images"):
        asyncio.run(act())


def test_a_full_batch_goes_before_one_that_is_not_due(pixel_runtime: Any) -> None:
    seen: list[int] = []
    runtime = pixel_runtime(lambda images: seen.extend(int(image[0, 0, 0]) for image in images))

    async def act() -> None:
        async with asyncio.timeout(30), running(runtime, max_batch=2, max_wait=1000.0) as batcher:
            first = asyncio.create_task(batcher.detect(picture(1), A))
            await asyncio.sleep(0)
            await asyncio.gather(*(batcher.detect(picture(r), B) for r in (2, 3)))
            await asyncio.gather(first, batcher.detect(picture(4), A))

    asyncio.run(act())
    assert seen == [2, 3, 1, 4]


def test_of_two_ready_batches_the_one_with_the_oldest_image_goes_first(pixel_runtime: Any) -> None:
    is_busy, may_go = threading.Event(), threading.Event()
    seen: list[int] = []

    def hold(images: Any) -> None:
        seen.extend(int(image[0, 0, 0]) for image in images)
        is_busy.set()
        may_go.wait(30)

    async def act() -> None:
        async with running(pixel_runtime(hold), max_batch=2, max_wait=0.0) as batcher:
            tasks = [asyncio.create_task(batcher.detect(picture(0), A))]
            await asyncio.to_thread(is_busy.wait, 30)
            for r, fit in ((5, C), (1, A), (2, B), (3, B), (4, A)):
                tasks.append(asyncio.create_task(batcher.detect(picture(r), fit)))
                await asyncio.sleep(0.001)
            may_go.set()
            await asyncio.gather(*tasks)

    asyncio.run(act())
    assert seen == [0, 5, 1, 4, 2, 3]
