"""Small files that would fill the memory, or take minutes: each is refused before that, in a line."""

from __future__ import annotations

import pickle
import runpy
import struct
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pytest

from keras_retinanet.weight_files import hdf5_probe
from keras_retinanet.weight_files.numpy_pickle import read_numpy_pickle
from keras_retinanet.weight_files.torch_file import is_torch_file, read_torch_file
from keras_retinanet.weight_files.weight_file import open_weights

PICKLES = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("pickles.py"))))
Name, Call, Reference, dumps = PICKLES.Name, PICKLES.Call, PICKLES.Reference, PICKLES.dumps
AGAIN = "makes far more than it holds"
HUGE = 1 << 100_000


def doubled(times: int) -> Any:
    """A tuple of two and two … whose text would have 2 ** times words."""
    value: Any = 1
    for _ in range(times):
        value = (value, value)
    return value


def array(data: bytes, shape: Any, kind: str = "f4") -> Any:
    return Call(Name("numpy.core.numeric", "_frombuffer"), data, Call(Name("numpy", "dtype"), kind), shape, "C")


def tensor(size: Any, stride: Any = (1,)) -> Any:
    storage = Reference(("storage", Name("torch", "FloatStorage"), "0", "cpu", 1))
    return Call(Name("torch._utils", "_rebuild_tensor_v2"), storage, 0, size, stride, False, {})


DATA, TEXT, PAIRS = bytes(40_000), "a" * 40_000, [[index, None] for index in range(2000)]
BOMBS: dict[str, tuple[Any, str]] = {
    "the product of a shape": (array(DATA, (HUGE,) * 32), "very large numbers"),
    "the text of a shape": (array(DATA, doubled(60)), r"an array has the shape \(\("),
    "arrays on the same bytes": ([array(DATA, (10_000,)) for _ in range(70)], AGAIN),
    "bytes of the same text": ([Call(Name("_codecs", "encode"), TEXT, "latin1") for _ in range(70)], AGAIN),
    "dicts of the same pairs": ([Call(Name("collections", "OrderedDict"), PAIRS) for _ in range(20)], AGAIN),
    "keys of one hash": ({2**61 - 1: 1}, "a dict key of type int, or one that is too large"),
    "the name of a type": (array(DATA, (1,), "f4," * 1000), "a dtype is named by 'f4,"),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_pickles(bomb: str, tmp_path: Path) -> None:
    content, message = BOMBS[bomb]
    path = tmp_path / "a.pkl"
    path.write_bytes(dumps(content))
    with pytest.raises(ValueError, match=rf"a\.pkl.*{message}") as caught:
        read_numpy_pickle(path)
    assert len(str(caught.value)) < 1000


def test_a_shape_that_is_nested_too_deeply_to_be_printed(tmp_path: Path) -> None:
    whole = pickle.dumps({"w": np.zeros(3, np.float32)}, 4)
    path = tmp_path / "a.pkl"
    path.write_bytes(whole.replace(b"K\x03\x85", b"K\x03" + b"\x85" * 50_000, 1))
    with pytest.raises(ValueError, match=r"a\.pkl.*an array has the shape \(\("):
        read_numpy_pickle(path)


@pytest.mark.parametrize("size", [(HUGE,) * 600, doubled(60), (1,) * 33])
def test_tensors_that_cannot_be(size: Any, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
        archive.writestr("a/data.pkl", dumps({"w": tensor(size, (1,) * len(size))}))
        archive.writestr("a/data/0", bytes(4))
    with pytest.raises(ValueError, match=r"a\.pth.*a tensor has offset, size and stride") as caught:
        read_torch_file(tmp_path / "a.pth")
    assert len(str(caught.value)) < 1000


def test_a_spread_number_is_a_tensor_unless_it_is_spread_far(tmp_path: Path) -> None:
    """`tensor.expand` stores one number and shows it many times."""
    for size, is_fine in (((64, 64), True), ((2**30,), False)):
        with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
            archive.writestr("a/data.pkl", dumps({"w": tensor(size, (0,) * len(size))}))
            archive.writestr("a/data/0", np.float32(2.5).tobytes())
        if is_fine:
            np.testing.assert_array_equal(read_torch_file(tmp_path / "a.pth")["w"], np.full(size, 2.5))
        else:
            with pytest.raises(ValueError, match=r"a\.pth.*show the same numbers again and again"):
                read_torch_file(tmp_path / "a.pth")


def test_an_archive_of_another_version_is_not_weight_file(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", dumps({}))
    data = bytearray(path.read_bytes())
    data[data.rindex(b"PK\x01\x02") + 6] = 255  # the version that is needed to unpack it
    path.write_bytes(data)
    assert not is_torch_file(path)
    with pytest.raises(ValueError, match=r"a\.pth' is not a known weight file"):
        open_weights(path)


def test_safetensors_that_share_bytes(tmp_path: Path) -> None:
    names = (f'"{index}": {{"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}' for index in range(2))
    header = f"{{{', '.join(names)}}}".encode()
    (tmp_path / "a.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(8))
    with pytest.raises(ValueError, match=r"a\.safetensors.*two tensors begin at byte 0"):
        open_weights(tmp_path / "a.safetensors")


@pytest.mark.parametrize("kind", ["never written", "packed", "linked"])
def test_arrays_of_hdf5(kind: str, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["layer_names"] = ["conv"]
        group = file.create_group("conv")
        group.attrs["weight_names"] = [f"w{index}" for index in range(100)]
        if kind == "never written":
            group.create_dataset("w0", (2**30,), "f4")
        elif kind == "packed":
            group.create_dataset("w0", data=np.zeros(2**23, np.float32), compression="gzip")
        else:
            group["w0"] = np.zeros(250_000, np.float32)
            for index in range(1, 100):
                group[f"w{index}"] = group["w0"]
    with pytest.raises(ValueError, match=r"a\.h5.*claims \d+ bytes, which the file does not hold"):
        open_weights(tmp_path / "a.h5")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is bounded where /proc tells how much is used")
def test_the_process_that_walks_through_hdf5_has_bounded_memory() -> None:
    code = f"import sys; sys.path.insert(0, {str(Path(hdf5_probe.__file__).parent)!r}); import hdf5_probe as probe\n"
    done = subprocess.run(
        [sys.executable, "-c", code + "probe.limit(0); bytearray(2 ** 31)"], capture_output=True, text=True, check=False
    )
    assert "MemoryError" in done.stderr
