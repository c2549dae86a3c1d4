"""Files with one JSON object per line, and the members of such objects."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from keras_retinanet.data.datasets.shared.text_files import text_lines
from keras_retinanet.data.errors import DataError, short_repr
from keras_retinanet.schema import Size

_NUMBERS = frozenset((int, float))


def json_lines(file: Path, kind: str) -> Iterator[tuple[str, str]]:
    """Yield file and line number, and the text, of each line that is not blank."""
    for number, line in enumerate(text_lines(file, kind), start=1):
        if line.strip():
            yield f"{file}, line {number}", line


def parse_object(text: str, where: str, kind: str) -> dict[str, Any]:
    """Parse a JSON object.

    Raises:
        DataError: The text is not one.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(where, f"is not JSON ({short_repr(str(error), 120)})", kind, "export the file again") from None
    if not isinstance(content, dict):
        raise DataError(where, f"is {short_repr(content)}", kind, "export the file again")
    return content


def members(content: dict[str, Any], names: Sequence[str], where: str, allowed: str) -> list[float]:
    """Numbers of a JSON object, which may be texts.

    Raises:
        DataError: One is missing or not a number.
    """
    given = [content.get(name) for name in names]
    if _NUMBERS.issuperset(map(type, given)):
        return given  # type: ignore[return-value]
    values = []
    for name in names:
        try:
            values.append(float(content[name]))
        except (KeyError, TypeError, ValueError, OverflowError):
            found = f"{name} is {short_repr(content.get(name))}" if name in content else f"has no {name!r}"
            raise DataError(where, found, allowed, "correct it") from None
    return values


def annotated_size(content: Any) -> Size | None:
    """Height and width among the members of a JSON object, `None` if they are not whole numbers."""
    height, width = (content.get("height"), content.get("width")) if isinstance(content, dict) else (None, None)
    return (height, width) if isinstance(height, int) and isinstance(width, int) and min(height, width) > 0 else None
