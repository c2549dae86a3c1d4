"""Reads JSON files, and looks at their ends to recognise a format."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from keras_retinanet.data.datasets.shared.text_files import no_garbage_collection
from keras_retinanet.data.errors import DataError, short_repr
from keras_retinanet.data.image_files import near_name_hint

_PEEK = 1 << 14
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def read_json(file: Path, kind: str, fix: str) -> Any:
    """Read a JSON file.

    Args:
        file: Its path.
        kind: What it should be, as `"a COCO JSON file"`.
        fix: What to do if it is not JSON.

    Returns:
        Its content.

    Raises:
        DataError: It cannot be read, or is not JSON.
    """
    return parse_json(read_file(file, kind), file, kind, fix)


def read_file(file: str | os.PathLike[str], kind: str) -> bytes:
    """The bytes of a file; an error names it.

    Raises:
        DataError: It cannot be read.
    """
    try:
        with open(file, "rb", buffering=0) as opened:
            return opened.readall()
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        reason = getattr(error, "strerror", None) or error
        fix = near_name_hint(file) + "check the path and the permissions"
        raise DataError(str(file), f"cannot be read ({reason})", kind, fix) from None


def parse_json(content: bytes, file: str | os.PathLike[str], kind: str, fix: str) -> Any:
    """Parse the content of a JSON file, with or without a byte order mark.

    Raises:
        DataError: It is not JSON.
    """
    try:
        with no_garbage_collection():
            return json.loads(content)
    except (ValueError, RecursionError) as error:  # ValueError: malformed JSON and malformed UTF-8 alike
        raise DataError(str(file), f"is not JSON ({short_repr(str(error), 120)})", kind, fix) from None


def read_ends(file: Path) -> bytes:
    """The first and the last 16 KB of a file, which show its format; `b""` if it cannot be read."""
    try:
        with file.open("rb") as opened:
            start = opened.read(_PEEK)
            opened.seek(max(len(start), os.fstat(opened.fileno()).st_size - _PEEK))
            return (start + opened.read()).removeprefix(_BYTE_ORDER_MARK).lstrip()
    except (OSError, ValueError):
        return b""
