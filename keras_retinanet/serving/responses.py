"""JSON responses, and the HTTP status of each error."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

from keras_retinanet.serving.admission import BusyError, TooManyError
from keras_retinanet.serving.bodies import BodyError
from keras_retinanet.serving.predict_api import RequestError
from keras_retinanet.serving.service import ImageError

if TYPE_CHECKING:
    from starlette.responses import Response

LOG = logging.getLogger("keras_retinanet.serving")
STATUS: dict[type[Exception], int] = {
    RequestError: 400,
    ImageError: 400,
    TooManyError: 413,
    BusyError: 503,
    TimeoutError: 504,
}
"""Error of a request → HTTP status."""
GONE = 499
"""Status of a response that the client does not read any more."""
RETRY = {"Retry-After": "1"}


def json_response(body: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A response in JSON.

    Args:
        body: Its content.
        status: HTTP status.
        headers: Further headers. Defaults to none.

    Returns:
        The response.
    """
    from starlette.responses import Response

    return Response(json.dumps(body).encode(), status, headers, media_type="application/json")


def bytes_response(body: bytes, kind: str, headers: dict[str, str] | None = None) -> Response:
    """A response of any kind.

    Args:
        body: Its content.
        kind: Content type, with its parameters.
        headers: Further headers. Defaults to none.

    Returns:
        The response.
    """
    from starlette.responses import Response

    return Response(body, headers={**(headers or {}), "Content-Type": kind})


def error_response(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    """The response to a request that failed.

    Args:
        status: HTTP status.
        message: The problem and the fix.
        headers: Further headers. Defaults to none.

    Returns:
        The response.
    """
    return json_response({"error": message}, status, headers)


def failure_response(error: Exception, answer_timeout: float) -> Response:
    """The response to a request whose detection failed.

    Args:
        error: The error.
        answer_timeout: Seconds until the response.

    Returns:
        The response; of an unexpected error it tells nothing, which is in the log.
    """
    from starlette.requests import ClientDisconnect

    if isinstance(error, BodyError):
        return error_response(error.status, str(error), {"Connection": "close"})
    if isinstance(error, ClientDisconnect):
        return error_response(GONE, "The client has gone.")
    kind = next((kind for kind in STATUS if isinstance(error, kind)), None)
    if kind is None:
        LOG.error("detection failed: %s: %s", type(error).__name__, " ".join(str(error).split())[:500])
        return error_response(500, "The model failed; see the server's log.")
    if kind is TimeoutError:
        error = TimeoutError(f"No result within {answer_timeout:g} s; the server is overloaded.")
    retry = {"Retry-After": str(error.retry_after)} if isinstance(error, BusyError) else None
    return error_response(STATUS[kind], str(error), retry)
