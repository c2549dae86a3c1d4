"""Members of the objects in a COCO file, with errors that name them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from keras_retinanet.data.errors import DataError, short_repr

REMAKE = "export the annotations again as COCO 'instances' JSON"
"""Advice for a broken file."""

_WHOLE = re.compile(r"\s*[+-]?\d{1,18}(?:\.0*)?\s*")


def field(item: object, key: str, where: str, kinds: tuple[type, ...], allowed: str) -> Any:
    """A member of a JSON object.

    Args:
        item: The object.
        key: Name of the member.
        where: File and entry, for the message.
        kinds: Types that are allowed.
        allowed: The same in words.

    Returns:
        Its value.

    Raises:
        DataError: It is missing or of another type.
    """
    if not isinstance(item, dict):
        raise DataError(where, f"is {short_repr(item)}", "an object in braces", REMAKE)
    if key not in item:
        raise DataError(where, f"has no {key!r}", allowed, f"add {key!r}, or {REMAKE}")
    if not isinstance(item[key], kinds) or isinstance(item[key], bool):
        raise DataError(where, f"{key!r} is {short_repr(item[key])}", allowed, f"correct it, or {REMAKE}")
    return item[key]


def as_whole(value: object) -> int | None:
    """A whole number that is written as a float or as text; `None` for anything else."""
    if isinstance(value, str):
        return int(value.split(".")[0]) if _WHOLE.fullmatch(value) else None
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def find_id(value: Any, known: Mapping[Any, int]) -> Any:
    """The form of an ID, number or text, that `known` has; `None` if it has none."""
    forms = (value, as_whole(value), str(value))
    return next((form for form in forms if form is not None and form in known), None)
