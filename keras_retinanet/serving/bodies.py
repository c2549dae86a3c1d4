"""Bodies of requests, read within limits of size, memory and time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.requests import Request

_HELD = 8  # largest bodies that fit into memory at once
_DRAINED = 4  # largest bodies that are read and thrown away, so that the client comes to read why


class BodyError(Exception):
    """A body is refused.

    Args:
        status: HTTP status.
        message: The problem and the fix.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class BodyReader:
    """Reads bodies of requests.

    Args:
        limit: Maximum size of a body in bytes.
        timeout: Seconds within which a body must arrive.
    """

    def __init__(self, limit: int, timeout: float) -> None:
        self._limit, self._timeout = limit, timeout
        self._held = 0

    @contextlib.asynccontextmanager
    async def body(self, request: Request) -> AsyncIterator[bytearray]:
        """Reads the body of a request; its memory stays reserved inside the `with`.

        Args:
            request: The incoming request.

        Yields:
            The bytes. Clear them once they are parsed.

        Raises:
            BodyError: The body is too large, too slow or compressed, or there is no memory for it now.
        """
        if (coding := request.headers.get("content-encoding", "identity").lower()) != "identity":
            raise BodyError(415, f"The body is encoded as {coding[:20]!r}; send it as it is.")
        if int(request.headers.get("content-length", 0)) > _DRAINED * self._limit:
            raise self._too_large()
        body, held = bytearray(), 0
        try:
            try:
                async with asyncio.timeout(self._timeout):
                    async for chunk in self._chunks(request):
                        held += len(chunk)
                        self._held += len(chunk)
                        body += chunk
            except TimeoutError:
                message = f"The body did not arrive within {self._timeout:g} s; send less at once."
                raise BodyError(408, message) from None
            yield body
        finally:
            self._held -= held

    async def _chunks(self, request: Request) -> AsyncIterator[bytes]:
        arrived = 0
        async for chunk in request.stream():
            arrived += len(chunk)
            if arrived > _DRAINED * self._limit:
                break
            if arrived <= self._limit:
                if self._held + len(chunk) > _HELD * self._limit:
                    raise BodyError(503, "Too many large requests are arriving; try again in a moment.")
                yield chunk
        if arrived > self._limit:
            raise self._too_large()

    def _too_large(self) -> BodyError:
        megabytes = self._limit / 2**20
        return BodyError(413, f"The body has more than {megabytes:g} MB; send fewer or smaller images at once.")
