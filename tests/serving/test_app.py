"""The REST contract, over real sockets, with a runtime whose answers tell which image they belong to."""

from __future__ import annotations

import base64
import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from PIL import Image

LIMITS = {"max_pixels": 1000, "max_request_mb": 1, "max_queue": 20, "max_batch": 4, "max_wait_ms": 20.0}
Post = Callable[..., tuple[int, Any]]


@pytest.fixture(scope="module")
def server(serve: Any, pixel_runtime: Any) -> Iterator[Any]:
    with serve(pixel_runtime(), **LIMITS) as running:
        yield running


@pytest.fixture(scope="module")
def post(server: Any, fetch: Any) -> Post:
    def send(body: Any, place: str = "insects") -> tuple[int, Any]:
        sent = body if isinstance(body, bytes) else json.dumps(body).encode()
        status, _, answer = fetch(f"{server.url}/v1/models/{place}:predict", sent)
        return status, json.loads(answer)

    return send


def image(contents: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(contents).decode()}


def row(r: int, g: int, b: int, most: int) -> dict[str, Any]:
    """What the runtime finds by the rule in its docstring, worked anew."""
    count, label = r % 3, g % 3
    empty = most - count
    return {
        "boxes": [[r, g, b, k] for k in range(count)] + [[-1] * 4] * empty,
        "scores": [float(np.float32(1 / (k + 2))) for k in range(count)] + [-1] * empty,
        "labels": [label] * count + [-1] * empty,
        "class_names": [("ant", "bee", "cow")[label]] * count + [""] * empty,
        "num_detections": count,
    }


def test_rows_columns_and_versions(post: Post, png: Any) -> None:
    files = [png((5, 1, 9)), png((3, 0, 0), (16, 24)), png((1, 2, 4), (20, 20))]
    rows = [row(5, 1, 9, 2), row(3, 0, 0, 2), row(1, 2, 4, 2)]
    assert post({"instances": [image(file) for file in files]}) == (200, {"predictions": rows})
    status, answer = post({"inputs": {"image_bytes": [image(file) for file in files]}}, "insects/versions/3")
    assert status == 200
    assert answer["outputs"] == {name: [own[name] for own in rows] for name in rows[0]}


def test_requests_share_batches_and_get_their_own_answers(server: Any, post: Post, png: Any) -> None:
    """32 clients at once, every second with a broken image: only their own requests fail."""
    before = len(server.runtime.batches)

    def ask(i: int) -> None:
        good = {"instances": [image(png((i, i % 3, 50)))]}
        if i % 2:
            assert post({"instances": [*good["instances"], image(png((0, 0, 0))[:60])]})[0] == 400
        else:
            assert post(good) == (200, {"predictions": [row(i, i % 3, 50, i % 3)]})

    with ThreadPoolExecutor(8) as clients:
        list(clients.map(ask, range(32)))
    batches = server.runtime.batches[before:]
    assert max(len(batch) for batch in batches) > 1
    assert all(len(batch) <= 4 for batch in batches)


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (b"hello", "image 1 of the request is not an image, or is damaged; send one of JPEG"),
        (b"", "image 1 of the request is empty"),
    ],
)
def test_the_broken_image_is_named(post: Post, png: Any, contents: bytes, message: str) -> None:
    status, answer = post({"instances": [image(png((1, 1, 1))), image(contents)]})
    assert status == 400
    assert message in answer["error"]


def test_a_bomb_is_refused_by_its_header(server: Any, post: Post, png: Any) -> None:
    before = len(server.runtime.batches)
    status, answer = post({"instances": [image(png((1, 1, 1), (4000, 3000)))]})
    assert (status, answer["error"]) == (
        400,
        "image 0 of the request has 4000 x 3000 pixels, more than the 1,000 pixels that are taken; send it smaller",
    )
    assert len(server.runtime.batches) == before


def test_a_jpeg_without_its_last_bytes_is_answered_and_reported(server: Any, fetch: Any, png: Any) -> None:
    file = io.BytesIO()
    Image.new("RGB", (16, 16), (200, 200, 200)).save(file, "JPEG")
    files = [png((5, 1, 9)), file.getvalue()[:-2], file.getvalue()]
    body = json.dumps({"instances": [image(content) for content in files]}).encode()
    status, headers, answer = fetch(f"{server.url}/v1/models/insects:predict", body)
    assert (status, headers["X-Cut-Off-Images"]) == (200, "1")
    rows = json.loads(answer)["predictions"]
    assert rows[1] == rows[2]


def test_damage_behind_the_header_is_found_before_batching(server: Any, post: Post, png: Any) -> None:
    status, answer = post({"instances": [image(png((1, 1, 1))[:60])]})
    assert status == 400
    assert "image 0 of the request is damaged and cannot be decoded; save it again" in answer["error"]


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("birds", "Unknown model 'birds'; this server has 'insects'."),
        ("insects/versions/4", "Unknown version '4' of 'insects'; this server has 3."),
        ("insects/versions/x", "Unknown version 'x'"),
    ],
)
def test_other_models_are_not_there(post: Post, place: str, message: str) -> None:
    status, answer = post({"instances": []}, place)
    assert status == 404
    assert message in answer["error"]


def test_wrong_json_says_what_to_send(post: Post) -> None:
    status, answer = post(b"{")
    assert status == 400
    assert 'send {"instances": [{"b64": "…base64 of an image file…"}]}' in answer["error"]


def test_wrong_pages_and_methods(server: Any, fetch: Any) -> None:
    predict, nowhere = "/v1/models/insects:predict", "/v1/models/insects/"
    for status, place, body in (
        (404, "/v2/models", None),
        (404, nowhere, None),
        (405, predict, None),
        (405, "/", b"x"),
    ):
        found, headers, answer = fetch(server.url + place, body)
        assert found == status
        assert sorted(headers.get("Allow", "").split(", ")) == {predict: ["POST"], "/": ["GET", "HEAD"]}.get(
            place, [""]
        )
        assert "this server has POST /v1/models/insects:predict" in json.loads(answer)["error"]


@pytest.mark.parametrize("kind", ["text/plain", "image/jpeg", "multipart/form-data"])
def test_the_content_type_is_not_looked_at(server: Any, fetch: Any, png: Any, kind: str) -> None:
    """As in TensorFlow Serving: only the body counts."""
    place, headers = f"{server.url}/v1/models/insects:predict", {"Content-Type": kind}
    assert fetch(place, json.dumps({"instances": [image(png((1, 0, 0)))]}).encode(), headers)[0] == 200
    status, _, answer = fetch(place, png((1, 0, 0)), headers)
    assert status == 400
    assert json.loads(answer)["error"].startswith("The body is not JSON")


def test_too_many_images(post: Post, png: Any) -> None:
    status, answer = post({"instances": [image(png((1, 1, 1)))] * 21})
    assert (status, answer["error"]) == (413, "The request has 21 images; send at most 20 at once.")


@pytest.mark.parametrize("megabytes", [1.1, 3.5, 6])
def test_too_large_a_body(fetch: Any, server: Any, megabytes: float) -> None:
    """Up to four times the limit it is read and thrown away, so that the client reads why; beyond, refused unread."""
    try:
        status, _, answer = fetch(f"{server.url}/v1/models/insects:predict", b" " * int(megabytes * 2**20))
    except ConnectionError:  # while it reads the answer
        status = 0
    if megabytes > 4 and status == 0:
        return
    assert status == 413
    assert json.loads(answer)["error"] == "The body has more than 1 MB; send fewer or smaller images at once."


def test_compressed_bodies_are_refused(server: Any, fetch: Any) -> None:
    place = f"{server.url}/v1/models/insects:predict"
    status, _, answer = fetch(place, b"x", {"Content-Encoding": "gzip"})
    assert (status, json.loads(answer)["error"]) == (415, "The body is encoded as 'gzip'; send it as it is.")
    assert fetch(place, b"{", {"Content-Encoding": "Identity"})[0] == 400


def test_health_status_and_metadata(server: Any, fetch: Any) -> None:
    for place, key in (("/healthz", "status"), ("/readyz", "status"), ("/v1/models/insects", "model_version_status")):
        status, headers, answer = fetch(server.url + place)
        assert status == 200
        assert headers["Content-Type"] == "application/json"
        assert key in json.loads(answer)
    metadata = json.loads(fetch(f"{server.url}/v1/models/insects/versions/3/metadata")[2])
    assert metadata["model_spec"]["version"] == "3"
    assert metadata["metadata"]["class_names"] == ["ant", "bee", "cow"]


def test_a_full_queue_sends_away_and_recovers(serve: Any, pixel_runtime: Any, png: Any, fetch: Any, until: Any) -> None:
    may_go, is_warm = threading.Event(), threading.Event()
    runtime = pixel_runtime(lambda images: is_warm.is_set() and may_go.wait(30))
    body = json.dumps({"instances": [image(png((1, 0, 0)))] * 2}).encode()
    with serve(runtime, max_queue=4, max_batch=2) as running, ThreadPoolExecutor(2) as clients:
        is_warm.set()
        warmed = len(runtime.batches)
        place = f"{running.url}/v1/models/insects:predict"
        try:
            first = clients.submit(fetch, place, body)
            until(lambda: len(runtime.batches) == warmed + 1)
            second = clients.submit(fetch, place, body)
            status, headers, answer = 200, {}, b""

            def is_full() -> bool:
                nonlocal second, status, headers, answer
                if second.done():  # it came while the broken image took the place that it needs
                    second = clients.submit(fetch, place, body)
                time.sleep(0.1)
                status, headers, answer = fetch(place, json.dumps({"instances": [image(b"x")]}).encode())
                return status == 503

            until(is_full)  # a broken image is answered 400 as long as there is room
            assert headers["Retry-After"] == "1"
            assert json.loads(answer)["error"] == "4 images are waiting already; try again in a moment."
        finally:
            may_go.set()
        assert [first.result()[0], second.result()[0]] == [200, 200]
        assert fetch(place, body)[0] == 200


def test_warm_up_comes_before_ready(serve: Any, pixel_runtime: Any, png: Any, fetch: Any, until: Any) -> None:
    """By the rule 32 … 64 px all landscapes get 32 x 64, all portraits 64 x 32, and the square 32 x 32."""
    may_go = threading.Event()
    runtime = pixel_runtime(lambda images: may_go.wait(30))
    with serve(runtime, waits=False, max_batch=5) as running:
        try:
            until(lambda: fetch(running.url + "/healthz")[0] == 200)
            assert fetch(running.url + "/readyz")[0] == 503
            state = json.loads(fetch(running.url + "/v1/models/insects")[2])["model_version_status"][0]
            assert state["state"] == "LOADING"
            body = json.dumps({"instances": [image(png((1, 1, 1)))]}).encode()
            status, headers, answer = fetch(running.url + "/v1/models/insects:predict", body)
            assert (status, headers["Retry-After"]) == (503, "1")
            assert "warming up" in json.loads(answer)["error"]
        finally:
            may_go.set()
        until(lambda: fetch(running.url + "/readyz")[0] == 200)
    shapes = [(144, 192), (192, 144), (48, 48)]
    assert runtime.batches == [[shape] * count for shape in shapes for count in (1, 5)]


def test_a_model_that_fails_its_warm_up_ends_the_server(serve: Any, pixel_runtime: Any, until: Any) -> None:
    def fail(images: Any) -> None:
        raise RuntimeError("no such kernel")

    with serve(pixel_runtime(fail), waits=False) as running:
        until(lambda: not running.thread.is_alive())
    assert str(running.error) == "The model failed its warm-up: no such kernel"


def test_a_model_that_fails_is_told_without_its_inside(
    serve: Any, pixel_runtime: Any, png: Any, fetch: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(images: Any) -> None:
        if images[0][0, 0, 0] == 13:
            raise RuntimeError("secret\npath")

    with serve(pixel_runtime(fail)) as running:
        body = json.dumps({"instances": [image(png((13, 0, 0)))]}).encode()
        status, _, answer = fetch(running.url + "/v1/models/insects:predict", body)
    assert (status, json.loads(answer)["error"]) == (500, "The model failed; see the server's log.")
    assert "detection failed: RuntimeError: secret path" in caplog.messages


def test_what_takes_too_long_is_given_up(serve: Any, pixel_runtime: Any, png: Any, fetch: Any, until: Any) -> None:
    may_go, is_warm = threading.Event(), threading.Event()
    runtime = pixel_runtime(lambda images: is_warm.is_set() and may_go.wait(30))
    with serve(runtime, answer_timeout=0.3) as running:
        is_warm.set()
        body = json.dumps({"instances": [image(png((1, 0, 0)))]}).encode()
        status, _, answer = fetch(running.url + "/v1/models/insects:predict", body)
        may_go.set()
        assert (status, json.loads(answer)["error"]) == (504, "No result within 0.3 s; the server is overloaded.")
        until(lambda: fetch(running.url + "/v1/models/insects:predict", body)[0] == 200)


def test_one_line_a_request(
    serve: Any, pixel_runtime: Any, png: Any, fetch: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "keras_retinanet.serving")
    with serve(pixel_runtime()) as running:
        body = json.dumps({"instances": [image(png((1, 0, 0)))]}).encode()
        assert fetch(running.url + "/v1/models/insects:predict", body)[0] == 200
        fetch(running.url + "/a%0Ab")
    lines = caplog.messages
    assert lines[0] == f"ready: model insects, version 3 on {running.url}"
    assert lines[1].startswith("127.0.0.1 POST /v1/models/insects:predict: 200, 1 image, ")
    assert lines[2].startswith("127.0.0.1 GET /a%0Ab: 404, ")
    assert len(lines) == 3
    with serve(pixel_runtime(), use_log=False) as running:
        fetch(running.url + "/")
    assert [line for line in caplog.messages[3:] if not line.startswith("ready")] == []


def test_the_open_inference_protocol(server: Any, fetch: Any, png: Any) -> None:
    """A file in binary, as Triton's client sends it, with one output in binary and one in JSON; and pixels."""
    file = png((4, 2, 9))
    tensor = {
        "name": "image_bytes",
        "shape": [1],
        "datatype": "BYTES",
        "parameters": {"binary_data_size": len(file) + 4},
    }
    outputs = [{"name": "boxes", "parameters": {"binary_data": True}}, {"name": "class_names"}]
    head = json.dumps({"inputs": [tensor], "outputs": outputs, "id": "a"}).encode()
    body = head + len(file).to_bytes(4, "little") + file
    place, name = server.url + "/v2/models/insects/versions/3/infer", "Inference-Header-Content-Length"
    status, headers, answer = fetch(place, body, {name: str(len(head))})
    assert status == 200
    length = int(headers[name])
    assert np.frombuffer(answer[length:], "<f4").tolist() == [4, 2, 9, 0]
    assert json.loads(answer[:length])["outputs"][1]["data"] == ["cow"]
    pixels = {"name": "images", "shape": [1, 1, 2, 3], "datatype": "UINT8", "data": [5, 1, 7, 0, 0, 0]}
    status, headers, answer = fetch(place, json.dumps({"inputs": [pixels]}).encode())
    assert (status, headers["Content-Type"], headers[name]) == (200, "application/json", None)
    assert json.loads(answer)["outputs"][0]["data"] == [5, 1, 7, 0, 5, 1, 7, 1]
    large = {**pixels, "shape": [1, 40, 40, 3], "data": [0] * 4800}
    for wrong, message in ((large, "has 40 x 40 pixels, more than the 1,000"), (tensor, "must be 0")):
        status, _, answer = fetch(place, json.dumps({"inputs": [wrong]}).encode())
        assert status == 400
        assert message in json.loads(answer)["error"]


@pytest.mark.parametrize(
    ("place", "status", "content"),
    [
        ("/v2/health/live", 200, {"live": True}),
        ("/v2/health/ready", 200, {"ready": True, "models": {"insects": "version 3"}}),
        ("/v2", 200, {"extensions": ["binary_tensor_data"]}),
        ("/v2/models/insects", 200, {"versions": ["3"], "parameters": {"class_names": "ant,bee,cow"}}),
        ("/v2/models/insects/versions/3/ready", 200, {"name": "insects", "ready": True}),
        ("/v2/models/insects/versions/4/ready", 404, {}),
        ("/v2/models/birds/ready", 404, {"error": "Unknown model 'birds'; this server has 'insects'."}),
        ("/v2/models/insects/infer", 405, {}),
        ("/?model=birds", 404, {}),
    ],
)
def test_what_the_server_tells_of_itself(
    server: Any, fetch: Any, place: str, status: int, content: dict[str, Any]
) -> None:
    found, _, answer = fetch(server.url + place)
    assert found == status
    assert {key: json.loads(answer)[key] for key in content} == content


def test_several_models_and_a_new_version(serve: Any, pixel_runtime: Any, png: Any, fetch: Any, until: Any) -> None:
    """Each name is answered by its own model; a second version replaces the first while the other model stays."""
    from keras_retinanet.serving.model_versions import ModelSource, Version

    birds = pixel_runtime()
    more = [ModelSource("birds", lambda: Version(9, lambda: birds))]
    with serve(pixel_runtime(), more=more, reload_seconds=0.02) as running:
        body = json.dumps({"instances": [image(png((1, 0, 0)))]}).encode()
        before = len(birds.batches)
        for name, count in (("insects", 0), ("birds", 1)):
            assert fetch(f"{running.url}/v1/models/{name}:predict", body)[0] == 200
            assert len(birds.batches) - before == count
        assert b'<main data-model="birds">' in fetch(running.url + "/?model=birds")[2]
        new = pixel_runtime()
        running.newest = Version(4, lambda: new)
        until(lambda: fetch(running.url + "/v1/models/insects/versions/4")[0] == 200)
        warmed = len(new.batches)
        assert fetch(running.url + "/v1/models/insects:predict", body)[0] == 200
        assert len(new.batches) == warmed + 1
        status, _, answer = fetch(running.url + "/v1/models/insects/versions/3:predict", body)
        assert (status, json.loads(answer)["error"]) == (
            404,
            "Unknown version '3' of 'insects'; this server has 4.",
        )
        assert json.loads(fetch(running.url + "/readyz")[2])["models"] == {"insects": "version 4", "birds": "version 9"}


def test_what_would_come_too_late_is_refused_at_once(
    serve: Any, pixel_runtime: Any, png: Any, fetch: Any, until: Any
) -> None:
    """0.1 s per image in the warm-up, and a limit of 0.15 s: of two requests at once, one is refused."""
    is_warm = threading.Event()
    runtime = pixel_runtime(lambda images: time.sleep(0.1 if not is_warm.is_set() else 0.3))
    limits = {"max_batch": 1, "max_latency_ms": 150.0}
    with serve(runtime, **limits) as running, ThreadPoolExecutor(1) as clients:
        is_warm.set()
        place, warmed = running.url + "/v1/models/insects:predict", len(runtime.batches)
        body = json.dumps({"instances": [image(png((1, 0, 0)))]}).encode()
        first = clients.submit(fetch, place, body)
        until(lambda: len(runtime.batches) > warmed)
        status, headers, answer = fetch(place, body)
        assert (status, headers["Retry-After"]) == (503, "1")
        assert json.loads(answer)["error"].startswith("1 images are waiting already, and a result would take 0.2 s")
        assert not first.done()
        assert first.result()[0] == 200
