"""The hierarchy of Open Images: which classes are kinds of another."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_retinanet.data.datasets.shared.text_files import read_text
from keras_retinanet.data.errors import DataError, short_repr

_ALLOWED = "objects {'LabelName': …, 'Subcategory': […]}"


def read_hierarchy(file: Path) -> dict[str, list[str]]:
    """Read `bbox_labels_600_hierarchy.json`.

    Args:
        file: The file.

    Returns:
        IDs of the classes directly below each class. A class may be below several others.

    Raises:
        DataError: It is not a hierarchy file.
    """
    try:
        content = json.loads(read_text(file, "the hierarchy of the classes as JSON"))
    except (ValueError, RecursionError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            str(file), f"is not JSON ({short_repr(str(error), 120)})", _ALLOWED, "download it again"
        ) from None
    below: dict[str, list[str]] = {}
    waiting: list[Any] = [content]
    while waiting:
        node = waiting.pop()
        if not isinstance(node, dict) or not isinstance(node.get("LabelName"), str):
            raise DataError(str(file), f"has {short_repr(node)}", _ALLOWED, "download it again")
        children = node.get("Subcategory", [])
        if not isinstance(children, list):
            raise DataError(str(file), f"'Subcategory' is {short_repr(children)}", "a list", "download it again")
        waiting += children
        names = [child.get("LabelName") for child in children if isinstance(child, dict)]
        below.setdefault(node["LabelName"], []).extend(str(name) for name in names)
    return below


def labels_below(hierarchy: dict[str, list[str]], parent: str) -> set[str]:
    """A class and all classes below it.

    Args:
        hierarchy: From `read_hierarchy`.
        parent: Id of the class.

    Returns:
        IDs; none if the hierarchy does not have the class.
    """
    if parent not in hierarchy:
        return set()
    found: set[str] = set()
    waiting = [parent]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += hierarchy.get(name, [])
    return found


def classes_above(file: Path, names: Mapping[str, str]) -> dict[str, frozenset[str]]:
    """For each class of a hierarchy, all classes above it.

    Args:
        file: `bbox_labels_600_hierarchy.json`, or such a file with names in place of IDs.
        names: Class names by ID; other IDs are names themselves.

    Returns:
        Names by name.

    Raises:
        DataError: It is not a hierarchy file.
    """
    hierarchy = read_hierarchy(file)
    above: dict[str, set[str]] = {}
    for parent in hierarchy:
        for child in labels_below(hierarchy, parent) - {parent}:
            above.setdefault(names.get(child, child), set()).add(names.get(parent, parent))
    return {name: frozenset(parents) for name, parents in above.items()}
