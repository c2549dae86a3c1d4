"""The server's routes: two protocols for detections, health, metrics, and a page to try a model."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from keras_retinanet.config import ServeConfig
from keras_retinanet.schema import Detections
from keras_retinanet.serving import infer_api, predict_api
from keras_retinanet.serving.bodies import BodyReader
from keras_retinanet.serving.metrics import Metrics
from keras_retinanet.serving.model_table import ModelTable
from keras_retinanet.serving.model_versions import ModelSource
from keras_retinanet.serving.page import PAGE_HEADERS, render_page
from keras_retinanet.serving.peers import Peers
from keras_retinanet.serving.responses import (
    GONE,
    LOG,
    RETRY,
    bytes_response,
    error_response,
    failure_response,
    json_response,
)
from keras_retinanet.serving.served_model import LoadedVersion, ServedModel
from keras_retinanet.serving.service import Decoding
from keras_retinanet.version import __version__

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

CUT_OFF = "X-Cut-Off-Images"
"""Header of a reply: places of the JPEGs that lack their last bytes, as `"0,3"`."""

Call = predict_api.PredictCall | infer_api.InferCall


class DetectionApi:
    """Handles requests for some models.

    Args:
        sources: The models; the first is on the page.
        config: The limits.
        on_loaded: Called after all models have been loaded, and after each new version, with the models; or with the
            error that prevented it.
        peers: The other processes that answer on this port. Defaults to none.
    """

    def __init__(
        self,
        sources: Sequence[ModelSource],
        config: ServeConfig,
        on_loaded: Callable[[Sequence[ServedModel] | Exception], None],
        peers: Peers | None = None,
    ) -> None:
        self._config, self._on_loaded = config, on_loaded
        self._peers = Peers() if peers is None else peers
        self._metrics = Metrics()
        self._decoding = Decoding(config.max_pixels)
        models = (ServedModel(source, config, self._decoding, self._metrics) for source in sources)
        self._models = ModelTable(models)
        self._bodies = BodyReader(config.max_request_mb * 2**20, config.client_timeout)

    def app(self) -> Starlette:
        """The ASGI application.

        Returns:
            The application, for `uvicorn` or any other ASGI server.
        """
        from starlette.applications import Starlette
        from starlette.exceptions import HTTPException
        from starlette.routing import Route

        versions = ("/versions/{version}", "")
        v1, v2 = ([f"/v{n}/models/{{name}}{version}" for version in versions] for n in (1, 2))
        posts = ["GET", "POST"]
        routes = [
            Route("/", self._page),
            *(Route(place, self._health) for place in ("/healthz", "/v2/health/live")),
            *(Route(place, self._readiness) for place in ("/readyz", "/v2/health/ready")),
            Route("/metrics", self._counts),
            Route("/v2", self._server_metadata),
            *(Route(f"{place}:predict", self._predict, methods=posts) for place in v1),
            *(Route(f"{place}/metadata", self._with_version(self._signature)) for place in v1),
            *(Route(place, self._status) for place in v1),
            *(Route(f"{place}/infer", self._infer, methods=posts) for place in v2),
            *(Route(f"{place}/ready", self._model_readiness) for place in v2),
            *(Route(place, self._with_version(self._model_metadata)) for place in v2),
        ]
        app = Starlette(routes=routes, lifespan=self._lifespan, exception_handlers={HTTPException: self._http_error})
        app.router.redirect_slashes = False  # there are no other paths
        return app

    @contextlib.asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        del app
        tasks = [asyncio.create_task(self._load())]
        if self._peers.is_any_ready():  # they answer meanwhile, so that no request meets a model that is not loaded
            await asyncio.gather(*tasks)
        else:
            self._peers.start_listening()
        if self._config.reload_seconds:
            tasks += [asyncio.create_task(model.follow(self._note_new)) for model in self._models.by_name.values()]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for model in self._models.by_name.values():
                await model.close()
            self._decoding.close()

    async def _load(self) -> None:
        try:
            for model in self._models.by_name.values():
                await model.load()
        except Exception as error:
            self._on_loaded(error)
        else:
            self._peers.set_ready()
            self._on_loaded(list(self._models.by_name.values()))

    def _note_new(self, model: ServedModel) -> None:
        self._on_loaded([model])

    async def _page(self, request: Request) -> Response:
        from starlette.responses import HTMLResponse

        name = request.query_params.get("model", self._models.first)
        return self._models.missing_model(name) or HTMLResponse(render_page(name), headers=PAGE_HEADERS)

    async def _health(self, request: Request) -> Response:
        del request
        return json_response({"status": "alive", "live": True})

    async def _readiness(self, request: Request) -> Response:
        del request
        versions = {name: model.current for name, model in self._models.by_name.items()}
        models = {name: "loading" if one is None else f"version {one.number}" for name, one in versions.items()}
        is_ready = all(versions.values()) and not self._peers.is_any_loading()
        status = {"status": "ready" if is_ready else "loading", "ready": is_ready, "models": models}
        return json_response(status, 200 if is_ready else 503, None if is_ready else RETRY)

    async def _counts(self, request: Request) -> Response:
        del request
        try:
            text, kind = await asyncio.to_thread(self._metrics.render)
        except ModuleNotFoundError as error:
            return error_response(501, str(error))
        return bytes_response(text, kind)

    async def _server_metadata(self, request: Request) -> Response:
        del request
        return json_response(infer_api.server_metadata(__version__))

    async def _status(self, request: Request) -> Response:
        name = request.path_params["name"]
        current = None if self._models.missing_model(name) else self._models.by_name[name].current
        if current is None:
            return self._models.missing_model(name) or json_response(predict_api.status(0, is_ready=False))
        return self._models.missing_version(request, current) or json_response(
            predict_api.status(current.number, is_ready=True)
        )

    async def _model_readiness(self, request: Request) -> Response:
        name = request.path_params["name"]
        if missing := self._models.missing_model(name):
            return missing
        current = self._models.by_name[name].current
        if current is not None and (missing := self._models.missing_version(request, current)):
            return missing
        return json_response({"name": name, "ready": current is not None}, 200 if current else 503)

    def _with_version(
        self, describe: Callable[[str, LoadedVersion], dict[str, Any]]
    ) -> Callable[..., Awaitable[Response]]:
        """A route that describes a loaded model."""

        async def handle(request: Request) -> Response:
            current = self._models.current(request)
            if not isinstance(current, LoadedVersion):
                return current
            return json_response(describe(request.path_params["name"], current))

        return handle

    def _signature(self, name: str, current: LoadedVersion) -> dict[str, Any]:
        return predict_api.metadata(name, current.number, current.runtime.class_names)

    def _model_metadata(self, name: str, current: LoadedVersion) -> dict[str, Any]:
        return infer_api.model_metadata(name, current.number, current.runtime.class_names)

    async def _predict(self, request: Request) -> Response:
        def write(call: Any, found: list[Detections], current: LoadedVersion, headers: dict[str, str]) -> Response:
            return json_response(predict_api.reply(call, found, current.runtime.class_names), headers=headers)

        return await self._answer(request, predict_api.read_call, write)

    async def _infer(self, request: Request) -> Response:
        def read(body: bytearray) -> Call:
            return infer_api.read_call(body, request.headers.get(infer_api.HEADER_LENGTH))

        def write(call: Any, found: list[Detections], current: LoadedVersion, headers: dict[str, str]) -> Response:
            model = request.path_params["name"], current.number
            body, length = infer_api.reply(call, found, current.runtime.class_names, model)
            kind = "application/json" if length is None else "application/octet-stream"
            binary = {} if length is None else {infer_api.HEADER_LENGTH: str(length)}
            return bytes_response(body, kind, {**headers, **binary})

        return await self._answer(request, read, write)

    async def _answer(
        self, request: Request, read: Callable[[bytearray], Call], write: Callable[..., Response]
    ) -> Response:
        """Answers a request for detections, and counts it."""
        from starlette.exceptions import HTTPException

        if request.method != "POST":  # or a GET would look for a model called NAME:predict
            raise HTTPException(405, headers={"Allow": "POST"})
        began, name = time.monotonic(), request.path_params["name"]
        response = await self._detected(request, read, write)
        if name in self._models.by_name:
            images = getattr(request.state, "images", 0)
            self._metrics.count_request(name, response.status_code, time.monotonic() - began, images)
        return response

    async def _detected(
        self, request: Request, read: Callable[[bytearray], Call], write: Callable[..., Response]
    ) -> Response:
        current = self._models.current(request)
        if not isinstance(current, LoadedVersion):
            return current
        try:
            async with self._bodies.body(request) as body:
                call = await asyncio.to_thread(read, body)
                body.clear()
                request.state.images = len(call.images)
                current = self._models.current(request)  # a newer one may have been loaded in the meantime
                if not isinstance(current, LoadedVersion):
                    return current
                found = await self._detect(request, call.images, current)
        except Exception as error:
            return failure_response(error, self._config.answer_timeout)
        if found is None:
            return error_response(GONE, "The client has gone.")
        cut_off = ",".join(str(index) for index, one in enumerate(found) if one.get("is_cut_off"))
        if cut_off:
            LOG.warning("JPEGs without their last bytes, decoded as far as they go: images %s of a request", cut_off)
        return write(call, found, current, {CUT_OFF: cut_off} if cut_off else {})

    async def _detect(self, request: Request, images: Sequence[Any], current: LoadedVersion) -> list[Detections] | None:
        """The detections; `None` if the client disconnects first."""
        name = request.path_params["name"]
        with current.in_use() as service:
            self._metrics.add_waiting(name, len(images))
            answer = asyncio.create_task(service.detect(images))
            hung_up = asyncio.create_task(_hung_up(request))
            try:
                async with asyncio.timeout(self._config.answer_timeout):
                    await asyncio.wait({answer, hung_up}, return_when=asyncio.FIRST_COMPLETED)
                return answer.result() if answer.done() else None
            finally:
                answer.cancel()
                hung_up.cancel()
                self._metrics.add_waiting(name, -len(images))

    async def _http_error(self, request: Request, error: Exception) -> Response:
        status = getattr(error, "status_code", 500)
        name = self._models.first
        v1, v2 = f"/v1/models/{name}", f"/v2/models/{name}"
        known = f"POST {v1}:predict, GET {v1}, GET {v1}/metadata, POST {v2}/infer, GET {v2}, GET /v2, GET /metrics"
        wanted = f"{request.method} {request.url.path[:100]}"
        message = f"There is no {wanted!r}; this server has {known}, GET /healthz, GET /readyz, GET /"
        return error_response(status, f"{message}.", getattr(error, "headers", None))


async def _hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
