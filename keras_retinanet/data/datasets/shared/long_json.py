"""Parses JSON files whose lists are too long to keep all their entries as objects."""

from __future__ import annotations

import codecs
import contextlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from keras_retinanet.data.datasets.shared.json_files import parse_json, read_file

Keep = Callable[[list[Any]], list[Any]]
"""Function of some successive entries of a list, or of one value of an object, that returns what is kept of them."""

_BATCH = 2048  # entries
_CUT = 2  # characters by which the end of a block may shorten a number that still is one: 1 of 1e+5
_BLOCK = 1 << 22  # bytes read at once
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_SPACE = re.compile(r"[ \t\n\r]*")
_COMMA, _ANY_COMMA = ", ", re.compile(r"[ \t\n\r]*,[ \t\n\r]*")
_scan: Callable[[str, int], tuple[Any, int]] = json.JSONDecoder().scan_once  # type: ignore[attr-defined]  # one value, in C


def read_long_json(
    file: Path, kind: str, fix: str, keep: Mapping[str, Keep], strip: Callable[[bytes], bytes] | None = None
) -> Any:
    """Parse a JSON file, entry by entry where it says so.

    Args:
        file: Its path.
        kind: What it should be, for messages.
        fix: What to do if it is not JSON.
        keep: What is kept of the entries of a member, by its name; `""` stands for the entries of the file itself, a
            list or an object (but for the members that are named).
        strip: Removes from a part of the file, which ends after a `}`, what is not needed. Defaults to `None`.

    Returns:
        The content, with what is kept in place of these lists and objects.

    Raises:
        DataError: It cannot be read, or is not JSON.
    """
    try:
        return _Stream(_texts(file, strip)).content(keep)
    except (OSError, ValueError, StopIteration, RecursionError):  # the whole parser finds the place, or can read it
        raw = read_file(file, kind)
        return _keep_of_whole(parse_json(strip(raw) if strip else raw, file, kind, fix), keep)


def _keep_of_whole(content: Any, keep: Mapping[str, Keep]) -> Any:
    if isinstance(content, list):
        return keep[""](content) if "" in keep else content
    if not isinstance(content, dict):
        return content
    return {
        name: _keep_of_whole(value, {"": keep[name]}) if name in keep else keep[""]([value])[0] if "" in keep else value
        for name, value in content.items()
    }


def _texts(file: Path, strip: Callable[[bytes], bytes] | None) -> Iterator[str]:
    """The text of a file in blocks, each but the last ending after a `}` if there is something to strip."""
    decoder = codecs.getincrementaldecoder("utf-8")("surrogatepass")  # as json.loads does
    with file.open("rb", buffering=0) as opened:
        rest = opened.read(_BLOCK).removeprefix(_BYTE_ORDER_MARK)
        if json.detect_encoding(rest) != "utf-8":
            raise ValueError("not UTF-8")
        while block := opened.read(_BLOCK):
            end = len(rest) if strip is None else rest.rfind(b"}") + 1
            yield decoder.decode(strip(rest[:end]) if strip else rest)
            rest = rest[end:] + block
        yield decoder.decode(strip(rest) if strip else rest, final=True)


class _Stream:
    """A JSON text in blocks. Raises `ValueError` or `StopIteration` where it is not JSON."""

    def __init__(self, blocks: Iterator[str]) -> None:
        self._blocks, self._text, self._at = blocks, "", 0

    def content(self, keep: Mapping[str, Keep]) -> Any:
        """Everything, and nothing after it."""
        content = self._kept(keep) if keep else self._value()
        if self._mark():
            raise ValueError("extra data")
        return content

    def _kept(self, keep: Mapping[str, Keep]) -> Any:
        """The next value, of whose entries is kept what `keep` returns."""
        start = self._mark()
        if start == "[" and "" in keep:
            return self._list(keep[""])
        return self._object(keep) if start == "{" else self._value()

    def _list(self, keep: Keep) -> list[Any]:
        kept: list[Any] = []
        batch: list[Any] = []
        self._at += 1
        if self._mark() == "]":
            self._at += 1
            return keep([])
        while True:
            self._add_entries(batch)
            batch.append(self._value())
            is_last = self._ends("]")
            if is_last or len(batch) >= _BATCH:
                kept += keep(batch)
                batch = []
            if is_last:
                return kept

    def _add_entries(self, batch: list[Any]) -> None:
        """Add the entries that the text has in full, a comma after each included."""
        text, at = self._text, self._at
        with contextlib.suppress(ValueError, StopIteration):  # left to `_value`
            while len(batch) < _BATCH - 1:
                value, end = _scan(text, at)
                if text.startswith(_COMMA, end):
                    at = end + len(_COMMA)
                elif found := _ANY_COMMA.match(text, end):
                    at = found.end()
                else:
                    break
                batch.append(value)
        self._at = at

    def _object(self, keep: Mapping[str, Keep]) -> dict[str, Any]:
        content: dict[str, Any] = {}
        self._at += 1
        if self._mark() == "}":
            self._at += 1
            return content
        while True:
            if self._mark() != '"':
                raise ValueError("no name")
            name = self._value()
            if self._mark() != ":":
                raise ValueError("no colon")
            self._at += 1
            if name in keep and name:
                content[name] = self._kept({"": keep[name]})
            else:
                content[name] = keep[""]([self._value()])[0] if "" in keep else self._value()
            if self._ends("}"):
                return content

    def _value(self) -> Any:
        """The next value; if it seems to be broken or ends with the text, it is tried again with another block."""
        self._mark()
        while True:
            try:
                value, end = _scan(self._text, self._at)
                if end + _CUT < len(self._text) or not self._has_more():
                    self._at = end
                    return value
            except (ValueError, StopIteration):
                if not self._has_more():
                    raise

    def _ends(self, close: str) -> bool:
        """Step over the mark after an entry; whether it is `close` and not a comma."""
        mark = self._mark()
        if mark not in (",", close):
            raise ValueError("no comma")
        self._at += 1
        return mark == close

    def _mark(self) -> str:
        """The next character that is not a space, `""` at the end."""
        while True:
            mark = self._text[self._at : self._at + 1]
            if mark and mark not in " \t\n\r":
                return mark
            found = _SPACE.match(self._text, self._at)
            self._at = found.end() if found else self._at
            if self._at == len(self._text) and not self._has_more():
                return ""

    def _has_more(self) -> bool:
        """Append blocks, if there are any; they double the text, lest a long value is tried once for each block."""
        wanted, added = len(self._text) - self._at, 0
        parts = []
        while added <= wanted and (block := next(self._blocks, None)) is not None:
            parts.append(block)
            added += len(block)
        if parts:
            self._text, self._at = "".join([self._text[self._at :], *parts]), 0
        return bool(parts)
