"""`.safetensors` written by hand, by the library where it is installed, and wrong ones."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keras_retinanet.weight_files.safetensors_file import (
    is_safetensors_file,
    read_safetensors_file,
    write_safetensors_file,
)
from keras_retinanet.weight_files.weight_file import open_weights


def write(path: Path, header: Any, data: bytes = b"") -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def entry(kind: str, shape: list[int], start: int, end: int) -> dict[str, Any]:
    return {"dtype": kind, "shape": shape, "data_offsets": [start, end]}


def test_a_file_written_by_hand(tmp_path: Path) -> None:
    data = np.array([[1, 2, 3], [4, 5, 6]], "<f4").tobytes() + np.array([-7], "<i8").tobytes() + b"\x80\x3f\x20\xc1"
    header = {
        "__metadata__": {"format": "pt"},
        "module.w": entry("F32", [2, 3], 0, 24),
        "module.count": entry("I64", [], 24, 32),
        "module.short": entry("BF16", [2], 32, 36),
        "module.none": entry("F32", [0, 4], 36, 36),
    }
    path = write(tmp_path / "a.bin", header, data)
    assert is_safetensors_file(path)
    file = open_weights(path)
    assert file.layout == "safetensors"
    assert list(file.tensors) == ["w", "count", "short", "none"], "the prefix of a training wrapper is taken off"
    np.testing.assert_array_equal(file.tensors["w"], [[1, 2, 3], [4, 5, 6]])
    assert file.tensors["count"] == -7
    np.testing.assert_array_equal(file.tensors["short"], np.float32([1, -10]))
    assert file.tensors["none"].shape == (0, 4)


def test_equals_the_library(tmp_path: Path) -> None:
    library = pytest.importorskip("safetensors.numpy")
    rng = np.random.default_rng(0)
    arrays = {
        str(kind): (10 * rng.standard_normal((2, 3))).astype(kind) for kind in ("f8", "f4", "f2", "i4", "u1", "?")
    }
    library.save_file(arrays, tmp_path / "a.safetensors")
    found = read_safetensors_file(tmp_path / "a.safetensors")
    for name, value in arrays.items():
        np.testing.assert_array_equal(found[name], value)
        assert found[name].dtype == value.dtype


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({"w": entry("F32", [3], 0, 8)}, "tensor 'w' of shape .* is at"),
        ({"w": entry("F32", [3], 0, 12)}, "of 8 bytes"),
        ({"w": entry("F32", [2], 4, 0)}, "is at"),
        ({"w": entry("F32", [-2], 0, 8)}, "has the shape"),
        ({"w": entry("F32", [10**18], 0, 8)}, "is at"),
        ({"w": entry("F32", [True], 0, 8)}, "has the shape"),
        ({"w": entry("X9", [2], 0, 8)}, "dtype 'X9'; known are"),
        ({"w": {"dtype": "F32"}}, "not described"),
        ({"w": 3}, "not described"),
        ([1], "not a JSON object"),
        (b"{", "as a safetensors file: "),
        (b"\xff\xff", "as a safetensors file: "),
        (b"[" * 100_000, "as a safetensors file: "),
    ],
)
def test_wrong_headers(header: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"wrong\.safetensors.*{message}"):
        read_safetensors_file(write(tmp_path / "wrong.safetensors", header, b"12345678"))


def test_lengths_beyond_the_file_and_shortened_files(tmp_path: Path) -> None:
    path = tmp_path / "short.safetensors"
    path.write_bytes(struct.pack("<Q", 2**60) + b"{}")
    assert not is_safetensors_file(path)
    with pytest.raises(ValueError, match=r"short.*header of \d+ bytes does not fit"):
        read_safetensors_file(path)
    whole = write(path, {"w": entry("F32", [2], 0, 8)}, b"12345678").read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"short\.safetensors"):
            read_safetensors_file(path)


def test_written_arrays_read_back_equal(tmp_path: Path) -> None:
    arrays = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3).T,
        "count": np.array(-7, np.int64),
        "half": np.float16([0.5]),
        "none": np.zeros((0, 4), np.float32),
    }
    write_safetensors_file(tmp_path / "a.safetensors", arrays)
    found = read_safetensors_file(tmp_path / "a.safetensors")
    assert list(found) == list(arrays)
    for name, value in arrays.items():
        np.testing.assert_array_equal(found[name], value)
        assert (found[name].dtype, found[name].shape) == (value.dtype, value.shape)
    start = 8 + struct.unpack("<Q", (tmp_path / "a.safetensors").read_bytes()[:8])[0]
    assert start % 8 == 0, "the numbers are aligned"
    with pytest.raises(ValueError, match="'b' is of type complex64"):
        write_safetensors_file(tmp_path / "b", {"b": np.zeros(1, np.complex64)})
