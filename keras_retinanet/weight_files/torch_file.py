"""Reads PyTorch's `.pth` files as NumPy arrays, without PyTorch and without executing anything in the file.

There are two layouts: the zip archive (PyTorch ≥ 1.6: `data.pkl` and one file per storage), and the older sequence of
pickles followed by the raw storages. Only names of `ALLOWED` may occur; see `restricted_pickle`.
"""

from __future__ import annotations

import io
import math
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.lib.stride_tricks import as_strided

from keras_retinanet.weight_files import numpy_pickle, pickle_stubs, restricted_pickle

UNREADABLE = (zipfile.BadZipFile, NotImplementedError, struct.error, ValueError, OverflowError, EOFError, OSError)
"""Exceptions that a damaged archive or pickle raises."""
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_START = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""First bytes of a file in the older layout: its magic number, pickled."""

MAX_DIMENSIONS = 32
"""Maximum number of axes of a tensor: NumPy's limit in all versions."""
_DTYPES = {
    "FloatStorage": "f4", "DoubleStorage": "f8", "HalfStorage": "f2", "BFloat16Storage": "bfloat16",
    "LongStorage": "i8", "IntStorage": "i4", "ShortStorage": "i2", "CharStorage": "i1", "ByteStorage": "u1",
    "BoolStorage": "?",
}  # fmt: skip


@dataclass
class _Storage:
    """A one-dimensional array; in the older layout `values` follow after the pickle."""

    dtype: str
    length: int
    values: np.ndarray | None = None

    @property
    def nbytes(self) -> int:
        return self.length * (2 if self.dtype == "bfloat16" else np.dtype(self.dtype).itemsize)

    def fill(self, data: bytes, order: Literal["<", ">"]) -> None:
        """Sets the values from bytes in the given byte order; raises `ValueError` if their number is wrong."""
        if len(data) != self.nbytes:
            raise ValueError(f"a storage of {self.length} × {self.dtype} has {len(data)} bytes")
        if self.dtype == "bfloat16":  # the upper half of a float32
            upper = np.frombuffer(data, f"{order}u2").astype(np.uint32)
            self.values = (upper << 16).view(np.float32)
        else:
            values = np.frombuffer(data, np.dtype(self.dtype).newbyteorder(order))
            self.values = values.astype(values.dtype.newbyteorder("="))


@dataclass
class _Tensor:
    """A view into a storage."""

    storage: _Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    def array(self) -> np.ndarray:
        """The tensor as a read-only view of its storage."""
        values = self.storage.values
        if values is None:
            raise ValueError("a tensor's numbers are missing")
        steps = [step * values.itemsize for step in self.stride]
        # A view: a thousand tensors on one large storage must not become a thousand copies.
        return as_strided(values[self.offset :], self.size, steps, writeable=False)


def _rebuild_tensor(
    storage: Any, offset: Any, size: Any, stride: Any, requires_grad: Any = None, hooks: Any = None, *metadata: Any
) -> _Tensor:
    del requires_grad, hooks, metadata
    if not isinstance(storage, _Storage) or not isinstance(size, tuple) or not isinstance(stride, tuple):
        raise ValueError("a tensor is not described by storage, offset, size and stride")
    numbers = (offset, *size, *stride)
    is_known = len(size) == len(stride) <= MAX_DIMENSIONS and all(map(restricted_pickle.is_count, numbers))
    if not is_known:
        raise ValueError(f"a tensor has offset, size and stride {restricted_pickle.short(numbers)}")
    last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
    if math.prod(size) and last >= storage.length:
        raise ValueError(f"a tensor of size {size} reaches beyond its storage of {storage.length}")
    return _Tensor(storage, offset, size, stride)


def _rebuild_parameter(tensor: Any, requires_grad: Any = None, hooks: Any = None, state: Any = None) -> Any:
    del requires_grad, hooks, state
    return tensor


def _rebuild_typed(function: Any, kind: Any, arguments: Any, state: Any = None) -> _Tensor:
    """A tensor with additional attributes, which are dropped."""
    del kind, state
    if not isinstance(function, restricted_pickle.AllowedGlobal) or function.build is not _rebuild_tensor:
        raise ValueError("a tensor is made by something else than PyTorch's function for tensors")
    if not isinstance(arguments, tuple):
        raise ValueError("a tensor is not described by storage, offset, size and stride")
    return _rebuild_tensor(*arguments)


ALLOWED: dict[str, Callable[..., Any] | None] = {
    **numpy_pickle.ALLOWED,
    "collections.OrderedDict": pickle_stubs.ordered_dict,
    "argparse.Namespace": pickle_stubs.Settings,
    "collections.Counter": restricted_pickle.Ignored,
    "collections.defaultdict": pickle_stubs.default_dict,
    "torch.device": restricted_pickle.Ignored,
    **dict.fromkeys(f"{module}.{name}" for module in ("builtins", "__builtin__") for name in ("int", "list", "dict")),
    **{f"{module}.set": restricted_pickle.Ignored for module in ("builtins", "__builtin__")},
    **{f"{module}.getattr": pickle_stubs.logger_attribute for module in ("builtins", "__builtin__")},
    "torch._utils._rebuild_tensor_v2": _rebuild_tensor,
    "torch._utils._rebuild_tensor": _rebuild_tensor,
    "torch._utils._rebuild_parameter": _rebuild_parameter,
    "torch._utils._rebuild_parameter_with_state": _rebuild_parameter,
    "torch._tensor._rebuild_from_type_v2": _rebuild_typed,
    **dict.fromkeys(("torch.Tensor", "torch.nn.parameter.Parameter", "torch.nn.parameter.Buffer")),
    "torch.Size": lambda size=(): size,
    **dict.fromkeys(
        f"torch.{kind}" for kind in ("float64", "float32", "float16", "bfloat16", "int64", "int32", "bool")
    ),
    **{f"torch.{name}": None for name in _DTYPES},
    **{f"torch.cuda.{name}": None for name in _DTYPES},
}
"""Global names that a weight file may use, and the functions that replace them."""


class _Storages:
    """The storages that a pickle refers to, each once."""

    def __init__(self) -> None:
        self.by_key: dict[str, _Storage] = {}

    def find(self, identifier: Any) -> _Storage:
        """The storage of a persistent id `("storage", type, key, device, length[, view])`."""
        if not isinstance(identifier, tuple) or len(identifier) not in (5, 6) or identifier[0] != "storage":
            raise ValueError("the pickle refers to something else than a storage")
        kind, key, length = identifier[1], identifier[2], identifier[4]
        if not isinstance(kind, restricted_pickle.AllowedGlobal) or not isinstance(key, str) or type(length) is not int:
            raise ValueError("a storage is not described by type, key and length")
        if not restricted_pickle.is_count(length) or identifier[5:] not in ((), (None,)):
            raise ValueError("a storage is a view of another one, as PyTorch wrote before 0.4")
        dtype = _DTYPES.get(kind.name.rpartition(".")[2])
        if dtype is None:
            raise ValueError(f"{kind.name} is not a storage")
        storage = self.by_key.setdefault(key, _Storage(dtype, length))
        if (storage.dtype, storage.length) != (dtype, length):
            raise ValueError(f"storage {key!r} has two descriptions")
        return storage


def _read_archive(path: Path) -> Any:
    with zipfile.ZipFile(path) as archive:
        pickles = [name for name in archive.namelist() if name == "data.pkl" or name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise ValueError("the archive holds no PyTorch pickle `data.pkl`")
        folder = pickles[0].removesuffix("data.pkl")
        storages = _Storages()
        content = restricted_pickle.load(io.BytesIO(_entry(archive, pickles[0])), ALLOWED, storages.find)
        order: Literal["<", ">"] = "<"
        if f"{folder}byteorder" in archive.namelist() and _entry(archive, f"{folder}byteorder") == b"big":
            order = ">"
        if sum(storage.nbytes for storage in storages.by_key.values()) > path.stat().st_size:
            raise ValueError("the tensors are larger than the file")
        for key, storage in storages.by_key.items():
            storage.fill(_entry(archive, f"{folder}data/{key}"), order)
        return content


def _entry(archive: zipfile.ZipFile, name: str) -> bytes:
    try:
        info = archive.getinfo(name)
    except KeyError:
        raise ValueError(f"the archive lacks {name!r}") from None
    if info.compress_type != zipfile.ZIP_STORED:  # PyTorch never packs; a bomb would
        raise ValueError(f"{name!r} is compressed")
    return archive.read(info)


def _read_legacy(stream: io.BytesIO) -> Any:
    if restricted_pickle.load(stream, {}) != LEGACY_MAGIC:
        raise ValueError("it starts with another magic number")
    restricted_pickle.load(stream, {})  # version of the layout
    system = restricted_pickle.load(stream, {})
    storages = _Storages()
    content = restricted_pickle.load(stream, ALLOWED, storages.find)
    keys = restricted_pickle.load(stream, {})
    order: Literal["<", ">"] = ">" if isinstance(system, dict) and system.get("little_endian") is False else "<"
    for key in keys if isinstance(keys, list) else []:
        storage = storages.by_key.get(key) if isinstance(key, str) else None
        length = int.from_bytes(stream.read(8), "little" if order == "<" else "big", signed=True)
        if storage is None or length != storage.length:
            raise ValueError("the storages are not those of the tensors")
        storage.fill(stream.read(storage.nbytes), order)
    return content


def is_torch_file(path: str | Path) -> bool:
    """Whether the file starts as a PyTorch checkpoint in either layout; false for a missing file."""
    path = Path(path)
    if not path.is_file():
        return False
    if not zipfile.is_zipfile(path):
        with path.open("rb") as stream:
            return stream.read(len(LEGACY_START)) == LEGACY_START
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.rpartition("/")[2] == "data.pkl" for name in archive.namelist())
    except UNREADABLE:
        return False


def read_torch_file(path: str | Path) -> dict[str, np.ndarray]:
    """Reads the weights of a `.pth` file, by name in the file's order.

    Args:
        path: A state dict saved by `torch.save`, or a training checkpoint with one under `numpy_pickle.MODEL_KEYS`.

    Returns:
        Name → array, read-only. bfloat16 becomes float32; other types are kept.

    Raises:
        ValueError: The file is truncated, is not a PyTorch file, or uses a name outside `ALLOWED`; the message names
            the file and the reason.
        OSError: The file cannot be opened.
    """
    return read_torch_checkpoint(path)[0]


def read_torch_checkpoint(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Reads the weights of a `.pth` file and its other entries; arguments and errors as `read_torch_file`.

    Args:
        path: As `read_torch_file`.

    Returns:
        Name → array, and the other entries of a training checkpoint, such as MMDetection's `meta`.
    """
    path = Path(path)
    with path.open("rb"):  # what cannot be opened is an OSError; the others mean damage
        pass
    try:
        if zipfile.is_zipfile(path):
            content = _read_archive(path)
        elif is_torch_file(path):
            content = _read_legacy(io.BytesIO(path.read_bytes()))
        else:
            raise ValueError("it starts with neither layout of PyTorch")
        table, beside = numpy_pickle.as_table(content, (_Tensor, numpy_pickle.PickledArray))
        room = restricted_pickle.SLACK + restricted_pickle.GROWTH * path.stat().st_size
        if sum(value.nbytes for value in table.values()) > room:
            raise ValueError("its tensors show the same numbers again and again, far more than it holds")
        return table, beside
    except (*UNREADABLE, RuntimeError) as error:
        advice = "; save a state dict alone, without the objects around it" if "refused" in str(error) else ""
        raise ValueError(f"Cannot read {str(path)!r} as a PyTorch weight file: {error}{advice}.") from error
