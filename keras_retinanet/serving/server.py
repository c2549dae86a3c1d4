"""The server's process: socket, signals and log."""

from __future__ import annotations

import contextlib
import functools
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from typing import Any

from keras_retinanet.config import ServeConfig
from keras_retinanet.extras import install_hint
from keras_retinanet.serving.app import DetectionApi
from keras_retinanet.serving.model_versions import ModelSource
from keras_retinanet.serving.peers import Peers
from keras_retinanet.serving.responses import LOG
from keras_retinanet.serving.served_model import ServedModel
from keras_retinanet.serving.strict_protocol import StrictProtocol

_GRACE = 5  # seconds added to a request's own deadline before the server stops without it
_PROBES = ("/healthz", "/readyz", "/metrics", "/v2/health/live", "/v2/health/ready")


class Server:
    """Serves some models on one port.

    The constructor binds the port, so that an address in use is reported before a model is loaded.

    Args:
        config: Address and limits.
        listening: A bound socket that other processes share. Defaults to a new one.
        peers: Those processes. Defaults to none.

    Raises:
        OSError: The port is in use, or the address does not belong to this machine.
        ModuleNotFoundError: The extra `serve` is not installed.
    """

    def __init__(self, config: ServeConfig, listening: socket.socket | None = None, peers: Peers | None = None) -> None:
        require_extra()
        self._config, self._peers = config, peers
        self._socket = bound_socket(config) if listening is None else listening
        self._server: Any = None
        self._failure: Exception | None = None

    @property
    def url(self) -> str:
        """Address on which the server listens."""
        host, port = self._socket.getsockname()[:2]
        return f"http://{f'[{host}]' if ':' in host else host}:{port}"

    def run(self, sources: Sequence[ModelSource]) -> None:
        """Serves until a signal or `stop`, then finishes the accepted requests.

        Args:
            sources: The models.

        Raises:
            ValueError: A model cannot be opened.
            OSError: A model does not exist.
            RuntimeError: A model failed its warm-up.
        """
        import uvicorn
        from uvicorn.protocols.http.h11_impl import H11Protocol

        app: Any = DetectionApi(sources, self._config, self._note_loaded, self._peers).app()
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
            raise self._failure

    def close(self) -> None:
        """Releases the port."""
        self._socket.close()

    def stop(self) -> None:
        """Ends `run` gracefully. Call it from another thread."""
        self._server.should_exit = True

    def _note_loaded(self, loaded: Sequence[ServedModel] | Exception) -> None:
        if isinstance(loaded, Exception):
            self._failure = loaded
            self.stop()
            return
        for model in loaded:
            if model.current is not None:
                LOG.info("ready: model %s, version %d on %s", model.name, model.current.number, self.url)


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


def bound_socket(config: ServeConfig) -> socket.socket:
    """Reserves the port; until a server listens on it, connections are refused.

    Args:
        config: Host and port.

    Returns:
        A bound socket.

    Raises:
        OSError: The port is in use, or the address does not belong to this machine.
    """
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
