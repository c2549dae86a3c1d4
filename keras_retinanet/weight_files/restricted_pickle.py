"""Reads pickles as data: dicts, lists, tuples, numbers, strings, and results of functions in the caller's table.

`pickle.Unpickler` with a restricted `find_class` still calls `__setstate__`, sets attributes and extends any object.
Here no opcode accesses an attribute, and a name outside the caller's table is an error.
"""

from __future__ import annotations

import abc
import io
import pickletools
import reprlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple


class AllowedGlobal(NamedTuple):
    """A name of the table that occurred in a pickle."""

    name: str
    """Module and name with a dot, for example `collections.OrderedDict`."""
    build: Callable[..., Any] | None
    """Called with the pickle's arguments; `None` if the name may occur but not be called."""


class Stateful(abc.ABC):
    """An object whose state the pickle may set. No other object has a state."""

    @property
    def nbytes(self) -> int:
        """Bytes of memory in use."""
        return 0

    @abc.abstractmethod
    def set_state(self, state: Any) -> None:
        """Checks and stores the state.

        Args:
            state: Any value from the pickle.

        Raises:
            ValueError: It is not a state of this class.
        """


class Ignored(Stateful):
    """Replaces other objects, such as a logger; accepts items and state, and stores nothing."""

    def __init__(self, *arguments: Any) -> None:
        del arguments

    def set_state(self, state: Any) -> None:
        """Ignores the state."""
        del state


BESIDE = (
    "datetime.", "torch.optim.", "mmengine.", "mmcv.", "detectron2.", "fvcore.", "yacs.", "omegaconf.",
    "pytorch_lightning.", "lightning.", "lightning_fabric.", "pathlib.", "torch.torch_version.", "numpy.random.",
    "collections.deque", "types.SimpleNamespace",
)  # fmt: skip
"""Prefixes of the names of other objects that trainers save: read as `Ignored`, never imported."""
GROWTH, SLACK = 16, 2**20
"""Limit on the bytes built from a pickle: per byte, and in addition. Repeating an object takes few bytes."""
MAX_NUMBER = 2**60
"""Limit on sides, lengths and keys; larger numbers can be slow to multiply, or collide as hashes."""
_MARK = object()
_KEY_TYPES = (str, int, float, bytes, type(None))  # tuples could nest until hashing them overflows the C stack
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "MARK": lambda: _MARK,
}
_LITERALS = {
    "BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
    "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8", "BINSTRING", "SHORT_BINSTRING",
}  # fmt: skip
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_PUTS = ("BINPUT", "LONG_BINPUT", "PUT")
_GETS = ("BINGET", "LONG_BINGET", "GET")


class _Machine:
    """The stack machine that pickle's opcodes drive."""

    def __init__(
        self,
        allowed: Mapping[str, Callable[..., Any] | None],
        load_persistent: Callable[[Any], Any],
        room: int,
    ) -> None:
        self.stack: list[Any] = []
        self.room = room
        self.memo: dict[int, Any] = {}
        self.allowed = allowed
        self.load_persistent = load_persistent

    def step(self, name: str, argument: Any) -> None:
        """Executes one opcode."""
        if name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name]())
        elif name in _LITERALS:
            self.stack.append(argument)
        elif name in _TUPLES:
            self.stack.append(tuple([self._pop() for _ in range(_TUPLES[name])][::-1]))
        elif name in _PUTS:
            self.memo[argument] = self._top()
        elif name in _GETS:
            self.stack.append(self.memo[argument])
        elif name not in ("PROTO", "FRAME"):
            operation = getattr(self, f"_op_{name.lower()}", None)
            if operation is None:
                raise ValueError(f"the pickle uses {name}, which no table of weights needs")
            operation(argument)

    def _top(self) -> Any:
        if not self.stack or self.stack[-1] is _MARK:
            raise ValueError("the pickle takes from an empty stack")
        return self.stack[-1]

    def _pop(self) -> Any:
        self._top()
        return self.stack.pop()

    def _pop_marked(self) -> list[Any]:
        items: list[Any] = []
        while self.stack and self.stack[-1] is not _MARK:
            items.append(self.stack.pop())
        if not self.stack:
            raise ValueError("the pickle takes from an empty stack")
        self.stack.pop()
        return items[::-1]

    def _op_memoize(self, _: Any) -> None:
        self.memo[len(self.memo)] = self._top()

    def _op_pop(self, _: Any) -> None:
        self._pop()

    def _op_tuple(self, _: Any) -> None:
        self.stack.append(tuple(self._pop_marked()))

    def _op_list(self, _: Any) -> None:
        self.stack.append(self._pop_marked())

    def _op_dict(self, _: Any) -> None:
        items = self._pop_marked()
        self.stack.append({})
        self._set_items(items)

    def _op_append(self, _: Any) -> None:
        self._extend([self._pop()])

    def _op_appends(self, _: Any) -> None:
        self._extend(self._pop_marked())

    def _op_setitem(self, _: Any) -> None:
        value, key = self._pop(), self._pop()
        self._set_items([key, value])

    def _op_setitems(self, _: Any) -> None:
        self._set_items(self._pop_marked())

    def _extend(self, items: list[Any]) -> None:
        target = self._top()
        if isinstance(target, Ignored):
            return
        if not isinstance(target, list):
            raise ValueError(f"the pickle appends to a {type(target).__name__}")
        target.extend(items)

    def _set_items(self, items: list[Any]) -> None:
        target = self._top()
        if isinstance(target, Ignored):
            return
        if not isinstance(target, dict) or len(items) % 2:
            raise ValueError(f"the pickle sets items of a {type(target).__name__}")
        for key, value in zip(items[::2], items[1::2], strict=True):
            require_key(key)
            target[key] = value

    def _op_global(self, argument: str) -> None:
        self._find(*argument.split(" ", 1))

    def _op_stack_global(self, _: Any) -> None:
        name, module = self._pop(), self._pop()
        self._find(module, name)

    def _find(self, module: Any, name: Any = "") -> None:
        full_name = f"{module}.{name}"
        if full_name in self.allowed:
            self.stack.append(AllowedGlobal(full_name, self.allowed[full_name]))
        elif full_name.startswith(BESIDE):
            self.stack.append(AllowedGlobal(full_name, Ignored))
        else:
            raise ValueError(f"refused {full_name!r}, which no table of weights needs; nothing of the file was run")

    def _op_reduce(self, _: Any) -> None:
        arguments, function = self._pop(), self._pop()
        if not isinstance(function, AllowedGlobal) or function.build is None or not isinstance(arguments, tuple):
            raise ValueError(f"refused to call {getattr(function, 'name', type(function).__name__)!r}")
        try:
            built = function.build(*arguments)
        except TypeError as error:
            raise ValueError(f"wrong arguments for {function.name}: {error}") from error
        self._make_room(built)
        self.stack.append(built)

    def _make_room(self, built: Any) -> None:
        """Counts the bytes that a function of the table made, which may be as many as the file has for each opcode."""
        self.room -= built.nbytes if isinstance(built, Stateful) else _bytes_of(built)
        if self.room < 0:
            raise ValueError("the pickle makes far more than it holds, by naming the same things again and again")

    def _op_newobj(self, argument: Any) -> None:
        self._op_reduce(argument)  # what builds an allowed name is a function of the table, never a class of the file

    def _op_build(self, _: Any) -> None:
        state = self._pop()
        target = self._top()
        if isinstance(target, Stateful):
            target.set_state(state)
            self._make_room(target)
        elif not isinstance(
            target, dict
        ):  # attributes of a dict, such as a state dict's version numbers, are no weights
            raise ValueError(f"refused to set the state of a {type(self._top()).__name__}")

    def _op_binpersid(self, _: Any) -> None:
        self.stack.append(self.load_persistent(self._pop()))


def short(value: Any) -> str:
    """Formats a value of a file for a message, with a few levels and items only: it may contain itself."""
    try:
        return reprlib.repr(value)
    except ValueError:  # Python writes no number of more than 4300 digits
        return f"a {type(value).__name__} of very large numbers"


def is_count(value: Any) -> bool:
    """Whether a value of a file is an integer that can be a side, an offset or a length."""
    return type(value) is int and 0 <= value < MAX_NUMBER


def require_key(key: Any) -> None:
    """Raises unless a value can be a key of a table: text, bytes, `None`, or a number below `MAX_NUMBER`."""
    if not isinstance(key, _KEY_TYPES) or (isinstance(key, int) and abs(key) >= MAX_NUMBER):
        raise ValueError(f"the pickle has a dict key of type {type(key).__name__}, or one that is too large")


def _bytes_of(value: Any) -> int:
    if isinstance(value, dict):
        return 64 * len(value)
    return len(value) if isinstance(value, bytes) else 0


def _no_persistent(identifier: Any) -> Any:
    raise ValueError(f"the pickle refers to outside data: {type(identifier).__name__}")


def load(
    stream: io.BytesIO,
    allowed: Mapping[str, Callable[..., Any] | None],
    load_persistent: Callable[[Any], Any] = _no_persistent,
) -> Any:
    """Reads one pickle and leaves the stream after its last byte.

    Args:
        stream: Positioned at the first byte of the pickle. It is in memory, because reading a claimed length of
            petabytes from a file object would first allocate them.
        allowed: Global name → function that replaces it; `None` if the name may occur but not be called.
        load_persistent: Resolves the pickle's references to data outside it.

    Returns:
        Dicts, lists, tuples, numbers, strings, bytes, and results of the functions of `allowed`.

    Raises:
        ValueError: The pickle uses a name outside `allowed` or a forbidden opcode, or is truncated; the message says
            which.
    """
    machine = _Machine(allowed, load_persistent, SLACK + GROWTH * stream.getbuffer().nbytes)
    for opcode, argument, _ in pickletools.genops(stream):
        if opcode.name == "STOP":
            return machine._pop()
        try:
            machine.step(opcode.name, argument)
        except KeyError as error:
            raise ValueError(f"the pickle refers to a value that it has not made: {error}") from error
    raise ValueError("the pickle has no end")
