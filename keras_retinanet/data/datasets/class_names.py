"""Looks up class names, with a helpful error if one is unknown."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping

from keras_retinanet.data.errors import DataError, short_repr


def sort_names(names: Iterable[str]) -> tuple[str, ...]:
    """Sort class names: as numbers (`2` before `10`) if all of them are, otherwise as texts; each name once."""
    unique = set(names)
    try:
        values = {name: float(name) for name in unique}
    except ValueError:
        return tuple(sorted(unique))
    if not all(math.isfinite(value) for value in values.values()):
        return tuple(sorted(unique))
    return tuple(sorted(unique, key=lambda name: (values[name], name)))


def label_of(name: str, labels: Mapping[str, int], where: str) -> int:
    """Label of a class name.

    Args:
        name: str. The name as annotated.
        labels: Labels by name.
        where: str. File and line or annotation ID, for the message.

    Returns:
        The label, `0 … K-1`.

    Raises:
        DataError: The name is not one of the classes; the message suggests the nearest one.
    """
    if name in labels:
        return labels[name]
    near = difflib.get_close_matches(name[:100], labels, n=1)
    hint = f"did you mean {near[0]!r}? otherwise " if near else ""
    raise DataError(
        where,
        f"unknown class {short_repr(name)}",
        f"one of {short_repr(', '.join(labels), 300)}",
        f"{hint}add the class to the list of classes or correct the name",
    )
