"""NumPy arrays in pickles, as Detectron2 publishes its models, read without NumPy's own unpickling functions.

`ALLOWED` is the table for `restricted_pickle`: arrays, dtypes and scalars of plain numbers, under the names of NumPy 1
and 2 and of Python 2 and 3.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from keras_retinanet.weight_files import pickle_stubs, restricted_pickle
from keras_retinanet.weight_files.restricted_pickle import Stateful

_PLAIN_NUMBERS = frozenset("fiub")
_ORDERS = ("<", ">", "=", "|")
MAX_NAME = 16
"""Maximum length of a dtype's name; a compound dtype may have a name of a megabyte, which takes long to parse."""
STARTS = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
"""First bytes of a binary pickle, by protocol."""
MODEL_KEYS = ("model", "state_dict", "model_state_dict", "module", "teacher", "student")
"""Keys under which training checkpoints store the table of weights."""


class _DType(Stateful):
    """A dtype of plain numbers; its byte order follows as its state."""

    def __init__(self, name: Any, align: Any = False, copy: Any = True) -> None:
        del align, copy
        if not isinstance(name, str) or len(name) > MAX_NAME:
            raise ValueError(f"a dtype is named by {restricted_pickle.short(name)}")
        try:
            self.dtype = np.dtype(name)
        except TypeError as error:
            raise ValueError(f"{name!r} is not a dtype") from error
        if self.dtype.kind not in _PLAIN_NUMBERS:
            raise ValueError(f"arrays of dtype {name!r} are no weights")

    def set_state(self, state: Any) -> None:
        """`(version, byte order, …)`; the rest describes compound types."""
        if not isinstance(state, tuple) or len(state) < 2 or state[1] not in _ORDERS:
            raise ValueError("a dtype has no byte order")
        self.dtype = self.dtype.newbyteorder(state[1])


class PickledArray(Stateful):
    """An array; shape, dtype and values follow as its state."""

    def __init__(self) -> None:
        self.values: np.ndarray | None = None

    def set_state(self, state: Any) -> None:
        """`(version, shape, dtype, is in Fortran order, bytes)`, the version left out by old NumPys."""
        if not isinstance(state, tuple) or len(state) not in (4, 5):
            raise ValueError("an array is not described by shape, dtype, order and bytes")
        shape, dtype, is_fortran, data = state[-4:]
        self.values = _from_bytes(data, dtype, shape, "F" if is_fortran else "C")

    @property
    def nbytes(self) -> int:
        """Bytes of the values."""
        return 0 if self.values is None else self.values.nbytes

    def array(self) -> np.ndarray:
        """The values."""
        if self.values is None:
            raise ValueError("an array's numbers are missing")
        return self.values


def _from_bytes(data: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
    if isinstance(data, str):  # a byte string of Python 2
        data = _encode(data, "latin1")
    if not isinstance(data, (bytes, bytearray)) or not isinstance(dtype, _DType) or order not in ("C", "F"):
        raise ValueError("an array is not described by bytes, dtype, shape and order")
    if not isinstance(shape, tuple) or len(shape) > 32 or any(not restricted_pickle.is_count(side) for side in shape):
        raise ValueError(f"an array has the shape {restricted_pickle.short(shape)}")
    if math.prod(shape) * dtype.dtype.itemsize != len(data):
        raise ValueError(f"an array of shape {shape} and {dtype.dtype} has {len(data)} bytes")
    values = np.frombuffer(data, dtype.dtype)
    return values.astype(values.dtype.newbyteorder("="), copy=False).reshape(shape, order=order)


def _reconstruct(kind: Any, shape: Any, code: Any) -> PickledArray:
    del shape, code
    if not isinstance(kind, restricted_pickle.AllowedGlobal) or kind.name != "numpy.ndarray":
        raise ValueError("an array is of another class than numpy.ndarray")
    return PickledArray()


def _from_buffer(data: Any, dtype: Any, shape: Any, order: Any, *axes: Any) -> PickledArray:
    del axes
    made = PickledArray()
    made.values = _from_bytes(data, dtype, shape, order)
    return made


def _scalar(dtype: Any, data: Any) -> PickledArray:
    return _from_buffer(data, dtype, (), "C")


def _encode(text: Any, encoding: Any) -> bytes:
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise ValueError("bytes are spelled as something else than latin1 text")
    try:
        return text.encode("latin1")
    except UnicodeEncodeError as error:
        raise ValueError("bytes are spelled with letters beyond latin1") from error


def _empty_bytes() -> bytes:
    return b""


_MODULES = ("numpy.core", "numpy._core")
ALLOWED: dict[str, Callable[..., Any] | None] = {
    "numpy.ndarray": None,
    "numpy.dtype": _DType,
    "_codecs.encode": _encode,
    "builtins.bytes": _empty_bytes,
    "__builtin__.bytes": _empty_bytes,
    **{f"{module}.multiarray._reconstruct": _reconstruct for module in _MODULES},
    **{f"{module}.multiarray.scalar": _scalar for module in _MODULES},
    **{f"{module}.numeric._frombuffer": _from_buffer for module in _MODULES},
}
"""Global names in pickled arrays, and the functions that replace them."""


def as_table(content: Any, kinds: tuple[type, ...]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Finds the table of weights in the content of a pickle.

    Args:
        content: Result of `restricted_pickle.load`.
        kinds: The reader's classes with a method `array`.

    Returns:
        Name → array in the file's order, and the other entries of a training checkpoint by their keys.

    Raises:
        ValueError: There is no table of weights.
    """
    if not isinstance(content, dict):
        kind = "whole object" if isinstance(content, Stateful) else type(content).__name__
        raise ValueError(f"it holds a {kind}, not a table of weights")
    beside: dict[str, Any] = {}
    if (key := _table_key(content, kinds)) is not None:
        beside = {name: value for name, value in content.items() if name != key}
        content = content[key]
    others = [key for key, value in content.items() if not isinstance(key, str) or not isinstance(value, kinds)]
    if others:
        name = restricted_pickle.short(others[0])
        raise ValueError(f"entry {name} is not a tensor; a table of weights may be under {MODEL_KEYS}")
    return {name: value.array() for name, value in content.items()}, beside


def _table_key(content: dict[Any, Any], kinds: tuple[type, ...]) -> Any:
    """Key of the table in a training checkpoint; `None` if it is the whole content.

    It is one of the usual keys, or the only entry that is a table, as for a moving average.
    """
    for key in MODEL_KEYS:
        if isinstance(content.get(key), dict):
            return key
    tables = [
        key
        for key, value in content.items()
        if isinstance(value, dict) and value and all(isinstance(tensor, kinds) for tensor in value.values())
    ]
    return tables[0] if len(tables) == 1 else None


def read_numpy_pickle(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Reads the arrays of a `.pkl` file, by name in the file's order.

    Args:
        path: A pickled dict of arrays, or one with such a dict under `MODEL_KEYS`.

    Returns:
        Name → array, and the other entries of the outer dict.

    Raises:
        ValueError: The file is truncated, is not a pickle of arrays, or uses a name outside `ALLOWED`; the message
            names the file and the reason.
        OSError: The file cannot be opened.
    """
    data = Path(path).read_bytes()
    try:
        if not data.startswith(STARTS):
            raise ValueError("it does not start as a pickle")
        allowed = ALLOWED | {"collections.OrderedDict": pickle_stubs.ordered_dict}
        return as_table(restricted_pickle.load(io.BytesIO(data), allowed), (PickledArray,))
    except (ValueError, OverflowError, EOFError, MemoryError, RecursionError) as error:
        raise ValueError(f"Cannot read {str(path)!r} as a pickle of arrays: {error}.") from error
