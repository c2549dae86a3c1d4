"""`.safetensors` files: the length of a JSON header, the header, and the bytes of all tensors."""

from __future__ import annotations

import json
import math
import reprlib
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

MAX_HEADER = 100_000_000
"""Bytes of the longest header that the format allows."""
_DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1", "BOOL": "?",
}  # fmt: skip


def is_safetensors_file(path: str | Path) -> bool:
    """Whether the file starts with a length that fits into it, and an opening brace."""
    path = Path(path)
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        start = stream.read(9)
    if len(start) < 9 or start[8:] != b"{":
        return False
    return 8 + struct.unpack("<Q", start[:8])[0] <= path.stat().st_size


def read_safetensors_file(path: str | Path) -> dict[str, np.ndarray]:
    """Reads the tensors of a file, by name in the order of its header.

    Args:
        path: A `.safetensors` file.

    Returns:
        Name → array. bfloat16 becomes float32; other types are kept.

    Raises:
        ValueError: The file is truncated or inconsistent; the message names the file and the reason.
        OSError: The file cannot be opened.
    """
    data = Path(path).read_bytes()
    try:
        if len(data) < 8:
            raise ValueError("it is shorter than the length of its header")
        length = struct.unpack("<Q", data[:8])[0]
        if length > min(MAX_HEADER, len(data) - 8):
            raise ValueError(f"its header of {length} bytes does not fit into the file of {len(data)}")
        header = json.loads(data[8 : 8 + length].decode("utf-8"))
        if not isinstance(header, dict):
            raise ValueError("its header is not a JSON object")
        numbers = memoryview(data)[8 + length :]
        header.pop("__metadata__", None)
        places = [_place(name, entry, len(numbers)) for name, entry in header.items()]
        _require_apart(places)
        return {name: place.array(numbers) for name, place in zip(header, places, strict=True)}
    except (ValueError, RecursionError) as error:
        raise ValueError(f"Cannot read {str(path)!r} as a safetensors file: {error}.") from error


def write_safetensors_file(path: str | Path, tensors: Mapping[str, np.ndarray]) -> None:
    """Writes tensors in the order of their names, marked as PyTorch's.

    Args:
        path: The file; an existing one is replaced.
        tensors: Name → array.

    Raises:
        ValueError: An array is of a type that the format does not have.
    """
    kinds = {np.dtype(dtype): kind for kind, dtype in _DTYPES.items() if kind != "BF16"}
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    values, end = [], 0
    for name, value in tensors.items():
        little = np.ascontiguousarray(value, value.dtype.newbyteorder("<")).reshape(value.shape)
        if little.dtype not in kinds:
            raise ValueError(f"{name!r} is of type {value.dtype}, which safetensors do not have.")
        header[name] = {
            "dtype": kinds[little.dtype], "shape": list(value.shape), "data_offsets": [end, end + value.nbytes]
        }  # fmt: skip
        values.append(little)
        end += value.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with Path(path).open("wb") as stream:
        stream.write(struct.pack("<Q", len(text)) + text)
        for value in values:
            stream.write(value.tobytes())


class _Place(NamedTuple):
    """Position, type and shape of a tensor in the file."""

    start: int
    end: int
    kind: str
    shape: tuple[int, ...]

    def array(self, numbers: memoryview) -> np.ndarray:
        """The tensor from the file's data `numbers`; bfloat16 becomes float32."""
        values = np.frombuffer(numbers[self.start : self.end], np.dtype(_DTYPES[self.kind]))
        if self.kind == "BF16":  # the upper half of a float32
            values = (values.astype(np.uint32) << 16).view(np.float32)
        return values.astype(values.dtype.newbyteorder("=")).reshape(self.shape)


def _require_apart(places: Iterable[_Place]) -> None:
    """Raises if tensors share bytes: the format forbids it, since a small file could hold any number of them."""
    last = 0
    for place in sorted(place for place in places if place.end > place.start):
        if place.start < last:
            raise ValueError(f"two tensors begin at byte {place.start}")
        last = place.end


def _place(name: str, entry: Any, available: int) -> _Place:
    if not isinstance(entry, dict) or not {"dtype", "shape", "data_offsets"} <= set(entry):
        raise ValueError(f"tensor {name!r} is not described by dtype, shape and data_offsets")
    kind, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(kind, str) or kind not in _DTYPES:
        raise ValueError(f"tensor {name!r} has the dtype {reprlib.repr(kind)}; known are {', '.join(_DTYPES)}")
    whole = [*shape, *offsets] if isinstance(shape, list) and isinstance(offsets, list) else [None]
    if any(type(number) is not int or number < 0 for number in whole) or len(offsets) != 2 or len(shape) > 32:
        raise ValueError(f"tensor {name!r} has the shape {reprlib.repr(shape)} at {reprlib.repr(offsets)}")
    start, end = offsets
    dtype = np.dtype(_DTYPES[kind])
    if not start <= end <= available or end - start != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"tensor {name!r} of shape {shape} and {kind} is at {offsets} of {available} bytes")
    return _Place(start, end, kind, tuple(shape))
