"""What is held in memory, by the byte."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from keras_retinanet.serving.bodies import BodyError, BodyReader


class Arriving:
    """A request whose body comes in these chunks."""

    def __init__(self, *chunks: bytes, **headers: str) -> None:
        self.chunks, self.headers = list(chunks), {name.replace("_", "-"): value for name, value in headers.items()}
        self.read = 0

    async def stream(self) -> AsyncIterator[bytes]:
        for chunk in self.chunks:
            self.read += len(chunk)
            yield chunk


async def read(reader: BodyReader, request: Any) -> bytes:
    async with reader.body(request) as body:
        return bytes(body)


def test_a_body_of_the_limit_is_read() -> None:
    assert asyncio.run(read(BodyReader(6, 9.0), Arriving(b"abc", b"def"))) == b"abcdef"
    with pytest.raises(BodyError, match="more than"):
        asyncio.run(read(BodyReader(6, 9.0), Arriving(b"abc", b"defg")))


def test_no_more_than_four_times_the_limit_is_thrown_away() -> None:
    endless = Arriving(*[b"x" * 10] * 100)
    with pytest.raises(BodyError) as caught:
        asyncio.run(read(BodyReader(10, 9.0), endless))
    assert caught.value.status == 413
    assert endless.read == 50
    request = Arriving(b"x", content_length="41")
    with pytest.raises(BodyError):
        asyncio.run(read(BodyReader(10, 9.0), request))
    assert request.read == 0


def test_eight_of_the_largest_fit_at_once() -> None:
    """Nine hold ten bytes each, of which the ninth is sent away; when one is done, there is room again."""

    async def act() -> list[int]:
        reader, statuses = BodyReader(10, 9.0), []
        contexts = [reader.body(Arriving(b"x" * 10)) for _ in range(8)]  # type: ignore[arg-type]
        bodies = [await context.__aenter__() for context in contexts]
        for body in bodies:
            body.clear()  # what has been made of them still counts
        for _ in range(2):
            try:
                await read(reader, Arriving(b"x"))
                statuses.append(200)
            except BodyError as error:
                statuses.append(error.status)
            await contexts.pop().__aexit__(None, None, None)
        for context in contexts:
            await context.__aexit__(None, None, None)
        assert reader._held == 0
        return statuses

    assert asyncio.run(act()) == [503, 200]


def test_a_slow_body() -> None:
    class Slow(Arriving):
        async def stream(self) -> AsyncIterator[bytes]:
            await asyncio.sleep(30)
            yield b""

    with pytest.raises(BodyError, match=r"did not arrive within 0\.01 s") as caught:
        asyncio.run(read(BodyReader(10, 0.01), Slow()))
    assert caught.value.status == 408
