"""Shapes that annotation tools draw: which become boxes, which are left out, and the notes about both."""

from __future__ import annotations

import collections
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from keras_retinanet.data.datasets.shared.outlines import Box
from keras_retinanet.data.errors import DataError, short_repr

_PLAIN = frozenset((int, float))
BOX = "box"
"""Kind of the shapes that are boxes; all others are counted."""


class Shape(NamedTuple):
    """A shape as annotated.

    Attributes:
        kind: `BOX`, or the tool's word for the shape.
        name: Class.
        box: Its enclosing box x1, y1, x2, y2. `None`: it has no area and is left out.
        where: File and number, for messages.
        ignore: Whether it is an ignore region.
    """

    kind: str
    name: str
    box: Box | None
    where: str
    ignore: bool = False


class ShapeCounts:
    """Counts the shapes that a reader leaves out or replaces by their enclosing boxes."""

    def __init__(self) -> None:
        self._enclosed: collections.Counter[str] = collections.Counter()
        self._without_area: collections.Counter[str] = collections.Counter()

    def add(self, shape: Shape) -> bool:
        """Count a shape if it is not a box.

        Args:
            shape: Any shape.

        Returns:
            Whether it is used: `False` if it has no area.
        """
        if shape.kind != BOX:
            (self._without_area if shape.box is None else self._enclosed)[shape.kind] += 1
        return shape.box is not None

    def describe(self, where: str) -> list[str]:
        """The notes, one sentence each.

        Args:
            where: File or folder that was read.
        """
        notes = []
        if self._enclosed:
            notes.append(f"{where}: shapes replaced by their enclosing boxes: {_list(self._enclosed)}")
        if self._without_area:
            notes.append(f"{where}: shapes without area, left out: {_list(self._without_area)}")
        return notes


def _list(counts: collections.Counter[str]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))


def box_of_points(points: Any, where: str, fewest: int = 1) -> Box:
    """The enclosing box of points.

    Args:
        points: List of `[x, y]`, in any order.
        where: File and number, for the message.
        fewest: Points that the shape needs. Defaults to 1.

    Returns:
        x1, y1, x2, y2.

    Raises:
        DataError: They are not points, or too few.
    """
    try:
        pairs = [(float(x), float(y)) for x, y in points]
        if len(pairs) < fewest:
            raise ValueError
        xs, ys = zip(*pairs, strict=True)
    except (TypeError, ValueError, KeyError, IndexError, OverflowError):
        allowed = f"at least {fewest} points [x, y]"
        raise DataError(where, f"points are {short_repr(points)}", allowed, "correct or remove the shape") from None
    require_finite([*xs, *ys], where)
    return min(xs), min(ys), max(xs), max(ys)


def numbers_of(item: Any, names: Sequence[Any], where: str, allowed: str = "a number") -> list[float]:
    """Members of a mapping that are numbers, or texts of numbers.

    Args:
        item: Mapping, such as a JSON object or the attributes of an XML element.
        names: Names, or numbers, of the members.
        where: File and number, for the message.
        allowed: What they may be, for the message. Defaults to `"a number"`.

    Returns:
        Their values, all finite.

    Raises:
        DataError: One is missing or not a finite number.
    """
    given_values = [item.get(name) for name in names]
    if _PLAIN.issuperset(map(type, given_values)) and math.isfinite(sum(given_values)):  # almost all
        return [float(value) for value in given_values]
    values = []
    for name, given in zip(names, given_values, strict=True):
        try:
            if isinstance(given, bool) or (isinstance(given, str) and "_" in given):
                raise ValueError
            value = float(given)
        except (TypeError, ValueError, OverflowError):
            found = f"has no {name!r}" if given is None else f"{name!r} is {short_repr(given)}"
            raise DataError(where, found, allowed, "correct or remove the shape") from None
        values.append(value)
    require_finite(values, where)
    return values


def plain_rows(items: Iterable[Any], pick: Callable[[Any], Any]) -> list[Any] | None:
    """Numbers of all shapes of an image at once.

    Args:
        items: The shapes.
        pick: Function that picks the numbers of a shape, such as an `operator.itemgetter`.

    Returns:
        The numbers of each; `None` if one is missing or unusual, as one of the shapes says when it is parsed.
    """
    try:
        rows = list(map(pick, items))
        sides = list(itertools.chain.from_iterable(rows))
        return rows if _PLAIN.issuperset(map(type, sides)) and math.isfinite(sum(sides)) else None
    except (LookupError, TypeError, ValueError, OverflowError, AttributeError):
        return None


def in_fours(sides: Iterable[float]) -> Iterator[tuple[float, float, float, float]]:
    """The four numbers of each box, of numbers one after another."""
    values = iter(sides)
    return zip(values, values, values, values, strict=True)


def require_finite(values: Sequence[float], where: str) -> None:
    """Check that coordinates are finite.

    Raises:
        DataError: One is not.
    """
    if not all(math.isfinite(value) for value in values):
        found = f"coordinates {short_repr([round(value, 4) for value in values], 120)}"
        raise DataError(where, found, "finite numbers", "correct or remove the shape")
