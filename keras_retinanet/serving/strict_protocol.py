"""Additions to Uvicorn's HTTP/1.1: deadlines for slow clients, a limit on connections, and JSON errors."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from uvicorn.protocols.http.h11_impl import H11Protocol
else:
    H11Protocol = object  # `server.py` adds the real base, since the extra `serve` may be missing


class StrictProtocol(H11Protocol):
    """Disconnects clients that are too slow, and refuses connections beyond a limit. A mixin for `H11Protocol`.

    Args:
        timeout: Seconds that a client may take to send its headers, and to read a response.
        max_connections: Maximum number of connections; requests on further ones get status 503.
    """

    app: Any
    _headers_due: Any = None
    _read_due: Any = None

    def __init__(self, *args: Any, timeout: float, max_connections: int, **kwargs: Any) -> None:
        from starlette.responses import JSONResponse

        super().__init__(*args, **kwargs)
        self._timeout, self._max_connections, self._served = timeout, max_connections, self.app
        message = {"error": f"{max_connections} clients are connected already; try again in a moment."}
        self._refusal = JSONResponse(message, 503, {"Retry-After": "1", "Connection": "close"})

    def handle_events(self) -> None:
        """Answers requests, with status 503 if too many clients are connected."""
        self.app = self._refusal if len(self.connections) > self._max_connections else self._served
        super().handle_events()

    def send_400_response(self, msg: str) -> None:
        """Answers a malformed request in JSON and closes the connection."""
        import h11

        body = json.dumps({"error": msg}).encode()
        headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), "Connection": "close"}
        response = h11.Response(status_code=400, headers=list(headers.items()), reason="Bad Request")
        for event in (response, h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def connection_made(self, transport: Any) -> None:
        """Starts the deadline for the first headers."""
        super().connection_made(transport)
        self._headers_due = self.loop.call_later(self._timeout, self._disconnect)

    def data_received(self, data: bytes) -> None:
        """Starts the deadline with the first byte of a request, and stops it when its headers are complete."""
        if self._headers_due is None and self._is_between_requests():
            self._headers_due = self.loop.call_later(self._timeout, self._disconnect)
        super().data_received(data)
        if not self._is_between_requests():
            self._headers_due = _cancel(self._headers_due)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops all deadlines."""
        self._headers_due, self._read_due = _cancel(self._headers_due), _cancel(self._read_due)
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Starts the deadline for a client that does not read its response."""
        super().pause_writing()
        self._read_due = self.loop.call_later(self._timeout, self.transport.abort)

    def resume_writing(self) -> None:
        """Stops that deadline."""
        self._read_due = _cancel(self._read_due)
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        """Closes an idle connection, which waits for the client to read: by a deadline too."""
        super().timeout_keep_alive_handler()
        self._read_due = self.loop.call_later(self._timeout, self.transport.abort)

    def _is_between_requests(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _disconnect(self) -> None:
        self._headers_due = None
        self.transport.abort()


def _cancel(timer: Any) -> Any:
    """Cancels a timer, if one is running, and returns `None` to replace it."""
    if timer is not None:
        timer.cancel()
    return None
