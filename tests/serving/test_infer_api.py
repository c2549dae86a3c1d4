"""The Open Inference Protocol: bodies by hand, byte for byte, and by Triton's client where it is installed."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import numpy as np
import pytest

from keras_retinanet.serving.infer_api import InferCall, model_metadata, read_call, reply, server_metadata
from keras_retinanet.serving.predict_api import RequestError

FILES = [b"one", b"\xff\xd8two!"]
PIXELS = np.arange(2 * 2 * 1 * 3, dtype=np.uint8).reshape(2, 2, 1, 3)
FOUND: list[Any] = [
    {
        "boxes": np.array([[1, 2, 3, 4]], np.float32),
        "scores": np.array([0.5], np.float32),
        "labels": np.array([1], np.int32),
    },
    {"boxes": np.zeros((0, 4), np.float32), "scores": np.zeros(0, np.float32), "labels": np.zeros(0, np.int32)},
]


def text(file: bytes) -> str:
    return base64.b64encode(file).decode()


def body_of(tensor: dict[str, Any], **more: Any) -> bytes:
    return json.dumps({"inputs": [tensor], **more}).encode()


JSON_FILES = {"name": "image_bytes", "shape": [2], "datatype": "BYTES", "data": [text(file) for file in FILES]}
FRAMED = b"\x03\0\0\0one\x06\0\0\0\xff\xd8two!"


def test_files_in_json() -> None:
    call = read_call(body_of(JSON_FILES, id="7", outputs=[{"name": "scores"}]))
    assert call == InferCall(FILES, "7", {"scores": False})
    assert list(read_call(body_of(JSON_FILES)).outputs) == [
        "boxes", "scores", "labels", "class_names", "num_detections",
    ]  # fmt: skip


def test_files_in_binary_and_binary_outputs() -> None:
    tensor = {**JSON_FILES, "shape": [2, 1], "parameters": {"binary_data_size": len(FRAMED)}}
    del tensor["data"]
    outputs = [{"name": "boxes"}, {"name": "labels", "parameters": {"binary_data": False}}]
    head = body_of(tensor, outputs=outputs, parameters={"binary_data_output": True})
    call = read_call(bytearray(head + FRAMED), str(len(head)))
    assert call == InferCall(FILES, None, {"boxes": True, "labels": False})


@pytest.mark.parametrize("is_binary", [False, True])
def test_pixels(is_binary: bool) -> None:
    tensor = {"name": "images", "shape": [2, 2, 1, 3], "datatype": "UINT8"}
    if is_binary:
        head = body_of({**tensor, "parameters": {"binary_data_size": 12}})
        call = read_call(head + PIXELS.tobytes(), str(len(head)))
    else:
        call = read_call(body_of({**tensor, "data": PIXELS.ravel().tolist()}))
        assert np.array_equal(call.images, read_call(body_of({**tensor, "data": PIXELS.tolist()})).images)
    assert [image.dtype for image in call.images if isinstance(image, np.ndarray)] == [np.uint8] * 2
    np.testing.assert_array_equal(np.array(call.images), PIXELS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "photo"}, "Unknown input 'photo'; send image_bytes or images"),
        ({"name": ["images"]}, "Unknown input"),
        ({"datatype": "FP32"}, r"image_bytes is FP32 of shape \[2\]; it must be BYTES of shape \[-1\]"),
        ({"shape": [0], "data": []}, "with one image at least"),
        ({"shape": [3]}, r"image_bytes has 2 elements; its shape \[3\] has 3"),
        ({"shape": [-2]}, '"shape" of image_bytes must be a list of whole numbers'),
        ({"shape": None}, '"shape" of image_bytes must be a list'),
        ({"data": ["ü", "b"]}, "an element that is not base64"),
        ({"data": [1, 2]}, "an element that is not base64"),
        ({"data": {}}, '"data" of image_bytes must be a list'),
        ({"data": None}, 'needs either "data" or the parameter "binary_data_size", which must be 0'),
        (
            {"name": "images", "datatype": "UINT8"},
            r"images is UINT8 of shape \[2\]; it must be UINT8 of shape \[-1, -1",
        ),
        ({"name": "images", "datatype": "UINT8", "shape": [1, 1, 1, 3], "data": [1, 2, 256]}, "numbers from 0 to 255"),
        ({"name": "images", "datatype": "UINT8", "shape": [1, 1, 1, 3], "data": [1, 2, 0.5]}, "numbers from 0 to 255"),
        ({"name": "images", "datatype": "UINT8", "shape": [1, 1, 1, 3], "data": [[1, 2], [3]]}, "of equal lengths"),
        ({"name": "images", "datatype": "UINT8", "shape": [1, 1, 1, 3], "data": [1, 2]}, "images has 2 elements"),
    ],
)
def test_a_wrong_tensor_is_described(change: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        read_call(body_of({**JSON_FILES, **change}))


@pytest.mark.parametrize(
    ("body", "length", "message"),
    [
        (b"{", None, "The request is not JSON"),
        (b"[" * 200_000, None, "nested too deeply"),
        (b"[]", None, '"inputs" must be a list of one tensor: image_bytes of BYTES, or images of UINT8'),
        (b"{}", "3", "Inference-Header-Content-Length is '3'; it is the number of bytes of the JSON, at most 2"),
        (b"{}", "-1", "Inference-Header-Content-Length is '-1'"),
        (body_of(JSON_FILES, outputs=[{"name": "masks"}]), None, "Unknown output 'masks'; known are boxes, scores"),
        (body_of(JSON_FILES, outputs=[{"name": ["boxes"]}]), None, "Unknown output"),
        (b"{}", "9" * 5000, "is the number of bytes of the JSON, at most 2"),
        (body_of(JSON_FILES, outputs=["boxes"]), None, '"outputs" must be a list'),
        (body_of(JSON_FILES, id=7), None, '"id" must be a string'),
        (body_of(JSON_FILES, parameters=[1]), None, '"parameters" must be an object'),
    ],
)
def test_a_wrong_body_is_described(body: bytes, length: str | None, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        read_call(body, length)


@pytest.mark.parametrize("tail", [FRAMED[:-1], FRAMED[:8], b"\xff\xff\xff\xffone"])
def test_binary_that_is_cut_off(tail: bytes) -> None:
    tensor = {**JSON_FILES, "parameters": {"binary_data_size": len(tail)}}
    del tensor["data"]
    head = body_of(tensor)
    with pytest.raises(RequestError, match="image_bytes ends within an element"):
        read_call(head + tail, str(len(head)))


def test_the_reply() -> None:
    names = ("ant", "bee")
    body, length = reply(InferCall(FILES, "7", {"boxes": False, "class_names": False}), FOUND, names, ("insects", 3))
    assert length is None
    assert json.loads(body) == {
        "model_name": "insects",
        "model_version": "3",
        "id": "7",
        "outputs": [
            {"name": "boxes", "datatype": "FP32", "shape": [2, 1, 4], "data": [1, 2, 3, 4, -1, -1, -1, -1]},
            {"name": "class_names", "datatype": "BYTES", "shape": [2, 1], "data": ["bee", ""]},
        ],
    }


def test_the_reply_in_binary() -> None:
    outputs = {"scores": True, "class_names": True, "num_detections": False, "labels": True}
    body, length = reply(InferCall(FILES, None, outputs), FOUND, ("ant", "bee"), ("insects", 3))
    head = json.loads(body[:length])
    assert "id" not in head
    assert [one.get("parameters") for one in head["outputs"]] == [
        {"binary_data_size": 8}, {"binary_data_size": 11}, None, {"binary_data_size": 8},
    ]  # fmt: skip
    assert head["outputs"][2]["data"] == [1, 0]
    assert body[length:] == struct.pack("<ff", 0.5, -1) + b"\x03\0\0\0bee\0\0\0\0" + struct.pack("<ii", 1, -1)


def test_no_image_has_a_detection() -> None:
    body, _ = reply(InferCall(FILES[:1], None, {"boxes": False}), FOUND[1:], ("ant",), ("insects", 3))
    assert json.loads(body)["outputs"] == [{"name": "boxes", "datatype": "FP32", "shape": [1, 0, 4], "data": []}]


def test_metadata() -> None:
    assert server_metadata("1.2") == {"name": "retinanet-serve", "version": "1.2", "extensions": ["binary_tensor_data"]}
    described = model_metadata("insects", 3, ("ant", "bee"))
    assert described["versions"] == ["3"]
    assert described["inputs"][0] == {"name": "image_bytes", "datatype": "BYTES", "shape": [-1]}
    assert [one["name"] for one in described["outputs"]] == [
        "boxes", "scores", "labels", "class_names", "num_detections",
    ]  # fmt: skip


def test_tritons_client_understands_server_and_reply(serve: Any, pixel_runtime: Any, png: Any) -> None:
    """Its own requests and parser, binary as it does by default."""
    client_module = pytest.importorskip("tritonclient.http", reason="needs tritonclient[http]")
    with serve(pixel_runtime()) as running, client_module.InferenceServerClient(running.url[7:]) as client:
        assert [client.is_server_live(), client.is_server_ready(), client.is_model_ready("insects", "3")] == [True] * 3
        assert client.get_model_metadata("insects")["inputs"][0]["name"] == "image_bytes"
        tensor = client_module.InferInput("image_bytes", [2], "BYTES")
        tensor.set_data_from_numpy(np.array([png((4, 2, 9)), png((0, 1, 2))], object))
        answer = client.infer("insects", [tensor], request_id="x")
        np.testing.assert_array_equal(answer.as_numpy("boxes"), [[[4, 2, 9, 0]], [[-1] * 4]])
        assert answer.as_numpy("class_names").tolist() == [[b"cow"], [b""]]
        pixels = client_module.InferInput("images", [1, 4, 5, 3], "UINT8")
        pixels.set_data_from_numpy(np.full((1, 4, 5, 3), 7, np.uint8))
        answer = client.infer("insects", [pixels])
        np.testing.assert_array_equal(answer.as_numpy("num_detections"), [1])
