"""TensorFlow Serving's REST predict API as pure functions: parses requests, builds responses."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from keras_retinanet.schema import Detections
from keras_retinanet.serving.predict_messages import IMAGES, SIGNATURE

EXAMPLE = '{"instances": [{"b64": "…base64 of an image file…"}]}'


class RequestError(ValueError):
    """The body of a request is invalid; the message states what to send."""


@dataclass(frozen=True)
class PredictCall:
    """A request for detections.

    Attributes:
        images: The bytes of each image file.
        is_columnar: Whether the response has one list per output instead of one object per image.
    """

    images: Sequence[bytes]
    is_columnar: bool


def read_call(body: bytes | bytearray) -> PredictCall:
    """Parses the body of a request.

    Images are in `"instances"`, one row per image, or in `"inputs"`, one column. An image is `{"b64": …}`; a row may
    also be `{"image_bytes": {"b64": …}}`, the columns `{"image_bytes": [{"b64": …}, …]}`.

    Args:
        body: JSON.

    Returns:
        The files, decoded from base64.

    Raises:
        RequestError: The body has another form.
    """
    try:
        call = json.loads(body)
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise RequestError(f"The body is not JSON ({reason}); send {EXAMPLE}") from None
    if not isinstance(call, dict) or ("instances" in call) == ("inputs" in call):
        raise RequestError(f'The body needs either "instances" or "inputs"; send {EXAMPLE}')
    if call.get("signature_name", SIGNATURE) not in (SIGNATURE, ""):
        raise RequestError(f'"signature_name" is {_short(call["signature_name"])}; this server has {SIGNATURE!r} only')
    is_columnar = "inputs" in call
    return PredictCall(_files(call["inputs" if is_columnar else "instances"], is_columnar), is_columnar)


def _files(images: Any, is_columnar: bool) -> list[bytes]:
    name = "inputs" if is_columnar else "instances"
    if is_columnar and isinstance(images, dict) and "b64" not in images:
        images = _only_input(images, name)
    if not isinstance(images, list) or not images:
        raise RequestError(f'"{name}" is {_short(images)}; it must be a list with an image at least: send {EXAMPLE}')
    return [_file(image, f"{name}[{index}]", is_columnar) for index, image in enumerate(images)]


def _only_input(values: dict[str, Any], place: str) -> Any:
    if set(values) != {IMAGES}:
        raise RequestError(f'"{place}" has the inputs {_short(sorted(values))}; the only one is "{IMAGES}"')
    return values[IMAGES]


def _file(image: Any, place: str, is_columnar: bool) -> bytes:
    if not is_columnar and isinstance(image, dict) and "b64" not in image:
        image = _only_input(image, place)
    if not isinstance(image, dict) or set(image) != {"b64"} or not isinstance(image["b64"], str):
        raise RequestError(f'{place} is {_short(image)}; an image is {{"b64": "…base64 of an image file…"}}')
    try:
        return base64.b64decode(image["b64"], validate=True)
    except (binascii.Error, ValueError):
        what = "the standard alphabet with its padding, without line breaks (base64 -w0) and without data:…;base64,"
        raise RequestError(f"{place} is not valid base64; send {what}") from None


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=True)
    return text if len(text) <= 60 else f"{text[:57]}..."


def reply(call: PredictCall, found: Sequence[Detections], class_names: Sequence[str]) -> dict[str, Any]:
    """Builds the body of the response, to be encoded as JSON.

    All images have as many rows as the one with the most detections; the others are padded with -1 and "".

    Args:
        call: The request.
        found: Detections of each image.
        class_names: Names of the labels.

    Returns:
        `{"predictions": …}` with one row per image, or `{"outputs": …}` with one array per output.
    """
    if call.is_columnar:
        return {"outputs": columns_of(found, class_names)}
    most = _most(found)
    return {"predictions": [_row(one, most, class_names) for one in found]}


def columns_of(found: Sequence[Detections], class_names: Sequence[str]) -> dict[str, list[Any]]:
    """The outputs of all images, with as many rows as the one with the most detections.

    Args:
        found: Detections of each image.
        class_names: Names of the labels.

    Returns:
        Output → nested lists, padded with -1 and "".
    """
    most = _most(found)
    rows = [_row(one, most, class_names) for one in found]
    return {name: [row[name] for row in rows] for name in rows[0]}


def _most(found: Sequence[Detections]) -> int:
    return max(len(one["scores"]) for one in found)


def _row(found: Detections, most: int, class_names: Sequence[str]) -> dict[str, Any]:
    count = len(found["scores"])
    empty = most - count
    return {
        "boxes": found["boxes"].tolist() + [[-1.0] * 4] * empty,
        "scores": found["scores"].tolist() + [-1.0] * empty,
        "labels": found["labels"].tolist() + [-1] * empty,
        "class_names": [class_names[label] for label in found["labels"]] + [""] * empty,
        "num_detections": count,
    }


def status(version: int, is_ready: bool) -> dict[str, Any]:
    """The model's status in the form of TensorFlow Serving.

    Args:
        version: Version of the model.
        is_ready: Whether the warm-up has finished.

    Returns:
        The body of the response.
    """
    state = {"version": str(version), "state": "AVAILABLE" if is_ready else "LOADING"}
    return {"model_version_status": [{**state, "status": {"error_code": "OK", "error_message": ""}}]}


def metadata(name: str, version: int, class_names: Sequence[str]) -> dict[str, Any]:
    """The model's signature in the form of TensorFlow Serving's metadata.

    Args:
        name: Name of the model.
        version: Version of the model.
        class_names: Names of the labels; TensorFlow Serving itself does not report them.

    Returns:
        The body of the response.
    """
    outputs = {
        "boxes": _tensor("DT_FLOAT", -1, -1, 4),
        "scores": _tensor("DT_FLOAT", -1, -1),
        "labels": _tensor("DT_INT32", -1, -1),
        "class_names": _tensor("DT_STRING", -1, -1),
        "num_detections": _tensor("DT_INT32", -1),
    }
    signature = {
        "inputs": {IMAGES: _tensor("DT_STRING", -1)},
        "outputs": outputs,
        "method_name": "tensorflow/serving/predict",
    }
    return {
        "model_spec": {"name": name, "signature_name": "", "version": str(version)},
        "metadata": {"signature_def": {"signature_def": {SIGNATURE: signature}}, "class_names": list(class_names)},
    }


def _tensor(dtype: str, *shape: int) -> dict[str, Any]:
    dims = [{"size": str(size), "name": ""} for size in shape]
    return {"dtype": dtype, "tensor_shape": {"dim": dims, "unknown_rank": False}, "name": ""}
