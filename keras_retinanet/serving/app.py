"""The server's routes: TensorFlow Serving's REST predict API, health, and a page to try the model."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from keras_retinanet.config import ServeConfig
from keras_retinanet.runtimes import Runtime
from keras_retinanet.schema import Detections
from keras_retinanet.serving import predict_api
from keras_retinanet.serving.bodies import BodyError, BodyReader
from keras_retinanet.serving.page import PAGE_HEADERS, render_page
from keras_retinanet.serving.service import BusyError, DetectionService, ImageError, TooManyError

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

LOG = logging.getLogger("keras_retinanet.serving")
STATUS: dict[type[Exception], int] = {
    predict_api.RequestError: 400,
    ImageError: 400,
    TooManyError: 413,
    BusyError: 503,
    TimeoutError: 504,
}
"""Error of a request → HTTP status."""

CUT_OFF = "X-Cut-Off-Images"
"""Header of a reply: places of the JPEGs that lack their last bytes, as `"0,3"`."""
_GONE = 499  # the client does not read it any more
_RETRY = {"Retry-After": "1"}


@dataclass(frozen=True)
class Served:
    """A model with its name and version.

    Attributes:
        runtime: Detects the objects.
        name: Name in URLs.
        version: Version number.
    """

    runtime: Runtime
    name: str
    version: int = 1


class DetectionApi:
    """Handles requests for one model.

    Args:
        served: The model.
        config: The limits.
        on_warm: Called after the warm-up, with the error if it failed, else with `None`.
    """

    def __init__(self, served: Served, config: ServeConfig, on_warm: Callable[[Exception | None], None]) -> None:
        self._served, self._config, self._on_warm = served, config, on_warm
        self._service = DetectionService(served.runtime, config)
        self._bodies = BodyReader(config.max_request_mb * 2**20, config.client_timeout)

    def app(self) -> Starlette:
        """The ASGI application.

        Returns:
            The application, for `uvicorn` or any other ASGI server.
        """
        from starlette.applications import Starlette
        from starlette.exceptions import HTTPException
        from starlette.routing import Route

        places = [f"/v1/models/{{name}}{version}" for version in ("/versions/{version}", "")]
        routes = [
            Route("/", self._page),
            Route("/healthz", self._health),
            Route("/readyz", self._readiness),
            *(Route(f"{place}:predict", self._predict, methods=["GET", "POST"]) for place in places),
            *(Route(f"{place}/metadata", self._metadata) for place in places),
            *(Route(place, self._status) for place in places),
        ]
        app = Starlette(routes=routes, lifespan=self._lifespan, exception_handlers={HTTPException: self._http_error})
        app.router.redirect_slashes = False  # there are no other paths
        return app

    @contextlib.asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        del app
        async with self._service.running():
            warming = asyncio.create_task(self._warm_up())
            yield
            warming.cancel()

    async def _warm_up(self) -> None:
        try:
            await self._service.warm_up()
        except Exception as error:
            self._on_warm(error)
        else:
            self._on_warm(None)

    async def _page(self, request: Request) -> Response:
        from starlette.responses import HTMLResponse

        del request
        return HTMLResponse(render_page(self._served.name), headers=PAGE_HEADERS)

    async def _health(self, request: Request) -> Response:
        del request
        return _json({"status": "alive"})

    async def _readiness(self, request: Request) -> Response:
        del request
        is_ready = self._service.is_ready
        return _json({"status": "ready" if is_ready else "warming up"}, 200 if is_ready else 503)

    async def _status(self, request: Request) -> Response:
        return self._unknown(request) or _json(predict_api.status(self._served.version, self._service.is_ready))

    async def _metadata(self, request: Request) -> Response:
        served = self._served
        described = predict_api.metadata(served.name, served.version, served.runtime.class_names)
        return self._unknown(request) or _json(described)

    async def _predict(self, request: Request) -> Response:
        from starlette.exceptions import HTTPException

        if request.method != "POST":  # or a GET would look for a model called NAME:predict
            raise HTTPException(405, headers={"Allow": "POST"})
        if unknown := self._unknown(request):
            return unknown
        if not self._service.is_ready:
            return _error(503, "The model is warming up; try again in a moment.", _RETRY)
        try:
            async with self._bodies.body(request) as body:
                call = await asyncio.to_thread(predict_api.read_call, body)
                body.clear()
                request.state.images = len(call.files)
                found = await self._detect(request, call.files)
        except BodyError as refused:
            return _error(refused.status, str(refused), {"Connection": "close"})
        except Exception as error:
            return self._failure(error)
        if found is None:
            return _error(_GONE, "The client has gone.")
        cut_off = ",".join(str(index) for index, one in enumerate(found) if one.get("is_cut_off"))
        if cut_off:
            LOG.warning("JPEGs without their last bytes, decoded as far as they go: images %s of a request", cut_off)
        headers = {CUT_OFF: cut_off} if cut_off else None
        return _json(predict_api.reply(call, found, self._served.runtime.class_names), headers=headers)

    async def _detect(self, request: Request, files: Sequence[bytes]) -> list[Detections] | None:
        """The detections; `None` if the client disconnects first."""
        answer = asyncio.create_task(self._service.detect(files))
        hung_up = asyncio.create_task(_hung_up(request))
        try:
            async with asyncio.timeout(self._config.answer_timeout):
                await asyncio.wait({answer, hung_up}, return_when=asyncio.FIRST_COMPLETED)
            return answer.result() if answer.done() else None
        finally:
            answer.cancel()
            hung_up.cancel()

    def _failure(self, error: Exception) -> Response:
        from starlette.requests import ClientDisconnect

        if isinstance(error, ClientDisconnect):
            return _error(_GONE, "The client has gone.")
        kind = next((kind for kind in STATUS if isinstance(error, kind)), None)
        if kind is None:
            LOG.error("detection failed: %s: %s", type(error).__name__, " ".join(str(error).split())[:500])
            return _error(500, "The model failed; see the server's log.")
        if kind is TimeoutError:
            error = TimeoutError(f"No result within {self._config.answer_timeout:g} s; the server is overloaded.")
        return _error(STATUS[kind], str(error), _RETRY if STATUS[kind] == 503 else None)

    def _unknown(self, request: Request) -> Response | None:
        """An error if the request names another model or version."""
        name, version = request.path_params["name"], request.path_params.get("version")
        served = self._served
        if name != served.name:
            return _error(404, f"There is no model {name[:60]!r}; this server has {served.name!r}.")
        if version not in (None, str(served.version)):
            return _error(404, f"There is no version {version[:20]!r} of {name!r}; this server has {served.version}.")
        return None

    async def _http_error(self, request: Request, error: Exception) -> Response:
        status = getattr(error, "status_code", 500)
        place = f"/v1/models/{self._served.name}"
        known = f"POST {place}:predict, GET {place}, GET {place}/metadata, GET /healthz, GET /readyz, GET /"
        wanted = f"{request.method} {request.url.path[:100]}"
        return _error(status, f"There is no {wanted!r}; this server has {known}.", getattr(error, "headers", None))


async def _hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _json(body: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> Response:
    from starlette.responses import Response

    return Response(json.dumps(body).encode(), status, headers, media_type="application/json")


def _error(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    return _json({"error": message}, status, headers)
