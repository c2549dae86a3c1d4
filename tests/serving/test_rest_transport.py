"""What is sent and understood by REST, against scripted answers and against `retinanet-serve`."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keras_retinanet.serving.client import connect
from keras_retinanet.serving.rest_transport import RestTransport
from keras_retinanet.serving.transport import ServerError

NAMES = ("ant", "bee", "cow")
ONE_BOX = {
    "boxes": [[[0, 0, 0, 1], [-1] * 4]],
    "scores": [[0.5, -1]],
    "labels": [[1, -1]],
    "class_names": [["bee", ""]],
    "num_detections": [1],
}


@contextlib.contextmanager
def answering(answer: Callable[[str, bytes], tuple[int, dict[str, str], bytes]]) -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            status, headers, content = answer(self.path, self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_rest_sends_what_tensorflow_serving_takes() -> None:
    seen: list[tuple[str, bytes]] = []

    def answer(path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        seen.append((path, body))
        return 200, {}, json.dumps({"outputs": ONE_BOX}).encode()

    with answering(answer) as address, connect(address + "/proxy/", "my model", version=4) as client:
        assert client.detect([b"GIF89a\x07"])[0]["boxes"].tolist() == [[0, 0, 0, 1]]
    path, body = seen[0]
    assert path == "/proxy/v1/models/my%20model/versions/4:predict"
    assert json.loads(body) == {"inputs": {"image_bytes": [{"b64": "R0lGODlhBw=="}]}}


@pytest.mark.parametrize(
    ("status", "headers", "content", "message", "is_transient", "is_refusal"),
    [
        (503, {"Retry-After": "2"}, b'{"error": "full"}', "answered 503: full", True, False),
        (429, {}, b"slow down", "answered 429: slow down", True, False),
        (400, {}, b'{"error": "bad"}', "answered 400: bad", False, True),
        (404, {}, b'{"error": "no model"}', "answered 404: no model", False, False),
        (504, {}, b"", "answered 504: ", False, False),
        (200, {}, b"<html>", "answered 200: <html>", False, False),
        (200, {}, b"[1]", r"answered 200: \[1\]", False, False),
    ],
)
def test_rest_errors(
    status: int, headers: dict[str, str], content: bytes, message: str, is_transient: bool, is_refusal: bool
) -> None:
    with answering(lambda path, body: (status, headers, content)) as address:
        transport = RestTransport(address, "m", None, 30)
        with pytest.raises(ServerError, match=f"{address}/v1/models/m:predict {message}") as caught:
            transport.predict([b"x"])
        transport.close()
    assert (caught.value.is_transient, caught.value.is_refusal) == (is_transient, is_refusal)
    assert caught.value.retry_after == (2.0 if headers else None)


def test_rest_silence_is_not_transient_and_refusal_to_connect_is() -> None:
    may_go = threading.Event()
    with answering(lambda path, body: (may_go.wait(30), (200, {}, b""))[1]) as address:
        transport = RestTransport(address, "m", None, 0.1)
        with pytest.raises(ServerError, match=r"did not answer within 0\.1 s") as caught:
            transport.predict([b"x"])
        may_go.set()
    assert not caught.value.is_transient
    with pytest.raises(ServerError, match="cannot be reached: ConnectionRefusedError") as refused:
        RestTransport(address, "m", None, 5).predict([b"x"])
    assert refused.value.is_transient


def test_rest_against_retinanet_serve(serve: Any, pixel_runtime: Any, png: Any, tmp_path: Path) -> None:
    """What comes back is what the runtime found; threads share the client; the server's words arrive."""
    runtime = pixel_runtime()
    path = tmp_path / "a.png"
    path.write_bytes(png((2, 1, 0)))
    with serve(runtime, max_pixels=1000) as running, connect(running.url, "insects") as client:
        found = client.detect([path, png((4, 2, 8), (16, 24)), bytearray(png((3, 0, 0)))])
        for one, pixel in zip(found, [(2, 1, 0), (4, 2, 8), (3, 0, 0)], strict=True):
            wanted = runtime.found(pixel)
            for name in ("boxes", "scores", "labels"):
                np.testing.assert_array_equal(one[name], wanted[name])
            assert one["names"] == [NAMES[label] for label in wanted["labels"]]

        def ask(r: int) -> list[list[float]]:
            boxes: list[list[float]] = client.detect([png((r, 0, 0))])[0]["boxes"].tolist()
            return boxes

        with ThreadPoolExecutor(4) as threads:
            assert list(threads.map(ask, range(12))) == [[[r, 0, 0, k] for k in range(r % 3)] for r in range(12)]
        with pytest.raises(ServerError, match=r"^image 1: .* has 50 x 30 pixels, more than the 1,000"):
            client.detect([path, png((1, 1, 1), (50, 30))])
        with (
            connect(running.url, "birds") as other,
            pytest.raises(ServerError, match="Unknown model 'birds'"),
        ):
            other.detect([path])


def test_rest_survives_a_connection_that_was_closed(serve: Any, pixel_runtime: Any, png: Any) -> None:
    """The server hangs up on a connection that is silent; the next request opens another, at once."""
    pauses: list[float] = []
    with serve(pixel_runtime()) as running, connect(running.url, "insects", sleep=pauses.append) as client:
        client.detect([png((1, 0, 0))])
        transport: Any = client._transport
        transport._connection().sock.shutdown(2)
        assert len(client.detect([png((2, 0, 0))])[0]["scores"]) == 2
    assert pauses == []
