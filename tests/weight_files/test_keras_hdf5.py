"""HDF5 of Keras 2 and 3: what is read, and files that reach outside of themselves or are damaged."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from keras_retinanet.weight_files import keras_hdf5
from keras_retinanet.weight_files.keras_hdf5 import is_keras_hdf5, read_keras_hdf5, read_tree
from keras_retinanet.weight_files.weight_file import open_weights, weight_layout


def write(path: Path, *, chunks: bool = False) -> Path:
    with h5py.File(path, "w") as file:
        names = ["input_1", "conv1/conv"]
        if chunks:  # an attribute longer than HDF5 allows
            file.attrs["layer_names0"], file.attrs["layer_names1"] = names[:1], names[1:]
        else:
            file.attrs["layer_names"] = names
        file.create_group("input_1").attrs["weight_names"] = np.zeros(0, "S1")
        layer = file.create_group("conv1/conv")
        layer.attrs["weight_names"] = [b"conv1/conv/kernel:0", b"conv1/conv/bias:0"]
        layer["conv1/conv/kernel:0"] = np.float32([[1, 2]])
        layer["conv1/conv/bias:0"] = np.float32([3])
    return path


@pytest.mark.parametrize("chunks", [False, True])
def test_layers_in_order(chunks: bool, tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", chunks=chunks)
    assert is_keras_hdf5(path)
    assert weight_layout(path) == "keras_hdf5"
    found = read_keras_hdf5(path)
    assert list(found.layers) == ["input_1", "conv1/conv"]
    assert found.layers["input_1"] == []
    (kernel, values), (bias, _) = found.layers["conv1/conv"]
    assert (kernel, bias) == ("conv1/conv/kernel", "conv1/conv/bias")
    np.testing.assert_array_equal(values, [[1, 2]])
    assert (found.config, found.version) == (None, None)


def replace(path: Path, make) -> Path:
    with h5py.File(path, "a") as file:
        del file["conv1/conv/conv1/conv/bias:0"]
        make(file["conv1/conv/conv1/conv"])
    return path


def test_numbers_outside_of_the_file_are_not_followed(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["numbers"] = np.float32([42])
    (tmp_path / "raw").write_bytes(np.float32([42]).tobytes())

    def external(group: h5py.Group) -> None:
        group["bias:0"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "/numbers")

    def soft(group: h5py.Group) -> None:
        group["bias:0"] = h5py.SoftLink("/conv1")

    def raw(group: h5py.Group) -> None:
        group.create_dataset("bias:0", (1,), "f4", external=[(str(tmp_path / "raw"), 0, 4)])

    def virtual(group: h5py.Group) -> None:
        layout = h5py.VirtualLayout((1,), "f4")
        layout[:] = h5py.VirtualSource(str(tmp_path / "secret.h5"), "numbers", (1,))
        group.create_virtual_dataset("bias:0", layout)

    for number, make in enumerate((external, soft, raw, virtual)):
        path = replace(write(tmp_path / f"{number}.h5"), make)
        with pytest.raises(ValueError, match=rf"{number}\.h5.*outside the file"):
            read_keras_hdf5(path)


def test_arrays_that_claim_more_than_the_file_holds(tmp_path: Path) -> None:
    def huge(group: h5py.Group) -> None:
        group.create_dataset("bias:0", (10**10,), "f4", chunks=(1000,))

    path = replace(write(tmp_path / "a.h5"), huge)
    with pytest.raises(ValueError, match=r"a\.h5.*claims 40000000000 bytes"):
        read_keras_hdf5(path)


def test_arrays_of_text_and_missing_layers(tmp_path: Path) -> None:
    path = replace(write(tmp_path / "a.h5"), lambda group: group.create_dataset("bias:0", data=["x"]))
    with pytest.raises(ValueError, match=r"a\.h5.*no numbers"):
        read_keras_hdf5(path)
    with h5py.File(write(tmp_path / "b.h5"), "a") as file:
        file.attrs["layer_names"] = ["input_1", "lost"]
    with pytest.raises(ValueError, match=r"b\.h5.*'lost' is missing"):
        read_keras_hdf5(tmp_path / "b.h5")


def test_damaged_files(tmp_path: Path) -> None:
    """Each is walked through by a process of its own first, which costs half a second: a dozen files."""
    whole = write(tmp_path / "a.h5").read_bytes()
    path = tmp_path / "changed.h5"
    for length in (16, len(whole) // 2, len(whole) - 100):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"changed\.h5"):
            read_keras_hdf5(path)
    rng = np.random.default_rng(0)
    for _ in range(9):
        data = bytearray(whole)
        for place in rng.integers(0, len(data), 15):
            data[place] = rng.integers(256)
        path.write_bytes(data)
        try:
            read_keras_hdf5(path)
        except ValueError as error:
            assert "changed.h5" in str(error)  # noqa: PT017


def test_a_file_on_which_the_library_crashes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As libhdf5 does on damaged names; whether a given file makes it crash depends on its version."""
    probe = tmp_path / "probe.py"
    probe.write_text("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    monkeypatch.setattr(keras_hdf5, "_PROBE", probe)
    with pytest.raises(ValueError, match=r"a\.h5' is a damaged HDF5 file: reading it ends in signal 11"):
        read_keras_hdf5(write(tmp_path / "a.h5"))


def test_a_tree_of_keras_3(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.weights.h5", "w") as file:
        file["layers/conv2d/vars/0"] = np.float32([1, 2])
    assert not is_keras_hdf5(tmp_path / "a.weights.h5")
    np.testing.assert_array_equal(read_tree(tmp_path / "a.weights.h5")["layers/conv2d/vars/0"], [1, 2])


def test_other_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("x")
    with pytest.raises(ValueError, match=r"text' is not a known weight file"):
        open_weights(tmp_path / "text")
    with pytest.raises(FileNotFoundError, match="lost"):
        open_weights(tmp_path / "lost")
