"""The text format of protocol buffers, read without the messages' definitions: `pipeline.config`, label maps."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

Message = dict[str, list[Any]]
"""Field → its values in order: text, int, float, bool, the name of an enumeration's value (`Name`), or `Message`."""

_TOKEN = re.compile(
    r"""(?P<space>\s+|\#[^\n]*)
    | (?P<text>"(?:[^"\\\n]|\\.)*" | '(?:[^'\\\n]|\\.)*')
    | (?P<number>-?\s*(?:0[xX][0-9a-fA-F]+ | (?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?[fF]? | (?:inf(?:inity)?|nan)\b))
    | (?P<word>[A-Za-z_][\w.]*|\[[A-Za-z_]\w*[./][\w./]*\])
    | (?P<mark>[{}<>:;,\[\]])""",
    re.VERBOSE,
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
_CLOSING = {"{": "}", "<": ">"}
_MAX_DEPTH = 100


class Name(str):
    """The name of an enumeration's value, such as `SIGMOID`."""


class Token(NamedTuple):
    """A word, number, text or mark, and its line."""

    kind: str
    value: str
    line: int


class ProtobufTextError(ValueError):
    """The text is not in this format; the message states the line."""


def read_protobuf_text(text: str) -> Message:
    """Reads a message.

    Args:
        text: The text of a message, such as `item { id: 1 name: "cat" }`.

    Returns:
        Field → values. Lists (`[1, 2]`) and repeated fields give the same; texts next to each other are joined.

    Raises:
        ProtobufTextError: The text is not in this format.
    """
    tokens = [token for token in _tokens(text) if token.kind != "space"]
    message, position = _read_fields(tokens, 0, None, 0)
    if position < len(tokens):
        raise _unexpected(tokens[position])
    return message


def _tokens(text: str) -> Iterator[Token]:
    position, line = 0, 1
    while position < len(text):
        found = _TOKEN.match(text, position)
        if found is None:
            raise ProtobufTextError(f"line {line}: {text[position : position + 20]!r} is not understood")
        yield Token(str(found.lastgroup), found[0], line)
        line += found[0].count("\n")
        position = found.end()


def _unexpected(token: Token) -> ProtobufTextError:
    return ProtobufTextError(f"line {token.line}: {token.value[:20]!r} is not expected here")


def _read_fields(tokens: list[Token], position: int, closing: str | None, depth: int) -> tuple[Message, int]:
    if depth > _MAX_DEPTH:
        raise ProtobufTextError(f"line {tokens[position - 1].line}: messages are nested too deeply")
    message: Message = {}
    while position < len(tokens):
        token = tokens[position]
        if token.value in (";", ","):
            position += 1
            continue
        if token.value == closing:
            return message, position + 1
        if token.kind != "word":
            raise _unexpected(token)
        values, position = _read_values(tokens, position + 1, depth)
        message.setdefault(token.value, []).extend(values)
    if closing is not None:
        raise ProtobufTextError(f"the text ends before a {closing!r}")
    return message, position


def _read_values(tokens: list[Token], position: int, depth: int) -> tuple[list[Any], int]:
    """What follows the name of a field: a colon, and a value, a message, or a list of either."""
    if _value_at(tokens, position) == ":":
        position += 1
    if _value_at(tokens, position) != "[":
        value, position = _read_value(tokens, position, depth)
        return [value], position
    values, position = [], position + 1
    while _value_at(tokens, position) != "]":
        value, position = _read_value(tokens, position, depth)
        values.append(value)
        if _value_at(tokens, position) == ",":
            position += 1
    return values, position + 1


def _value_at(tokens: list[Token], position: int) -> str:
    if position >= len(tokens):
        raise ProtobufTextError("the text ends in the middle of a field")
    return tokens[position].value


def _read_value(tokens: list[Token], position: int, depth: int) -> tuple[Any, int]:
    _value_at(tokens, position)
    token = tokens[position]
    if token.value in _CLOSING:
        return _read_fields(tokens, position + 1, _CLOSING[token.value], depth + 1)
    if token.kind == "text":
        parts = []
        while position < len(tokens) and tokens[position].kind == "text":
            parts.append(_unescape(tokens[position].value[1:-1]))
            position += 1
        return "".join(parts), position
    if token.kind == "number":
        return _read_number(re.sub(r"\s", "", token.value)), position + 1
    if token.kind == "word":
        return {"true": True, "false": False}.get(token.value.lower(), Name(token.value)), position + 1
    raise _unexpected(token)


def _read_number(text: str) -> int | float:
    if re.fullmatch(r"-?0[xX][0-9a-fA-F]+", text):
        return int(text, 16)
    if re.fullmatch(r"-?\d+", text):
        return int(text)
    return float(text if text[-1] not in "fF" or text.lower().endswith("inf") else text[:-1])


def _unescape(text: str) -> str:
    def replace(found: re.Match[str]) -> str:
        body = found[1]
        if body[0] in "01234567":
            return chr(int(body, 8))
        if body[0] in "xX" and len(body) > 1:
            return chr(int(body[1:], 16))
        return _ESCAPES.get(body, body)

    if "\\" not in text:
        return text
    plain = re.sub(r"\\([0-7]{1,3}|[xX][0-9a-fA-F]{1,2}|.)", replace, text, flags=re.DOTALL)
    try:  # escapes of bytes above 127 spell UTF-8
        return plain.encode("latin-1").decode("utf-8")
    except (UnicodeEncodeError, UnicodeDecodeError):
        return plain
