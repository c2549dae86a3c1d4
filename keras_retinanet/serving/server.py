"""The server's process: socket, signals and log."""

from __future__ import annotations

import contextlib
import functools
import signal
import socket
import time
from collections.abc import Iterator
from typing import Any

from keras_retinanet.config import ServeConfig
from keras_retinanet.extras import install_hint
from keras_retinanet.serving.app import LOG, DetectionApi, Served
from keras_retinanet.serving.strict_protocol import StrictProtocol

_GRACE = 5  # seconds added to a request's own deadline before the server stops without it
_PROBES = ("/healthz", "/readyz")


class Server:
    """Serves one model on one port.

    The constructor binds the port, so that an address in use is reported before a model is loaded.

    Args:
        config: Address and limits.

    Raises:
        OSError: The port is in use, or the address does not belong to this machine.
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
        """Address on which the server listens."""
        host, port = self._socket.getsockname()[:2]
        return f"http://{f'[{host}]' if ':' in host else host}:{port}"

    def run(self, served: Served) -> None:
        """Serves until a signal or `stop`, then finishes the accepted requests.

        Args:
            served: The model.

        Raises:
            RuntimeError: The model failed its warm-up.
        """
        import uvicorn
        from uvicorn.protocols.http.h11_impl import H11Protocol

        app: Any = DetectionApi(served, self._config, lambda error: self._warmed(served, error)).app()
        protocol = type("Protocol", (StrictProtocol, H11Protocol), {})
        settings = uvicorn.Config(
            RequestLog(app) if self._config.use_log else app,
            http=functools.partial(
                protocol, timeout=self._config.client_timeout, max_connections=self._config.max_connections
            ),
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
        """Releases the port."""
        self._socket.close()

    def stop(self) -> None:
        """Ends `run` gracefully. Call it from another thread."""
        self._server.should_exit = True

    def _warmed(self, served: Served, error: Exception | None) -> None:
        if error is None:
            LOG.info("ready: model %s, version %d on %s", served.name, served.version, self.url)
        else:
            self._failure = error
            self.stop()


def require_extra() -> None:
    """Checks that the server's packages are installed.

    Raises:
        ModuleNotFoundError: A package is missing; the message has the command that installs it.
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
    """A bound socket, which reserves the port; until `run` listens on it, connections are refused."""
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
    """Ignores the signal that ended Uvicorn, which Uvicorn raises again at the end."""
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
    """Wraps an ASGI application and logs one line per request, except for health probes.

    Args:
        app: The application.
    """

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Calls the application and logs the request."""
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
            path = scope["raw_path"].decode("ascii", "replace")[:200]  # still encoded: no control characters
            took = 1000 * (time.monotonic() - began)
            LOG.info("%s %s %s: %d%s, %.0f ms", client, scope["method"], path, status, images, took)
