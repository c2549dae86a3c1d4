"""gRPC against a server of TensorFlow Serving's protocol that speaks with its official messages."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

from keras_retinanet.serving.client import connect
from keras_retinanet.serving.transport import ServerError

NAMES = ("ant", "bee", "cow")


def test_grpc_brings_the_same_detections(grpc_server: Any, pixel_runtime: Any, png: Any) -> None:
    pixels = [(2, 1, 0), (4, 2, 8), (3, 0, 0)]
    with connect(grpc_server.address, "insects", version=3) as client:
        found = client.detect([png(pixel) for pixel in pixels])
    for one, pixel in zip(found, pixels, strict=True):
        wanted = pixel_runtime.found(pixel)
        for name in ("boxes", "scores", "labels"):
            np.testing.assert_array_equal(one[name], wanted[name])
        assert one["names"] == [NAMES[label] for label in wanted["labels"]]
    assert grpc_server.seen[-1].model_spec.version.value == 3


def test_grpc_tries_again_and_passes_on_what_the_server_says(grpc_server: Any, png: Any) -> None:
    import grpc

    pauses: list[float] = []
    with connect(grpc_server.address, "insects", sleep=pauses.append) as client:
        grpc_server.errors[:] = [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED]
        assert len(client.detect([png((1, 0, 0))])[0]["scores"]) == 1
        assert len(pauses) == 2
        with pytest.raises(ServerError, match=r"^image 1: .*answered INVALID_ARGUMENT: Invalid PNG data"):
            client.detect([png((1, 0, 0)), b"\x89PNG\r\nbroken", png((1, 0, 0))])
    with (
        connect(grpc_server.address, "birds") as other,
        pytest.raises(ServerError, match="NOT_FOUND: Servable not found for request: birds"),
    ):
        other.detect([png((1, 0, 0))])


def test_grpc_sends_what_is_too_much_at_once_in_halves(grpc_server: Any, png: Any) -> None:
    """gRPC itself takes 4 MB, and says of more that it has no room."""
    pauses: list[float] = []
    with connect(grpc_server.address, "insects", sleep=pauses.append) as client:
        found = client.detect([png((count, 0, 0)) + bytes(3 * 2**20) for count in (1, 2)])
        assert [len(one["scores"]) for one in found] == [1, 2]
        with pytest.raises(ServerError, match=r"^image 0: .*RESOURCE_EXHAUSTED: .*larger than max"):
            client.detect([png((1, 0, 0)) + bytes(5 * 2**20)])
    assert pauses == []


def test_grpc_where_nobody_listens() -> None:
    pytest.importorskip("grpc", reason="needs the extra `grpc`")
    pauses: list[float] = []
    with (
        connect("grpc://127.0.0.1:9", "insects", retries=1, sleep=pauses.append, timeout=5) as client,
        pytest.raises(ServerError, match="answered UNAVAILABLE: "),
    ):
        client.detect([b"\xff\xd8\xff"])
    assert len(pauses) == 1


def test_grpc_missing_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "grpc", None)
    with pytest.raises(
        ModuleNotFoundError, match=r"pip install '\.\[grpc\]' in the checkout of keras_retinanet, or use http://"
    ):
        connect("grpc://127.0.0.1:8500", "insects")
