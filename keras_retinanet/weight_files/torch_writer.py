"""Writes a state dict as `torch.save` does, without PyTorch: `torch.load(path, weights_only=True)` opens it."""

from __future__ import annotations

import pickle
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

_STORAGES = {"float32": "FloatStorage", "int64": "LongStorage"}
_ORDERED_DICT = pickle.GLOBAL + b"collections\nOrderedDict\n" + pickle.EMPTY_TUPLE + pickle.REDUCE


def write_torch_file(path: str | Path, tensors: Mapping[str, np.ndarray]) -> None:
    """Writes a `.pth` file in the zip layout of PyTorch 1.6 and later.

    Args:
        path: The file; an existing one is replaced.
        tensors: Name → float32 or int64 array.

    Raises:
        ValueError: An array is of another type.
    """
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", _pickle_state_dict(tensors))
        archive.writestr("archive/byteorder", "little")
        for index, value in enumerate(tensors.values()):
            little = np.ascontiguousarray(value, value.dtype.newbyteorder("<"))
            archive.writestr(f"archive/data/{index}", little.tobytes())
        archive.writestr("archive/version", "3\n")


def _pickle_state_dict(tensors: Mapping[str, np.ndarray]) -> bytes:
    """An `OrderedDict` of tensors whose storages are files of the archive, named by number."""
    parts = [pickle.PROTO + b"\x02", _ORDERED_DICT, pickle.MARK]
    for index, (name, value) in enumerate(tensors.items()):
        parts += [_pickle_text(name), _pickle_tensor(str(index), value)]
    return b"".join([*parts, pickle.SETITEMS, pickle.STOP])


def _pickle_tensor(key: str, value: np.ndarray) -> bytes:
    if value.dtype.name not in _STORAGES:
        raise ValueError(f"A tensor of type {value.dtype} cannot be written; {' and '.join(_STORAGES)} can.")
    storage = pickle.GLOBAL + b"torch\n" + _STORAGES[value.dtype.name].encode() + b"\n"
    strides = [int(np.prod(value.shape[axis + 1 :])) for axis in range(value.ndim)]
    arguments = [
        _pickle_tuple(_pickle_text("storage"), storage, _pickle_text(key), _pickle_text("cpu"), _pickle_int(value.size))
        + pickle.BINPERSID,
        _pickle_int(0),  # offset in the storage
        _pickle_tuple(*map(_pickle_int, value.shape)),
        _pickle_tuple(*map(_pickle_int, strides)),
        pickle.NEWFALSE,  # requires no gradient
        _ORDERED_DICT,  # hooks
    ]
    return pickle.GLOBAL + b"torch._utils\n_rebuild_tensor_v2\n" + _pickle_tuple(*arguments) + pickle.REDUCE


def _pickle_tuple(*items: bytes) -> bytes:
    return pickle.MARK + b"".join(items) + pickle.TUPLE


def _pickle_text(text: str) -> bytes:
    data = text.encode()
    return pickle.BINUNICODE + struct.pack("<I", len(data)) + data


def _pickle_int(number: int) -> bytes:
    return pickle.BININT + struct.pack("<i", number)
