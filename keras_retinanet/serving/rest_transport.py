"""Requests over TensorFlow Serving's REST API, with Python's `http.client`."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import threading
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, urlsplit

from keras_retinanet.serving.predict_messages import IMAGES
from keras_retinanet.serving.transport import ServerError

_TRANSIENT = (429, 502, 503)
_REFUSED = (400, 413, 415, 422)
_SHOWN = 500  # characters of a message


class RestTransport:
    """One connection per thread, kept open between requests.

    Args:
        address: `http://HOST:PORT` or `https://…`, with a path if a proxy adds one.
        model: Name of the model.
        version: Version of the model; `None` for the newest.
        timeout: Seconds to wait for data from the server.
    """

    def __init__(self, address: str, model: str, version: int | None, timeout: float) -> None:
        self._address, self._parts, self._timeout = address, urlsplit(address), timeout
        place = f"/versions/{version}" if version is not None else ""
        self._path = f"{self._parts.path.rstrip('/')}/v1/models/{quote(model, safe='')}{place}:predict"
        self._own = threading.local()
        self._all: list[http.client.HTTPConnection] = []

    def predict(self, files: Sequence[bytes]) -> dict[str, Any]:
        """Sends one request; see `Transport`."""
        images = [{"b64": base64.b64encode(contents).decode()} for contents in files]
        body = json.dumps({"inputs": {IMAGES: images}}).encode()
        status, headers, answer = self._send(body)
        try:
            content = json.loads(answer)
        except ValueError:
            content = {}
        if status == 200 and isinstance(content, dict) and isinstance(content.get("outputs"), dict):
            outputs: dict[str, Any] = content["outputs"]
            return outputs
        message = content.get("error") if isinstance(content, dict) else None
        text = str(message or answer[:_SHOWN].decode("utf-8", "replace"))[:_SHOWN]
        wait = headers.get("Retry-After", "")
        raise ServerError(
            f"{self._address}{self._path} answered {status}: {text}",
            is_transient=status in _TRANSIENT,
            is_refusal=status in _REFUSED,
            retry_after=float(wait) if wait.isdecimal() else None,
        )

    def close(self) -> None:
        """Closes the connections of all threads."""
        while self._all:
            self._all.pop().close()

    def _send(self, body: bytes) -> tuple[int, Any, bytes]:
        connection = self._connection()
        was_kept = connection.sock is not None
        try:
            try:
                return _exchange(connection, self._path, body)
            except ConnectionError:
                connection.close()
                if not was_kept:
                    raise
                return _exchange(connection, self._path, body)  # the server had closed what had long been silent
        except TimeoutError:
            connection.close()
            raise ServerError(f"{self._address} did not answer within {self._timeout:g} s") from None
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            reason = f"{type(error).__name__}: {error}"
            raise ServerError(f"{self._address} cannot be reached: {reason}", is_transient=True) from error

    def _connection(self) -> http.client.HTTPConnection:
        if not hasattr(self._own, "connection"):
            is_secure = self._parts.scheme == "https"
            kind = http.client.HTTPSConnection if is_secure else http.client.HTTPConnection
            self._own.connection = kind(str(self._parts.hostname), self._parts.port, timeout=self._timeout)
            self._all.append(self._own.connection)
        connection: http.client.HTTPConnection = self._own.connection
        return connection


def _exchange(connection: http.client.HTTPConnection, path: str, body: bytes) -> tuple[int, Any, bytes]:
    """Status, headers and body of the response."""
    # A server may refuse a large body, say why and hang up before all of it is sent.
    with contextlib.suppress(BrokenPipeError):
        connection.request("POST", path, body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    return response.status, response.headers, response.read()
