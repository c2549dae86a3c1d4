"""Pickles as PyTorch writes them, and as people do who mean harm; tests load this file by its path."""

from __future__ import annotations

import io
import pickle
from typing import Any, ClassVar


class Name:
    """A global name, pickled as such."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name


class Call:
    """A call of a global name."""

    def __init__(self, name: Name, *arguments: Any) -> None:
        self.name, self.arguments = name, arguments


class Reference(tuple):
    """A persistent id."""


class TorchPickler(pickle._Pickler):  # type: ignore[name-defined]
    """The pickler written in Python, which lets itself be taught."""

    dispatch: ClassVar[dict[Any, Any]] = dict(pickle._Pickler.dispatch)  # type: ignore[attr-defined]

    def persistent_id(self, obj: Any) -> Any:
        return tuple(obj) if isinstance(obj, Reference) else None

    def save_name(self, obj: Name) -> None:
        self.write(pickle.GLOBAL + f"{obj.module}\n{obj.name}\n".encode())

    def save_call(self, obj: Call) -> None:
        self.save(obj.name)
        self.save(obj.arguments)
        self.write(pickle.REDUCE)

    dispatch[Name] = save_name
    dispatch[Call] = save_call


def dumps(content: Any, protocol: int = 2) -> bytes:
    stream = io.BytesIO()
    TorchPickler(stream, protocol).dump(content)
    return stream.getvalue()


class Exploit:
    """Pickles into a call; the file would run it on loading."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> Any:
        return self.function, self.arguments
