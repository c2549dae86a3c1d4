"""A runtime whose answers tell which image they belong to, and servers that run beside the test."""

from __future__ import annotations

import contextlib
import io
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from PIL import Image

from keras_retinanet.config import FilterConfig, ResizeConfig, ServeConfig
from keras_retinanet.runtimes import Description, Runtime

NAMES = ("ant", "bee", "cow")


class PixelRuntime(Runtime):
    """Finds `count` boxes in an image, all told by its first pixel (r, g, b): r % 3 boxes of class g % 3 …

    The k-th box is `(r, g, b, k)`, its score `1 / (k + 2)`. `before` is called with every batch.
    """

    def __init__(
        self,
        before: Callable[[Sequence[Any]], None] = lambda images: None,
        image_size: tuple[int, int] | None = None,
    ) -> None:
        super().__init__(Description(NAMES, ResizeConfig(32, 64), (0.0, 0.0, 0.0), FilterConfig(), image_size))
        self.before = before
        self.batches: list[list[tuple[int, ...]]] = []

    def raw_outputs(self, images: Any) -> Any:
        raise NotImplementedError

    def detect(self, images: Sequence[Any], fits: Any = None, *, batch_size: Any = None) -> list[Any]:
        del batch_size
        assert len(fits) == len(images), "the server has computed the sizes already"
        self.batches.append([image.shape[:2] for image in images])
        self.before(images)
        return [self.found(image[0, 0]) for image in images]

    @staticmethod
    def found(pixel: Any) -> dict[str, Any]:
        r, g, b = (int(value) for value in pixel)
        count = r % 3
        return {
            "boxes": np.array([[r, g, b, k] for k in range(count)], np.float32).reshape(-1, 4),
            "scores": np.array([1 / (k + 2) for k in range(count)], np.float32),
            "labels": np.full(count, g % 3, np.int32),
        }


@pytest.fixture(scope="session")
def pixel_runtime() -> type[PixelRuntime]:
    return PixelRuntime


@pytest.fixture(scope="session", name="png")
def png_fixture() -> Callable[..., bytes]:
    return png


@pytest.fixture(scope="session", name="until")
def until_fixture() -> Callable[..., None]:
    return until


@pytest.fixture(scope="session", name="fetch")
def fetch_fixture() -> Callable[..., tuple[int, Any, bytes]]:
    return fetch


def png(colour: tuple[int, int, int], size: tuple[int, int] = (24, 16), kind: str = "png") -> bytes:
    """An image file of one colour; `size` is width and height."""
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, kind)
    return buffer.getvalue()


class Running:
    """A `retinanet-serve` in a thread; a new version is loaded once `newest` is replaced."""

    def __init__(self, runtime: Any, name: str = "insects", version: int = 3, more: Any = (), **limits: Any) -> None:
        from keras_retinanet.serving.model_versions import ModelSource, Version
        from keras_retinanet.serving.server import Server

        self.runtime = runtime
        self.server = Server(ServeConfig(port=0, **limits))
        self.url = self.server.url
        self.error: Exception | None = None
        self.newest = Version(version, lambda: runtime)
        sources = [ModelSource(name, lambda: self.newest)]
        self.thread = threading.Thread(target=self._run, args=([*sources, *more],))
        self.thread.start()

    def _run(self, sources: Any) -> None:
        try:
            self.server.run(sources)
        except Exception as error:
            self.error = error

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.url.removeprefix("http://").rpartition(":")
        return host, int(port)

    def stop(self) -> None:
        self.server.stop()
        self.thread.join(30)
        assert not self.thread.is_alive()


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Waits for something that another thread does."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.005)


@pytest.fixture(scope="session")
def serve() -> Callable[..., contextlib.AbstractContextManager[Running]]:
    """Runs a server inside a `with`; it is ready when entered, unless `waits=False`."""
    pytest.importorskip("starlette", reason="needs the extra `serve`")
    pytest.importorskip("uvicorn", reason="needs the extra `serve`")

    @contextlib.contextmanager
    def run(runtime: Any, *, waits: bool = True, **limits: Any) -> Iterator[Running]:
        running = Running(runtime, **limits)
        try:
            if waits:
                until(lambda: fetch(running.url + "/readyz")[0] == 200)
            yield running
        finally:
            running.stop()

    return run


def fetch(url: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> tuple[int, Any, bytes]:
    """Status, headers and body; status 0 while nobody listens."""
    import urllib.error
    import urllib.request

    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers or {}), timeout=60) as reply:
            return reply.status, reply.headers, reply.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()
    except (urllib.error.URLError, ConnectionError):  # refused, or reset while the listening socket closes
        return 0, {}, b""


@pytest.fixture(scope="module")
def grpc_server(pixel_runtime: Any) -> Iterator[Any]:
    grpc = pytest.importorskip("grpc", reason="needs the extra `grpc`")
    predict = pytest.importorskip("tensorflow_serving.apis.predict_pb2", reason="needs tensorflow-serving-api")
    service = pytest.importorskip("tensorflow_serving.apis.prediction_service_pb2_grpc")
    import tensorflow as tf

    from keras_retinanet.serving.images import decoded
    from keras_retinanet.serving.predict_api import PredictCall, reply

    class Servicer(service.PredictionServiceServicer):
        def __init__(self) -> None:
            self.errors: list[Any] = []
            self.seen: list[Any] = []

        def Predict(self, request: Any, context: Any) -> Any:  # noqa: N802 - the protocol's name
            self.seen.append(request)
            if self.errors:
                context.abort(self.errors.pop(0), "The batch scheduling queue is full")
            if request.model_spec.name != "insects":
                context.abort(grpc.StatusCode.NOT_FOUND, f"Servable not found for request: {request.model_spec.name}")
            files = tf.make_ndarray(request.inputs["image_bytes"]).tolist()
            if any(b"broken" in file for file in files):
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, "Invalid PNG data")
            found = [pixel_runtime.found(decoded(file, (16, 24)).pixels[0, 0]) for file in files]
            response = predict.PredictResponse()
            for name, column in reply(PredictCall([], True), found, NAMES)["outputs"].items():
                kind = {"labels": np.int32, "num_detections": np.int32, "class_names": object}.get(name, np.float32)
                response.outputs[name].CopyFrom(tf.make_tensor_proto(np.array(column, kind)))
            return response

    server = grpc.server(ThreadPoolExecutor(2))
    servicer = Servicer()
    service.add_PredictionServiceServicer_to_server(servicer, server)
    servicer.address = f"grpc://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield servicer
    server.stop(None).wait()
