"""Slow clients, ports, and an end that loses nothing."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from keras_retinanet.config import ServeConfig

REQUEST = b"POST /v1/models/insects:predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
SECONDS = 0.4


def body(contents: bytes) -> bytes:
    return json.dumps({"instances": [{"b64": base64.b64encode(contents).decode()}]}).encode()


@pytest.fixture(scope="module")
def impatient(serve: Any, pixel_runtime: Any) -> Iterator[Any]:
    with serve(pixel_runtime(), client_timeout=SECONDS) as running:
        yield running


def everything(connection: socket.socket) -> bytes:
    """What comes until the server hangs up."""
    connection.settimeout(30)
    received = b""
    try:
        while part := connection.recv(65536):
            received += part
    except ConnectionResetError:
        pass
    return received


@pytest.mark.parametrize("sent", [b"", b"POST /v1/mod", REQUEST[:-2] % 5])
def test_headers_that_do_not_come(impatient: Any, sent: bytes) -> None:
    with socket.create_connection(impatient.address) as connection:
        connection.sendall(sent)
        assert everything(connection) == b""


def test_headers_that_drip(impatient: Any) -> None:
    """The deadline is for all of them, not for the next byte; also after a request that was in time."""
    with socket.create_connection(impatient.address) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        began = time.monotonic()
        is_open = True
        while is_open and time.monotonic() < began + 20:
            try:
                connection.sendall(b"G")
            except ConnectionError:
                is_open = False
            time.sleep(SECONDS / 20)
        assert not is_open
        assert time.monotonic() >= began + SECONDS


def test_a_body_that_does_not_come(impatient: Any) -> None:
    with socket.create_connection(impatient.address) as connection:
        connection.sendall(REQUEST % 1000 + b"{")
        answer = everything(connection)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"did not arrive within 0.4 s; send less at once" in answer


def test_two_requests_on_one_connection(impatient: Any, png: Any) -> None:
    sent = body(png((1, 0, 5)))
    with socket.create_connection(impatient.address) as connection:
        for _ in range(2):
            connection.sendall(REQUEST % len(sent) + sent)
            answer = b""
            while b'"num_detections": 1' not in answer:
                answer += connection.recv(65536)
            assert b"[[1.0, 0.0, 5.0, 0.0]]" in answer


def test_no_http_at_all(impatient: Any) -> None:
    with socket.create_connection(impatient.address) as connection:
        connection.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        head, _, answer = everything(connection).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\n")
    assert json.loads(answer) == {"error": "Invalid HTTP request received."}


def test_slow_clients_harm_no_other(impatient: Any, png: Any, fetch: Any) -> None:
    slow = [socket.create_connection(impatient.address) for _ in range(50)]
    for connection in slow:
        connection.sendall(REQUEST % 1000)
    assert fetch(impatient.url + "/v1/models/insects:predict", body(png((1, 0, 0))))[0] == 200
    for connection in slow:
        connection.close()


def test_too_many_connections(serve: Any, pixel_runtime: Any, fetch: Any, until: Any) -> None:
    with serve(pixel_runtime(), max_connections=5, client_timeout=20.0) as running:
        idle = [socket.create_connection(running.address) for _ in range(5)]
        until(lambda: fetch(running.url + "/healthz")[0] == 503)
        _, headers, answer = fetch(running.url + "/healthz")
        assert (headers["Content-Type"], headers["Retry-After"]) == ("application/json", "1")
        assert json.loads(answer) == {"error": "5 clients are connected already; try again in a moment."}
        for connection in idle:
            connection.close()
        until(lambda: fetch(running.url + "/healthz")[0] == 200)


def test_a_client_that_hangs_up_frees_its_place(
    serve: Any, pixel_runtime: Any, png: Any, fetch: Any, until: Any
) -> None:
    """One image is being detected; the one that waits behind it is forgotten when its client goes."""
    may_go, is_warm = threading.Event(), threading.Event()
    runtime = pixel_runtime(lambda images: is_warm.is_set() and may_go.wait(30))
    with serve(runtime, max_queue=2, max_batch=1) as running, ThreadPoolExecutor(1) as clients:
        is_warm.set()
        warmed, sent = len(runtime.batches), body(png((1, 0, 0)))
        place = running.url + "/v1/models/insects:predict"
        try:
            first = clients.submit(fetch, place, sent)
            until(lambda: len(runtime.batches) == warmed + 1)
            with socket.create_connection(running.address) as connection:
                connection.sendall(REQUEST % len(sent) + sent)
                until(lambda: fetch(place, body(b"broken"))[0] == 503)
            until(lambda: fetch(place, body(b"broken"))[0] == 400)
        finally:
            may_go.set()
        assert first.result()[0] == 200
    assert len(runtime.batches) == warmed + 1


def test_a_taken_port_is_told() -> None:
    pytest.importorskip("uvicorn", reason="needs the extra `serve`")
    from keras_retinanet.serving.server import Server

    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(OSError, match=f"Cannot listen on 127.0.0.1 port {port}: Address already in use; choose"):
            Server(ServeConfig(port=port))


def test_the_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from keras_retinanet.serving.server import Server

    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.setitem(sys.modules, "starlette", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install '\.\[serve\]' in the checkout"):
        Server(ServeConfig(port=0))


SCRIPT = """
import sys, time
sys.path[:0] = sys.argv[1:3]
from keras_retinanet.config import ServeConfig
from keras_retinanet.serving.model_versions import ModelSource, Version
from keras_retinanet.serving.server import Server
import conftest

def slow(images):
    if images[0].shape[0] == 16:
        print("detecting", flush=True)
        time.sleep(1.0)

server = Server(ServeConfig(port=0))
print(server.url, flush=True)
server.run([ModelSource("insects", lambda: Version(1, lambda: conftest.PixelRuntime(slow)))])
print("ended", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM])
def test_a_signal_lets_requests_finish(number: int, png: Any, fetch: Any, until: Any) -> None:
    pytest.importorskip("uvicorn", reason="needs the extra `serve`")
    here = Path(__file__).resolve()
    words = [sys.executable, "-c", SCRIPT, str(here.parents[2]), str(here.parent)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    with (
        subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment) as process,
        ThreadPoolExecutor(1) as clients,
    ):
        assert process.stdout is not None
        try:
            url = process.stdout.readline().strip()
            until(lambda: fetch(url + "/readyz")[0] == 200)
            asked = clients.submit(fetch, url + "/v1/models/insects:predict", body(png((1, 2, 3))))
            assert process.stdout.readline() == "detecting\n"
            process.send_signal(number)
            until(lambda: fetch(url + "/healthz")[0] == 0)
            assert not asked.done() or asked.result()[0] == 200
            status, _, answer = asked.result(30)
            assert status == 200
            assert json.loads(answer)["predictions"][0]["boxes"] == [[1, 2, 3, 0]]
            assert process.stdout.readline() == "ended\n"
            assert process.wait(30) == 0
        finally:
            process.kill()
