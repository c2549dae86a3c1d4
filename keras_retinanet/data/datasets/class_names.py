"""Looks up class names, with a helpful error if one is unknown."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from keras_retinanet.data.errors import DataError, short_repr


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
