"""Looks up class names, with a helpful error if one is unknown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from keras_retinanet.config.near_names import nearest_name
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
        name: The name as annotated.
        labels: Labels by name.
        where: File and line or annotation ID, for the message.

    Returns:
        The label, `0 … K-1`.

    Raises:
        DataError: The name is not one of the classes; the message suggests the nearest one.
    """
    if name in labels:
        return labels[name]
    near = nearest_name(name, labels)
    hint = f"did you mean {near!r}? otherwise " if near else ""
    raise DataError(
        where,
        f"unknown class {short_repr(name)}",
        f"one of {short_repr(', '.join(labels), 300)}",
        f"{hint}add the class to the list of classes or correct the name",
    )


def add_unlisted(listed: Sequence[str], names: Iterable[str], source: str) -> tuple[tuple[str, ...], list[str]]:
    """Add the classes of boxes that a list of classes lacks.

    Args:
        listed: Names of the list, in its order; none if there is no list.
        names: Names of the boxes.
        source: The file with the list, for the note.

    Returns:
        The listed names followed by the others, sorted; and a note if there are any.
    """
    known = set(listed)
    unlisted = sort_names(name for name in names if name not in known)
    named = ", ".join(short_repr(name) for name in unlisted[:5])
    note = f"{source} lacks {len(unlisted)} classes that boxes have, which follow its own: {named}"
    return (*listed, *unlisted), [note] if listed and unlisted else []
