"""The Open Inference Protocol ("KServe v2") as pure functions: parses requests, builds responses.

Tensors may also be binary, after the JSON: the extension `binary_tensor_data` of Triton and KServe.

Reference: https://github.com/kserve/open-inference-protocol, inference_rest.md.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_retinanet.schema import Detections
from keras_retinanet.serving.infer_tensors import BYTES, UINT8, read_files, read_pixels, tensor_of, write_tensor
from keras_retinanet.serving.predict_api import RequestError, columns_of
from keras_retinanet.serving.predict_messages import IMAGES

PIXELS = "images"
"""Input with pixels, as of the SavedModel's signature `image_tensor`."""
OUTPUTS: dict[str, tuple[str, list[int]]] = {
    "boxes": ("FP32", [-1, -1, 4]),
    "scores": ("FP32", [-1, -1]),
    "labels": ("INT32", [-1, -1]),
    "class_names": (BYTES, [-1, -1]),
    "num_detections": ("INT32", [-1]),
}
"""Output → data type and shape."""
INPUTS: dict[str, tuple[str, list[int]]] = {IMAGES: (BYTES, [-1]), PIXELS: (UINT8, [-1, -1, -1, 3])}
"""Input → data type and shape; a request has one of them."""
HEADER_LENGTH = "Inference-Header-Content-Length"
"""HTTP header with the number of bytes of the JSON, if binary tensors follow it."""


@dataclass(frozen=True)
class InferCall:
    """A request for detections.

    Attributes:
        images: The bytes of each file, or the pixels `(H, W, 3)` uint8 of each image.
        id: The client's name of the request; `None` if it has none.
        outputs: Requested output → whether it is binary.
    """

    images: Sequence[bytes | np.ndarray]
    id: str | None
    outputs: dict[str, bool]


def read_call(body: bytes | bytearray, header_length: str | None = None) -> InferCall:
    """Parses the body of a request.

    Args:
        body: JSON, and binary tensors after it.
        header_length: Value of the HTTP header `HEADER_LENGTH`. Defaults to `None`: all is JSON.

    Returns:
        The images and what to return.

    Raises:
        RequestError: The body has another form.
    """
    length = len(body) if header_length is None else _length(header_length, len(body))
    try:
        call = json.loads(bytes(body[:length]))
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise RequestError(f"The request is not JSON ({reason}); see the Open Inference Protocol.") from None
    inputs = call.get("inputs") if isinstance(call, dict) else None
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise RequestError(f'"inputs" must be a list of one tensor: {IMAGES} of {BYTES}, or {PIXELS} of {UINT8}.')
    binary = memoryview(body)[length:]
    identity = call.get("id")
    if identity is not None and not isinstance(identity, str):
        raise RequestError('"id" must be a string.')
    return InferCall(_images(inputs[0], binary), identity, _outputs(call))


def _length(text: str, limit: int) -> int:
    if not (text.isascii() and text.isdecimal()) or len(text) > len(str(limit)) or int(text) > limit:
        raise RequestError(f"{HEADER_LENGTH} is {text[:20]!r}; it is the number of bytes of the JSON, at most {limit}.")
    return int(text)


def _images(tensor: dict[str, Any], binary: memoryview) -> Sequence[bytes | np.ndarray]:
    name = tensor.get("name")
    if not isinstance(name, str) or name not in INPUTS:
        raise RequestError(f"Unknown input {str(name)[:60]!r}; send {IMAGES} or {PIXELS}.")
    given = tensor_of(tensor, binary)
    wanted, dims = INPUTS[name]
    shape_fits = name == IMAGES or (len(given.shape) == len(dims) and given.shape[-1] == 3)
    if given.datatype != wanted or not shape_fits or not given.size:
        raise RequestError(
            f"{name} is {given.datatype} of shape {list(given.shape)}; it must be {wanted} of shape {dims}, "
            "with one image at least."
        )
    return read_files(given) if name == IMAGES else list(read_pixels(given))


def _outputs(call: dict[str, Any]) -> dict[str, bool]:
    wanted = call.get("outputs") or [{"name": name} for name in OUTPUTS]
    default = _parameters(call).get("binary_data_output", False) is True
    if not isinstance(wanted, list) or not all(isinstance(one, dict) for one in wanted):
        raise RequestError('"outputs" must be a list of {"name": …}.')
    known = list(OUTPUTS)  # a name may be a list, which cannot be looked up in a dictionary
    if unknown := [str(one.get("name"))[:60] for one in wanted if one.get("name") not in known]:
        raise RequestError(f"Unknown output {unknown[0]!r}; known are {', '.join(OUTPUTS)}.")
    return {one["name"]: _parameters(one).get("binary_data", default) is True for one in wanted}


def _parameters(holder: dict[str, Any]) -> dict[str, Any]:
    parameters = holder.get("parameters") or {}
    if not isinstance(parameters, dict):
        raise RequestError('"parameters" must be an object.')
    return parameters


def reply(
    call: InferCall, found: Sequence[Detections], class_names: Sequence[str], model: tuple[str, int]
) -> tuple[bytes, int | None]:
    """Builds the body of the response.

    All images have as many rows as the one with the most detections; the others are padded with -1 and "".

    Args:
        call: The request.
        found: Detections of each image.
        class_names: Names of the labels.
        model: Name and version.

    Returns:
        The body, and the number of bytes of its JSON if binary tensors follow.
    """
    columns, tails, outputs = columns_of(found, class_names), [], []
    for name, is_binary in call.outputs.items():
        described, tail = write_tensor(name, OUTPUTS[name], columns[name], is_binary)
        outputs.append(described)
        tails.append(tail)
    answer: dict[str, Any] = {"model_name": model[0], "model_version": str(model[1]), "outputs": outputs}
    head = json.dumps({**answer, "id": call.id} if call.id is not None else answer).encode()
    return head + b"".join(tails), len(head) if any(call.outputs.values()) else None


def server_metadata(version: str) -> dict[str, Any]:
    """Describes the server.

    Args:
        version: Version of this package.

    Returns:
        The body of the response.
    """
    return {"name": "retinanet-serve", "version": version, "extensions": ["binary_tensor_data"]}


def model_metadata(name: str, version: int, class_names: Sequence[str]) -> dict[str, Any]:
    """Describes a model: its inputs, of which a request has one, and its outputs.

    Args:
        name: Name of the model.
        version: Its version.
        class_names: Names of the labels, which the protocol itself has no field for.

    Returns:
        The body of the response.
    """
    described = [
        [{"name": key, "datatype": kind, "shape": shape} for key, (kind, shape) in table.items()]
        for table in (INPUTS, OUTPUTS)
    ]
    return {
        "name": name,
        "versions": [str(version)],
        "platform": "keras_retinanet",
        "inputs": described[0],
        "outputs": described[1],
        "parameters": {"class_names": ",".join(class_names)},
    }
