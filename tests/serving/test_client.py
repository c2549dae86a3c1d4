"""Order, patience, and errors that name the image."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import keras_retinanet.serving_client
from keras_retinanet.serving.client import Client, connect
from keras_retinanet.serving.transport import ServerError


def test_it_needs_no_framework() -> None:
    report = "import sys, keras_retinanet.serving_client; print({'tensorflow', 'keras', 'grpc'} & set(sys.modules))"
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", report], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
    assert keras_retinanet.serving_client.connect is connect


class Scripted:
    """A transport that fails as told, then finds one box at (index, 0, 0, 1) in each image."""

    def __init__(self, *errors: ServerError, refused: bytes = b"nothing") -> None:
        self.errors, self.refused = list(errors), refused
        self.asked: list[int] = []

    def predict(self, files: Sequence[bytes]) -> dict[str, Any]:
        self.asked.append(len(files))
        if self.errors:
            raise self.errors.pop(0)
        if any(self.refused in file for file in files):
            raise ServerError("Invalid JPEG data", is_refusal=True)
        count = len(files)
        return {
            "boxes": [[[file[-1], 0, 0, 1], [-1] * 4] for file in files],
            "scores": [[0.5, -1]] * count,
            "labels": [[1, -1]] * count,
            "class_names": [["bee", ""]] * count,
            "num_detections": [1] * count,
        }

    def close(self) -> None:
        self.asked.append(0)


class SecondFails(Scripted):
    """Fails from the second request on."""

    def __init__(self, error: ServerError) -> None:
        super().__init__()
        self.error = error

    def predict(self, files: Sequence[bytes]) -> dict[str, Any]:
        if self.asked:
            raise self.error
        return super().predict(files)


def files(count: int) -> list[bytes]:
    return [b"\xff\xd8\xff" + bytes([index]) for index in range(count)]


BUSY = ServerError("busy", is_transient=True)


def test_answers_keep_their_order_over_several_requests() -> None:
    transport = Scripted()
    with Client(transport, batch_size=3) as client:
        found = client.detect(files(7))
        assert client.detect([]) == []
    assert transport.asked == [3, 3, 1, 0]
    assert [one["boxes"].tolist() for one in found] == [[[index, 0, 0, 1]] for index in range(7)]
    assert found[0]["names"] == ["bee"]
    assert found[0]["labels"].dtype == np.int32


@pytest.mark.parametrize(("share", "expected"), [(0.0, [0.5, 1, 2, 9]), (0.5, [1, 2, 4, 9]), (1.0, [1.5, 3, 6, 12])])
def test_transient_failures_are_tried_again_after_doubled_pauses(
    share: float, expected: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """1, 2 and 4 s, half to one and a half times as long by chance; at least as long as the server asks."""
    monkeypatch.setattr(random, "uniform", lambda low, high: low + share * (high - low))
    pauses: list[float] = []
    slower = ServerError("busy", is_transient=True, retry_after=9.0)
    client = Client(Scripted(BUSY, BUSY, BUSY, slower), pause=1.0, sleep=pauses.append)
    assert len(client.detect(files(1))) == 1
    assert pauses == expected


def test_patience_ends() -> None:
    transport = Scripted(*[BUSY] * 9)
    with pytest.raises(ServerError, match=r"^busy$"):
        Client(transport, retries=2, sleep=lambda seconds: None).detect(files(1))
    assert transport.asked == [1, 1, 1]


def test_paths_bytes_and_base64_are_the_same_file(tmp_path: Path) -> None:
    contents = b"\xff\xd8\xff\x07"
    path = tmp_path / "a.jpg"
    path.write_bytes(contents)
    given = [path, str(path), contents, bytearray(contents), memoryview(contents), {"b64": "/9j/Bw=="}]
    assert [one["boxes"].tolist() for one in Client(Scripted()).detect(given)] == [[[7, 0, 0, 1]]] * 6


@pytest.mark.parametrize("error", [ServerError("timed out"), ServerError("no", is_refusal=True)])
def test_other_failures_are_not_tried_again(error: ServerError) -> None:
    transport = Scripted(error)
    with pytest.raises(ServerError):
        Client(transport).detect(files(1))
    assert transport.asked == [1]


def test_the_refused_image_is_found_and_named(tmp_path: Path) -> None:
    paths = [tmp_path / f"{index}.jpg" for index in range(5)]
    for path, contents in zip(paths, files(5), strict=True):
        path.write_bytes(contents)
    transport = Scripted(refused=b"\x03")
    with pytest.raises(ServerError, match=r"^image 3 \(.*3\.jpg\): Invalid JPEG data$"):
        Client(transport).detect(paths)
    assert transport.asked == [5, 2, 3, 1, 2, 1]


def test_what_is_too_much_at_once_is_sent_in_parts() -> None:
    """Eight photographs of a few megabytes are more than a server takes; none of them is to blame."""

    class Small(Scripted):
        def predict(self, files: Sequence[bytes]) -> dict[str, Any]:
            if len(files) > 2:
                self.asked.append(len(files))
                raise ServerError("413: The body has more than 32 MB", is_refusal=True)
            return super().predict(files)

    transport = Small()
    found = Client(transport).detect(files(7))
    assert [one["boxes"].tolist() for one in found] == [[[index, 0, 0, 1]] for index in range(7)]
    assert transport.asked == [7, 3, 1, 2, 4, 2, 2]


def test_what_the_server_says_about_which_image_is_believed() -> None:
    error = ServerError("400: image 1 of the request is damaged", is_refusal=True)
    transport = SecondFails(error)
    with pytest.raises(ServerError, match=r"^image 5: 400: image 1 of the request is damaged$"):
        Client(transport, batch_size=4).detect(files(8))
    assert transport.asked == [4]


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ([b"\xff\xd8\xff", b""], "image 1 is empty; expected a JPEG, PNG, BMP, GIF or WebP file"),
        ([b"text"], "image 0 is not an image file: it begins with b'text'"),
        (b"\xff\xd8\xff", "put the one image into a list"),
        ("a.jpg", "put the one image into a list"),
        ({"b64": "/9j/"}, "put the one image into a list"),
        ([{"b64": "/9j/"}, {"b64": "_9j/"}], r'image 1 is no {"b64": "…base64 of an image file…"}'),
        ([{"b64": 3}], r'image 0 is no {"b64": "…base64 of an image file…"}'),
        ([{"path": "a.jpg"}], "image 0 is no .*; it is a mapping of 'path'"),
        ([{"b64": "dGV4dA=="}], "image 0 is not an image file: it begins with b'text'"),
    ],
)
def test_mistakes_are_found_before_anything_is_sent(images: Any, message: str) -> None:
    transport = Scripted()
    with pytest.raises(ValueError, match=message):
        Client(transport).detect(images)
    assert transport.asked == []
    with pytest.raises(FileNotFoundError):
        Client(transport).detect(["missing.jpg"])


@pytest.mark.parametrize(
    ("address", "message"), [("127.0.0.1:8501", "expected http://HOST:PORT"), ("ftp://x", "expected http")]
)
def test_addresses(address: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        connect(address, "insects")
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        connect("http://x", "insects", batch_size=0)


def test_an_answer_of_another_model() -> None:
    class Other(Scripted):
        def predict(self, files: Sequence[bytes]) -> dict[str, Any]:
            return {"classes": [[1]]}

    with pytest.raises(ServerError, match=r"not that of a model of this package: KeyError: 'num_detections' in"):
        Client(Other()).detect(files(1))
