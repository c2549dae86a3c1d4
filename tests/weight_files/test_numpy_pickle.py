"""Pickles of arrays as NumPy writes them, and by people who mean harm."""

from __future__ import annotations

import collections
import os
import pickle
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keras_retinanet.weight_files.numpy_pickle import read_numpy_pickle
from keras_retinanet.weight_files.weight_file import open_weights

ARRAYS = {
    "kernel": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "turned": np.asfortranarray(np.arange(6, dtype=np.float64).reshape(2, 3)),
    "half": np.array([1, -10], np.float16),
    "count": np.array(7, np.int64),
    "big": np.array([1, 2], ">f4"),
    "empty": np.zeros((0, 3), np.float32),
}


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_arrays_of_every_protocol(protocol: int, tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps({"model": ARRAYS, "__author__": "x", "matching_heuristics": True}, protocol))
    arrays, beside = read_numpy_pickle(path)
    assert beside == {"__author__": "x", "matching_heuristics": True}
    assert list(arrays) == list(ARRAYS)
    for name, value in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], value)
        assert arrays[name].dtype == value.dtype.newbyteorder("=")
    assert open_weights(path).layout == "pickle"


def test_a_pickle_of_python_2(tmp_path: Path) -> None:
    """Its byte strings are text to Python 3: `numpy.core`, no version in the state, numbers as latin1."""
    numbers = np.array([1.5, -2], "<f4").tobytes()
    pickled = (
        b"\x80\x02}q\x01U\x01wq\x02cnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\nndarray\nq\x04K\x00\x85q\x05U\x01b"
        b"\x87q\x06Rq\x07(K\x01K\x02\x85q\x08cnumpy\ndtype\nq\tU\x02f4K\x00K\x01\x87q\nRq\x0b(K\x03U\x01<NNNJ\xff\xff\xff\xff"
        b"J\xff\xff\xff\xffK\x00tb\x89U\x08" + numbers + b"tbs."
    )
    path = tmp_path / "old.pkl"
    path.write_bytes(pickled)
    np.testing.assert_array_equal(read_numpy_pickle(path)[0]["w"], [1.5, -2])


Exploit = runpy.run_path(str(Path(__file__).with_name("pickles.py")))["Exploit"]


class WithState:
    """Pickles into a call of `__setstate__`."""

    def __setstate__(self, state: Any) -> None:
        raise AssertionError("was run")

    def __reduce__(self) -> Any:
        return WithState, (), {"marker": 1}


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (Exploit(os.system, "touch marker"), r"refused '(posix|nt)\.system'"),
        (Exploit(eval, "open('marker', 'w')"), r"refused '(builtins|__builtin__)\.eval'"),
        ({"model": {"w": Exploit(getattr, Exploit(__import__, "os"), "system")}}, r"refused '.*(getattr|__import__)'"),
        (Exploit(np.load, "marker"), r"refused 'numpy.*load'"),
        (WithState(), "refused '.*WithState'"),
        (np.array([Exploit(os.system, "touch marker")], object), r"dtype 'O8?' are no weights|refused"),
        (collections.Counter("a"), r"refused 'collections\.Counter'"),
    ],
)
def test_exploits_are_refused_by_name(
    content: Any, message: str, protocol: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "evil.pkl"
    path.write_bytes(pickle.dumps(content, protocol))
    with pytest.raises(ValueError, match=rf"evil\.pkl.*{message}"):
        read_numpy_pickle(path)
    assert not (tmp_path / "marker").exists()


def test_a_subclass_of_arrays_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps({"w": np.ma.masked_array([1.0])}, 2))
    with pytest.raises(ValueError, match=r"a\.pkl.*refused"):
        read_numpy_pickle(path)


def test_arrays_whose_bytes_do_not_fit(tmp_path: Path) -> None:
    whole = pickle.dumps({"w": np.arange(3, dtype=np.float32)}, 4)
    path = tmp_path / "a.pkl"
    path.write_bytes(whole.replace(b"K\x03\x85", b"K\x04\x85", 1))  # shape (3,) becomes (4,)
    with pytest.raises(ValueError, match=r"a\.pkl.*shape \(4,\) and float32 has 12 bytes"):
        read_numpy_pickle(path)


def test_every_shortened_file_and_random_changes_end_in_named_errors(tmp_path: Path) -> None:
    whole = pickle.dumps({"model": {"w": np.arange(6, dtype=np.float32), "n": np.array(3)}}, 2)
    path = tmp_path / "changed.pkl"
    for length in range(0, len(whole), 3):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"changed\.pkl"):
            read_numpy_pickle(path)
    rng = np.random.default_rng(0)
    errors = 0
    for _ in range(400):
        data = bytearray(whole)
        for place in rng.integers(0, len(data), rng.integers(1, 6)):
            data[place] = rng.integers(256)
        path.write_bytes(data)
        try:
            assert all(isinstance(array, np.ndarray) for array in read_numpy_pickle(path)[0].values())
        except ValueError as error:
            errors += 1
            assert "changed.pkl" in str(error)  # noqa: PT017
    assert errors > 150
