"""The messages of TensorFlow Serving's predict API, without TensorFlow and without tensorflow-serving-api.

The official classes import all of TensorFlow. The few messages needed here are built at run time from the field numbers
of the `.proto` files (`tensorflow_serving/apis/predict.proto`, `model.proto`, `prediction_log.proto`,
`tensorflow/core/framework/tensor.proto`), in a separate pool, so that they do not conflict with the official ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

Message = Any
"""A protobuf message; its fields are those of `FIELDS`."""

SIGNATURE = "serving_default"
"""Name of the signature that takes image files."""
IMAGES = "image_bytes"
"""Name of its input."""

FIELDS: dict[str, dict[str, tuple[int, str]]] = {
    "Dim": {"size": (1, "int64")},
    "TensorShape": {"dim": (2, "Dim*")},
    "Tensor": {
        "dtype": (1, "int32"),
        "tensor_shape": (2, "TensorShape"),
        "tensor_content": (4, "bytes"),
        "float_val": (5, "float*"),
        "double_val": (6, "double*"),
        "int_val": (7, "int32*"),
        "string_val": (8, "bytes*"),
        "int64_val": (10, "int64*"),
    },
    "NamedTensor": {"key": (1, "string"), "value": (2, "Tensor")},
    "Version": {"value": (1, "int64")},
    "ModelSpec": {"name": (1, "string"), "version": (2, "Version"), "signature_name": (3, "string")},
    "PredictRequest": {"model_spec": (1, "ModelSpec"), "inputs": (2, "NamedTensor*")},
    "PredictResponse": {"outputs": (1, "NamedTensor*"), "model_spec": (2, "ModelSpec")},
    "PredictLog": {"request": (1, "PredictRequest")},
    "PredictionLog": {"predict_log": (6, "PredictLog")},
}
"""Number and type of each field; a star marks a repeated one. Maps are lists of key and value, as on the wire."""

_PACKAGE = "keras_retinanet"
_STRING = 7  # DT_STRING
_NUMBERS = {1: ("float_val", "<f4"), 2: ("double_val", "<f8"), 3: ("int_val", "<i4"), 9: ("int64_val", "<i8")}
"""DataType → the field of its values, and the dtype of `tensor_content`."""


def _message_classes() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="predict_messages.proto", package=_PACKAGE, syntax="proto3")
    kinds = descriptor_pb2.FieldDescriptorProto
    for name, fields in FIELDS.items():
        message = file.message_type.add(name=name)
        for field_name, (number, kind) in fields.items():
            label = kinds.LABEL_REPEATED if kind.endswith("*") else kinds.LABEL_OPTIONAL
            field = message.field.add(name=field_name, number=number, label=label)
            kind = kind.rstrip("*")
            if kind in FIELDS:
                field.type, field.type_name = kinds.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
            else:
                field.type = kinds.Type.Value(f"TYPE_{kind.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = {name: pool.FindMessageTypeByName(f"{_PACKAGE}.{name}") for name in FIELDS}
    return {name: message_factory.GetMessageClass(descriptor) for name, descriptor in found.items()}


MESSAGES = _message_classes()
"""Message classes by name."""


def predict_request(model: str, files: Sequence[bytes], version: int | None = None) -> Message:
    """Builds a request for the detections in image files.

    Args:
        model: Name of the model.
        files: The bytes of each file.
        version: Version of the model. Defaults to the server's current one.

    Returns:
        A `PredictRequest`.
    """
    request = MESSAGES["PredictRequest"]()
    request.model_spec.name = model
    request.model_spec.signature_name = SIGNATURE
    if version is not None:
        request.model_spec.version.value = version
    images = request.inputs.add(key=IMAGES).value
    images.dtype = _STRING
    images.tensor_shape.dim.add(size=len(files))
    images.string_val.extend(files)
    return request


def warmup_record(model: str, files: Sequence[bytes]) -> bytes:
    """Builds a record of the requests that a server replays on loading a model.

    Args:
        model: Name of the model.
        files: The bytes of each image file.

    Returns:
        A serialised `PredictionLog`.
    """
    log = MESSAGES["PredictionLog"]()
    log.predict_log.request.CopyFrom(predict_request(model, files))
    serialised: bytes = log.SerializeToString()
    return serialised


def arrays(response: Message) -> dict[str, Any]:
    """Converts the tensors of a response to NumPy arrays.

    Args:
        response: A `PredictResponse`.

    Returns:
        Name of the output → array; strings as an array of `bytes` objects.

    Raises:
        ValueError: An output has a type that no signature of this package returns.
    """
    return {output.key: _array(output.key, output.value) for output in response.outputs}


def _array(name: str, tensor: Message) -> Any:
    shape = tuple(dim.size for dim in tensor.tensor_shape.dim)
    if tensor.dtype == _STRING:
        values = np.empty(len(tensor.string_val), object)
        values[:] = list(tensor.string_val)
    elif tensor.dtype in _NUMBERS:
        field, dtype = _NUMBERS[tensor.dtype]
        content = tensor.tensor_content
        values = np.frombuffer(content, dtype) if content else np.array(getattr(tensor, field), dtype)
    else:
        raise ValueError(f"Output {name!r} has type {tensor.dtype}; expected one of {[*_NUMBERS, _STRING]}.")
    if 0 < len(values) < np.prod(shape):  # the last value is repeated
        values = np.concatenate([values, np.repeat(values[-1:], int(np.prod(shape)) - len(values))])
    return values.reshape(shape)
