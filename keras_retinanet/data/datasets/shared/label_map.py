"""Label maps of the TF Object Detection API: `item { id: 1 name: 'cat' }`, in the text format of protocol buffers."""

from __future__ import annotations

import re
from pathlib import Path

from keras_retinanet.data.datasets.shared.text_files import read_text
from keras_retinanet.data.errors import DataError, short_repr

_TOKEN = re.compile(
    r"""(?:\s|,|;|\#[^\n]*)* (?: (?P<word>[A-Za-z_]\w*) \s*:?\s* | (?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
        | (?P<number>-?\d+) | (?P<mark>[{}]) )""",
    re.VERBOSE,
)
_ITEM = "lines of item { id: 1 name: 'cat' }, ids from 1"


def read_label_map(file: Path) -> dict[int, str]:
    """Names by id, sorted by id.

    Args:
        file: The `.pbtxt` file.

    Returns:
        Names by ID. Fields other than `id` and `name`, and an item of ID 0 (the background), are skipped.

    Raises:
        DataError: It is not a label map, or an ID or a name occurs twice.
    """
    names: dict[int, str] = {}
    for line, item in _items(file, read_text(file, _ITEM)):
        where = f"{file}, line {line}"
        number, name = item.get("id"), item.get("name") or item.get("display_name")
        if not isinstance(number, int) or not isinstance(name, str):
            raise DataError(where, f"an item without {'name' if isinstance(number, int) else 'id'}", _ITEM, "add it")
        if number == 0:
            continue
        if number in names or name in names.values() or number < 0:
            raise DataError(
                where, f"item {number}, {short_repr(name)}", f"{_ITEM}, each id and name once", "correct it"
            )
        names[number] = name
    if not names:
        raise DataError(str(file), "has no item", _ITEM, "add the classes")
    return dict(sorted(names.items()))


def write_label_map(file: Path, names: dict[int, str]) -> None:
    """Write names by id."""
    items = []
    for number, name in names.items():
        escaped = name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        items.append(f'item {{\n  id: {number}\n  name: "{escaped}"\n}}\n')
    file.write_text("".join(items), encoding="utf-8")


def _items(file: Path, text: str) -> list[tuple[int, dict[str, int | str]]]:
    """The fields of each item, with the line in which it begins; nested messages are skipped."""
    items: list[tuple[int, dict[str, int | str]]] = []
    position, depth, key = 0, 0, ""
    text = text.rstrip()
    while position < len(text):
        found = _TOKEN.match(text, position)
        if found is None:
            if not text[position:].strip() or text[position:].lstrip().startswith("#"):
                break  # a comment at the end
            where = f"{file}, line {text.count(chr(10), 0, position) + 1}"
            raise DataError(where, f"{short_repr(text[position : position + 40])}", _ITEM, "correct it")
        position = found.end()
        if found["mark"] == "{":
            depth += 1
            if depth == 1:
                items.append((text.count("\n", 0, position) + 1, {}))
        elif found["mark"] == "}":
            depth -= 1
        elif found["word"]:
            key = found["word"]
        elif depth == 1 and items:
            items[-1][1][key] = int(found["number"]) if found["number"] else _unescaped(found["text"])
        if depth < 0:
            break
    if depth:
        raise DataError(str(file), "has braces that do not match", _ITEM, "correct it")
    return items


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", lambda found: {"n": "\n", "t": "\t"}.get(found[1], found[1]), text[1:-1], flags=re.DOTALL)
