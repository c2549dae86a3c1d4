"""Tensors of the Open Inference Protocol, in JSON and in binary."""

from __future__ import annotations

import base64
import binascii
import math
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_retinanet.serving.predict_api import RequestError

BYTES = "BYTES"
"""Data type of byte strings; of files in JSON, base64."""
UINT8 = "UINT8"
"""Data type of pixels."""
_TYPES = {"FP32": "<f4", "INT32": "<i4"}


@dataclass(frozen=True)
class Tensor:
    """An input of a request.

    Attributes:
        name: Its name.
        datatype: Name of its data type.
        shape: Its shape.
        data: The nested lists of the JSON, or the bytes of a binary tensor.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: list[Any] | memoryview

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


def tensor_of(given: dict[str, Any], binary: memoryview) -> Tensor:
    """Reads the description of the only input.

    Args:
        given: Its JSON.
        binary: What follows the JSON of the request.

    Returns:
        The tensor, its elements not yet checked.

    Raises:
        RequestError: The shape or the data is missing or has another form.
    """
    name, shape, data = str(given["name"]), given.get("shape"), given.get("data")
    parameters = given.get("parameters") or {}
    if not isinstance(shape, list) or not all(type(side) is int and 0 <= side < 2**31 for side in shape):
        raise RequestError(f'"shape" of {name} must be a list of whole numbers.')
    size = parameters.get("binary_data_size") if isinstance(parameters, dict) else None
    if data is not None and size is None and not len(binary):
        if not isinstance(data, list):
            raise RequestError(f'"data" of {name} must be a list.')
        return Tensor(name, str(given.get("datatype")), tuple(shape), data)
    if data is not None or size != len(binary):
        raise RequestError(
            f'{name} needs either "data" or the parameter "binary_data_size", which must be {len(binary)}: so many '
            "bytes follow the JSON."
        )
    return Tensor(name, str(given.get("datatype")), tuple(shape), binary)


def read_files(tensor: Tensor) -> list[bytes]:
    """The byte strings of a tensor.

    Args:
        tensor: Its data type is `BYTES`.

    Returns:
        The elements, decoded from base64 if they are in JSON.

    Raises:
        RequestError: There are more or fewer than the shape says, or one is not base64.
    """
    if isinstance(tensor.data, list):
        files = [_decoded(element, tensor.name) for element in _flat(tensor.data)]
    else:
        files = _split(tensor.data, tensor.name)
    _check_size(tensor, len(files))
    return files


def read_pixels(tensor: Tensor) -> np.ndarray:
    """The pixels of a tensor.

    Args:
        tensor: Its data type is `UINT8`.

    Returns:
        An array of its shape.

    Raises:
        RequestError: There are more or fewer than the shape says, or one is not a whole number from 0 to 255.
    """
    if isinstance(tensor.data, list):
        try:
            found = np.array(tensor.data)
        except ValueError:  # lists of unequal lengths
            found = np.array(None)
        if found.dtype.kind not in "iu" or found.min(initial=0) < 0 or found.max(initial=0) > 255:
            raise RequestError(f"{tensor.name} must have whole numbers from 0 to 255, in lists of equal lengths.")
        found = found.astype(np.uint8)
    else:
        found = np.frombuffer(bytes(tensor.data), np.uint8)
    _check_size(tensor, found.size)
    return found.reshape(tensor.shape)


def write_tensor(
    name: str, kind: tuple[str, list[int]], values: list[Any], is_binary: bool
) -> tuple[dict[str, Any], bytes]:
    """Writes an output.

    Args:
        name: Its name.
        kind: Its data type, `FP32`, `INT32` or `BYTES`, and its shape, -1 where it varies.
        values: Nested lists.
        is_binary: Whether it follows the JSON in binary.

    Returns:
        Its JSON, and its bytes; none if it is all in the JSON.
    """
    datatype, dims = kind
    array = np.array(values, _TYPES.get(datatype, object))
    array = array.reshape(*array.shape, *dims[array.ndim :])  # empty lists lack the last axes
    described: dict[str, Any] = {"name": name, "datatype": datatype, "shape": list(array.shape)}
    if not is_binary:
        return {**described, "data": array.ravel().tolist()}, b""
    tail = b"".join(map(_framed, array.ravel())) if datatype == BYTES else array.tobytes()
    return {**described, "parameters": {"binary_data_size": len(tail)}}, tail


def _check_size(tensor: Tensor, size: int) -> None:
    if size != tensor.size:
        shape = list(tensor.shape)
        raise RequestError(f"{tensor.name} has {size} elements; its shape {shape} has {tensor.size}.")


def _framed(text: str) -> bytes:
    """A string with its length in front."""
    encoded = text.encode()
    return struct.pack("<I", len(encoded)) + encoded


def _split(data: memoryview, name: str) -> list[bytes]:
    found, place = [], 0
    while place < len(data):
        length: int = struct.unpack_from("<I", data, place)[0] if place + 4 <= len(data) else len(data)
        if place + 4 + length > len(data):
            raise RequestError(f"{name} ends within an element; each is its length in 4 bytes, little-endian, and it.")
        found.append(bytes(data[place + 4 : place + 4 + length]))
        place += 4 + length
    return found


def _flat(data: list[Any]) -> list[Any]:
    while data and isinstance(data[0], list):
        if not all(isinstance(row, list) for row in data):
            return data
        data = [element for row in data for element in row]
    return data


def _decoded(element: Any, name: str) -> bytes:
    try:
        return base64.b64decode(element, validate=True)
    except (binascii.Error, ValueError, TypeError):
        raise RequestError(f"{name} has an element that is not base64; files in JSON are base64.") from None
