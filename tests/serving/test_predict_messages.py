"""Messages against bytes worked by hand, and against the official classes where they are installed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from keras_retinanet.serving.predict_messages import MESSAGES, arrays, predict_request, warmup_record

# model_spec (1): name (1) "m", version (2) { value (1) 3 }, signature_name (3); inputs (2): key (1), value (2) { dtype
# (1) 7, shape (2) { dim (2) { size (1) 2 } }, string_val (8) "ab" and "" }. A field is number << 3 | wire type.
BY_HAND = (
    b"\x0a\x18" + b"\x0a\x01m" + b"\x12\x02\x08\x03" + b"\x1a\x0fserving_default"
    b"\x12\x1d" + b"\x0a\x0bimage_bytes"
    b"\x12\x0e" + b"\x08\x07" + b"\x12\x04\x12\x02\x08\x02" + b"\x42\x02ab\x42\x00"
)  # fmt: skip


def test_a_request_byte_by_byte() -> None:
    assert predict_request("m", [b"ab", b""], version=3).SerializeToString() == BY_HAND


def test_the_record_wraps_the_request() -> None:
    request = predict_request("m", [b"ab"]).SerializeToString()
    assert warmup_record("m", [b"ab"]) == (
        bytes([6 << 3 | 2, len(request) + 2]) + bytes([1 << 3 | 2, len(request)]) + request
    )


def response(**tensor: Any) -> Any:
    message = MESSAGES["PredictResponse"]()
    value = message.outputs.add(key="x").value
    for size in tensor.pop("shape"):
        value.tensor_shape.dim.add(size=size)
    for name, content in tensor.items():
        if isinstance(content, list):
            getattr(value, name).extend(content)
        else:
            setattr(value, name, content)
    return message


@pytest.mark.parametrize(
    ("tensor", "expected"),
    [
        ({"dtype": 1, "shape": (2, 1), "float_val": [0.5, 2]}, np.array([[0.5], [2]], np.float32)),
        (
            {"dtype": 1, "shape": (2,), "tensor_content": b"\0\0\0\x3f\0\0\0\x40"},
            np.array([0.5, 2], np.float32),
        ),
        ({"dtype": 3, "shape": (3,), "int_val": [7]}, np.array([7, 7, 7], np.int32)),
        ({"dtype": 9, "shape": (0, 4)}, np.zeros((0, 4), np.int64)),
        ({"dtype": 7, "shape": (1, 2), "string_val": [b"a", b""]}, np.array([[b"a", b""]], object)),
    ],
)
def test_tensors_become_arrays(tensor: dict[str, Any], expected: np.ndarray) -> None:
    found = arrays(response(**tensor))["x"]
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


def test_other_types_are_refused() -> None:
    with pytest.raises(ValueError, match=r"'x' has type 10; expected one of \[1, 2, 3, 9, 7\]"):
        arrays(response(dtype=10, shape=(1,)))


def test_the_official_classes_read_ours_and_we_theirs() -> None:
    predict = pytest.importorskip("tensorflow_serving.apis.predict_pb2", reason="tensorflow-serving-api is missing")
    log = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
    import tensorflow as tf

    files = [b"\xff\xd8 one", b"", b"three"]
    request = predict.PredictRequest.FromString(predict_request("insects", files, 4).SerializeToString())
    assert (request.model_spec.name, request.model_spec.version.value) == ("insects", 4)
    assert request.model_spec.signature_name == "serving_default"
    assert tf.make_ndarray(request.inputs["image_bytes"]).tolist() == files
    replayed = log.PredictionLog.FromString(warmup_record("insects", files)).predict_log.request
    assert not replayed.model_spec.HasField("version")
    assert tf.make_ndarray(replayed.inputs["image_bytes"]).tolist() == files

    theirs = predict.PredictResponse()
    given = {
        "boxes": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
        "labels": np.array([[1, 0, -1]] * 2, np.int32),
        "class_names": np.array([[b"ant", b"bee", b""]] * 2, object),
    }
    for name, value in given.items():
        theirs.outputs[name].CopyFrom(tf.make_tensor_proto(value))
    found = arrays(MESSAGES["PredictResponse"].FromString(theirs.SerializeToString()))
    for name, value in given.items():
        np.testing.assert_array_equal(found[name], value)
