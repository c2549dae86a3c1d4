"""State dicts written as PyTorch writes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from keras_retinanet.weight_files.torch_file import read_torch_file
from keras_retinanet.weight_files.torch_writer import write_torch_file

ARRAYS = {
    "a.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2).transpose(0, 1, 3, 2),
    "a.count": np.int64([2**40])[0].reshape(()),
    "ü.bias": np.zeros((0, 4), np.float32),
}


def test_read_back_by_our_reader(tmp_path: Path) -> None:
    write_torch_file(tmp_path / "a.pth", ARRAYS)
    found = read_torch_file(tmp_path / "a.pth")
    assert list(found) == list(ARRAYS)
    for name, value in ARRAYS.items():
        np.testing.assert_array_equal(found[name], value)
        assert (found[name].dtype, found[name].shape) == (value.dtype, value.shape)


def test_read_back_by_torch(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    write_torch_file(tmp_path / "a.pth", ARRAYS)
    found = torch.load(tmp_path / "a.pth", weights_only=True)
    assert list(found) == list(ARRAYS)
    for name, value in ARRAYS.items():
        np.testing.assert_array_equal(found[name].numpy(), value)


def test_another_type_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="float64 cannot be written; float32 and int64 can"):
        write_torch_file(tmp_path / "a.pth", {"a": np.zeros(2)})
