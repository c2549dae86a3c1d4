"""Pickles as data: an interpreter of dicts, lists, tuples, numbers and strings that calls only what it is given.

`pickle.Unpickler` with a restricted `find_class` still calls `__setstate__`, sets attributes and extends whatever
object it meets. Here no opcode reaches an attribute, and a name outside the caller's table ends the reading.
"""

from __future__ import annotations

import abc
import io
import pickletools
import reprlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple


class AllowedGlobal(NamedTuple):
    """A name of the table, met in a pickle."""

    name: str
    """Module and name with a dot, for example `collections.OrderedDict`."""
    build: Callable[..., Any] | None
    """Called for the pickle's arguments; `None` where the name may be mentioned but not called."""


class Stateful(abc.ABC):
    """An object whose state the pickle may set; of all that functions of the table return, only these."""

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        return 0

    @abc.abstractmethod
    def set_state(self, state: Any) -> None:
        """Checks and takes over what the pickle says.

        Args:
            state: Anything.

        Raises:
            ValueError: It is not what belongs here.
        """


class Ignored(Stateful):
    """In place of other objects, such as a logger; takes items and state, and keeps nothing."""

    def __init__(self, *arguments: Any) -> None:
        del arguments

    def set_state(self, state: Any) -> None:
        """Drops it."""
        del state


BESIDE = (
    "datetime.", "torch.optim.", "mmengine.", "mmcv.", "detectron2.", "fvcore.", "yacs.", "omegaconf.",
    "pytorch_lightning.", "lightning.", "lightning_fabric.", "pathlib.", "torch.torch_version.", "numpy.random.",
    "collections.deque", "types.SimpleNamespace",
)  # fmt: skip
"""Prefixes of the names of other objects that trainers save: read as `Ignored`, never imported."""
GROWTH, SLACK = 16, 2**20
"""Bytes that may be built from each byte of a pickle, and from none: what it names again and again costs it little."""
MAX_NUMBER = 2**60
"""Beyond any side, length or key: larger numbers are chosen to be slow to multiply, or to share one hash."""
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
        """One opcode."""
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
        """Counts the bytes that a function of the table made: one opcode may make as many as the file has."""
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
    """A value of a file for a message: a few levels and items, since one that is nested in itself has no end."""
    try:
        return reprlib.repr(value)
    except ValueError:  # Python writes no number of more than 4300 digits
        return f"a {type(value).__name__} of very large numbers"


def is_count(value: Any) -> bool:
    """Whether a value of a file is a whole number that can be a side, an offset or a length."""
    return type(value) is int and 0 <= value < MAX_NUMBER


def require_key(key: Any) -> None:
    """Raises where a value cannot be a key of a table: text, or a number of usual size."""
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
    """Reads one pickle and leaves the stream right behind it.

    Args:
        stream: Open at the first byte of the pickle. In memory, where a length of petabytes that a file claims finds
            nothing to read; a file object would first make room for them.
        allowed: What each global name that may occur builds from its arguments (`None`: it may only be mentioned).
        load_persistent: Answers the pickle's references to data outside it.

    Returns:
        Dicts, lists, tuples, numbers, strings, bytes, and what the functions of `allowed` made.

    Raises:
        ValueError: A name outside `allowed`, an opcode that makes objects, or a pickle cut short; says which.
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
