"""The server's process: sockets, deadlines for slow clients, signals, and its log."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import time
from collections.abc import Iterator
from typing import Any

from keras_retinanet.config import ServeConfig
from keras_retinanet.extras import install_hint
from keras_retinanet.serving.app import LOG, DetectionApi, Served

_GRACE = 5  # seconds added to a request's own deadline before the server stops without it
_PROBES = ("/healthz", "/readyz")


class Server:
    """One model on one port.

    The port is taken on construction, so that an address in use is reported before a model is loaded.

    Args:
        config: Address and limits.

    Raises:
        OSError: The port is taken, or the address is not one of this machine's.
        ModuleNotFoundError: The extra `serve` is not installed.
    """

    def __init__(self, config: ServeConfig) -> None:
        require_extra()
        self._config = config
        self._socket = _bound(config)
        self._server: Any = None
        self._failure: Exception | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        host, port = self._socket.getsockname()[:2]
        return f"http://{f'[{host}]' if ':' in host else host}:{port}"

    def run(self, served: Served) -> None:
        """Serves until a signal or `stop`; then finishes the requests it has accepted.

        Args:
            served: The model.

        Raises:
            RuntimeError: The model failed its warm-up.
        """
        import uvicorn

        app: Any = DetectionApi(served, self._config, lambda error: self._warmed(served, error)).app()
        settings = uvicorn.Config(
            RequestLog(app) if self._config.use_log else app,
            http=strict_protocol(self._config.client_timeout, self._config.max_connections),
            ws="none",
            backlog=self._config.max_connections,
            lifespan="on",
            log_config=None,
            log_level="error",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=int(self._config.answer_timeout) + _GRACE,
        )
        self._server = uvicorn.Server(settings)
        with _surviving_signals():
            self._server.run(sockets=[self._socket])
        if self._failure:
            raise RuntimeError(f"The model failed its warm-up: {self._failure}") from self._failure

    def close(self) -> None:
        """Gives the port back."""
        self._socket.close()

    def stop(self) -> None:
        """Ends `run` gracefully, from another thread."""
        self._server.should_exit = True

    def _warmed(self, served: Served, error: Exception | None) -> None:
        if error is None:
            LOG.info("ready: model %s, version %d on %s", served.name, served.version, self.url)
        else:
            self._failure = error
            self.stop()


def require_extra() -> None:
    """Checks that the server's packages are there.

    Raises:
        ModuleNotFoundError: They are not; with the command that installs them.
    """
    try:
        import starlette
        import uvicorn
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"The server needs {error.name!r}, which is not installed: {install_hint('serve')}"
        ) from error
    del starlette, uvicorn


def _bound(config: ServeConfig) -> socket.socket:
    """Bound, so that nobody else gets the port; it listens from `run` on, connections before that are refused."""
    taken = socket.socket(socket.AF_INET6 if ":" in config.host else socket.AF_INET)
    try:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((config.host, config.port))
    except OSError as error:
        taken.close()
        problem = f"Cannot listen on {config.host} port {config.port}: {error.strerror}"
        raise OSError(f"{problem}; choose another --port (0 takes a free one) or --host") from error
    return taken


@contextlib.contextmanager
def _surviving_signals() -> Iterator[None]:
    """Uvicorn raises the signal that ended it once more; here it has been answered already."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    try:
        former = {number: signal.signal(number, lambda *_: None) for number in numbers}
    except ValueError:  # not in the main thread, where uvicorn takes no signals either
        former = {}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


class RequestLog:
    """Writes one line a request, but none for probes of health, around an ASGI application.

    Args:
        app: The application.
    """

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Calls the application."""
        if scope["type"] != "http" or scope["path"] in _PROBES:
            await self._app(scope, receive, send)
            return
        began, status = time.monotonic(), 0

        async def watch(message: Any) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self._app(scope, receive, watch)
        finally:
            client = scope["client"][0] if scope["client"] else "-"
            count = scope.get("state", {}).get("images")
            images = "" if count is None else f", {count} image{'s' * (count != 1)}"
            path = scope["raw_path"].decode("ascii", "replace")[:200]  # as it came: no control characters
            took = 1000 * (time.monotonic() - began)
            LOG.info("%s %s %s: %d%s, %.0f ms", client, scope["method"], path, status, images, took)


def strict_protocol(timeout: float, most: int) -> type:
    """Uvicorn's HTTP/1.1 with what it lacks: deadlines for receiving headers and for sending responses, JSON errors.

    Args:
        timeout: Seconds.
        most: Connections; requests on further ones are answered 503.

    Returns:
        The protocol class.
    """
    import h11
    from starlette.responses import JSONResponse
    from uvicorn.protocols.http.h11_impl import H11Protocol

    full = {"error": f"{most} clients are connected already; try again in a moment."}
    sent_away = JSONResponse(full, 503, {"Retry-After": "1", "Connection": "close"})

    class StrictProtocol(H11Protocol):
        """Hangs up on clients that are too slow, sends away those that are too many."""

        app: Any
        _headers_due: Any = None
        _taken_due: Any = None

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self._served = self.app

        def handle_events(self) -> None:
            self.app = sent_away if len(self.connections) > most else self._served
            super().handle_events()

        def send_400_response(self, msg: str) -> None:
            body = json.dumps({"error": msg}).encode()
            headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), "Connection": "close"}
            answer = h11.Response(status_code=400, headers=list(headers.items()), reason="Bad Request")
            for event in (answer, h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
            self.transport.close()

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._headers_due = self.loop.call_later(timeout, self._hang_up)

        def data_received(self, data: bytes) -> None:
            if self._headers_due is None and self._is_between_requests():
                self._headers_due = self.loop.call_later(timeout, self._hang_up)
            super().data_received(data)
            if not self._is_between_requests():
                self._headers_due = _cancelled(self._headers_due)

        def connection_lost(self, exc: Exception | None) -> None:
            self._headers_due, self._taken_due = _cancelled(self._headers_due), _cancelled(self._taken_due)
            super().connection_lost(exc)

        def pause_writing(self) -> None:
            super().pause_writing()
            self._taken_due = self.loop.call_later(timeout, self.transport.abort)

        def resume_writing(self) -> None:
            self._taken_due = _cancelled(self._taken_due)
            super().resume_writing()

        def timeout_keep_alive_handler(self) -> None:
            super().timeout_keep_alive_handler()
            self._taken_due = self.loop.call_later(timeout, self.transport.abort)  # closing waits for the reader

        def _is_between_requests(self) -> bool:
            return self.cycle is None or self.cycle.response_complete

        def _hang_up(self) -> None:
            self._headers_due = None
            self.transport.abort()

    return StrictProtocol


def _cancelled(timer: Any) -> Any:
    """Nothing, after stopping a timer that may be running."""
    if timer is not None:
        timer.cancel()
    return None
