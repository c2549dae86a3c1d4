"""What a body may say, and what is answered."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest

from keras_retinanet.serving.predict_api import PredictCall, RequestError, metadata, read_call, reply, status

A, B = ({"b64": base64.b64encode(contents).decode()} for contents in (b"one", b"\xff\xd8two"))
FILES = [b"one", b"\xff\xd8two"]


@pytest.mark.parametrize(
    ("body", "is_columnar"),
    [
        ({"instances": [A, B]}, False),
        ({"instances": [{"image_bytes": A}, B]}, False),
        ({"signature_name": "serving_default", "instances": [A, B]}, False),
        ({"signature_name": "", "inputs": [A, B]}, True),
        ({"inputs": {"image_bytes": [A, B]}}, True),
    ],
)
def test_rows_and_columns(body: dict[str, Any], is_columnar: bool) -> None:
    assert read_call(json.dumps(body).encode()) == PredictCall(FILES, is_columnar)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", 'The body is not JSON (Expecting value: line 1 column 1 (char 0)); send {"instances"'),
        (b"\xff\xfe\xfd", "The body is not JSON"),
        (b"[" * 200_000, "The body is not JSON (nested too deeply)"),
        (b"[1]", 'The body needs either "instances" or "inputs"; send'),
        ({"images": [A]}, 'needs either "instances" or "inputs"'),
        ({"instances": [A], "inputs": [A]}, 'needs either "instances" or "inputs"'),
        ({"instances": []}, '"instances" is []; it must be a list with an image at least'),
        ({"instances": A}, "it must be a list with an image at least"),
        ({"inputs": A}, "it must be a list with an image at least"),
        ({"inputs": {"image": [A]}}, '"inputs" has the inputs ["image"]; the only one is "image_bytes"'),
        ({"instances": [A, {"key": 3}]}, '"instances[1]" has the inputs ["key"]; the only one is "image_bytes"'),
        ({"instances": ["abc"]}, 'instances[0] is "abc"; an image is {"b64": "…base64 of an image file…"}'),
        ({"instances": [A, {"b64": 3}]}, 'instances[1] is {"b64": 3}; an image is'),
        ({"instances": [[[0, 0, 0]] * 99]}, "...; an image is"),
        ({"instances": [{"b64": "_-8="}]}, "instances[0] is not valid base64; send the standard alphabet"),
        ({"inputs": {"image_bytes": [A, {"b64": "YQ"}]}}, "inputs[1] is not valid base64"),
        (
            {"instances": [{"b64": "YQ==\n"}]},
            "instances[0] is not valid base64; send the standard alphabet with its padding, "
            "without line breaks (base64 -w0)",
        ),
        ({"instances": [{"b64": "é"}]}, "instances[0] is not valid base64"),
        (
            {"instances": [A], "signature_name": "raw_outputs"},
            '"signature_name" is "raw_outputs"; this server has \'serving_default\' only',
        ),
        ({"instances": [A], "signature_name": [1]}, '"signature_name" is [1]'),
    ],
)
def test_everything_else_is_told(body: Any, message: str) -> None:
    with pytest.raises(RequestError) as caught:
        read_call(body if isinstance(body, bytes) else json.dumps(body).encode())
    assert message in str(caught.value)
    assert len(str(caught.value)) < 250


def found(*scores: float) -> dict[str, Any]:
    count = len(scores)
    boxes = np.arange(4 * count, dtype=np.float32).reshape(-1, 4)
    return {"boxes": boxes, "scores": np.array(scores, np.float32), "labels": np.arange(count, dtype=np.int32)}


FOUND: list[Any] = [found(0.75, 0.5), found(), found(0.25)]
ROWS = [
    {
        "boxes": [[0, 1, 2, 3], [4, 5, 6, 7]],
        "scores": [0.75, 0.5],
        "labels": [0, 1],
        "class_names": ["ant", "bee"],
        "num_detections": 2,
    },
    {
        "boxes": [[-1] * 4] * 2,
        "scores": [-1, -1],
        "labels": [-1, -1],
        "class_names": ["", ""],
        "num_detections": 0,
    },
    {
        "boxes": [[0, 1, 2, 3], [-1] * 4],
        "scores": [0.25, -1],
        "labels": [0, -1],
        "class_names": ["ant", ""],
        "num_detections": 1,
    },
]


def test_replies_are_rectangular() -> None:
    names = ("ant", "bee")
    assert reply(PredictCall([], False), FOUND, names) == {"predictions": ROWS}
    columns = {name: [row[name] for row in ROWS] for name in ROWS[0]}
    assert json.loads(json.dumps(reply(PredictCall([], True), FOUND, names))) == {"outputs": columns}


def test_float32_survives_the_text() -> None:
    scores = np.float32([0.1, 1 / 3, 0.7000001])
    sent = json.dumps(reply(PredictCall([], True), [found(*scores)], ("a", "b", "c")))
    assert (np.float32(json.loads(sent)["outputs"]["scores"][0]) == scores).all()


def test_status_and_metadata_are_those_of_tensorflow_serving() -> None:
    state = {"version": "7", "state": "LOADING", "status": {"error_code": "OK", "error_message": ""}}
    assert status(7, False) == {"model_version_status": [state]}
    assert status(7, True)["model_version_status"][0]["state"] == "AVAILABLE"
    described = metadata("insects", 7, ["ant"])
    assert described["model_spec"] == {"name": "insects", "signature_name": "", "version": "7"}
    signature = described["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert signature["outputs"]["boxes"]["tensor_shape"]["dim"][2] == {"size": "4", "name": ""}
    assert signature["inputs"]["image_bytes"]["dtype"] == "DT_STRING"


def test_the_official_classes_read_the_metadata() -> None:
    pb2 = pytest.importorskip("tensorflow_serving.apis.get_model_metadata_pb2", reason="needs tensorflow-serving-api")
    from google.protobuf import json_format

    described = metadata("insects", 7, ["ant"])["metadata"]["signature_def"]
    parsed = json_format.ParseDict(described, pb2.SignatureDefMap()).signature_def["serving_default"]
    assert [dim.size for dim in parsed.outputs["boxes"].tensor_shape.dim] == [-1, -1, 4]
    assert parsed.inputs["image_bytes"].dtype == 7
