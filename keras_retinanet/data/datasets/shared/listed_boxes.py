"""Boxes of formats whose files list all images of a split."""

from __future__ import annotations

import collections
import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from keras_retinanet.data.datasets.shared.box_rows import BoxGroup
from keras_retinanet.data.datasets.shared.reader import Reader
from keras_retinanet.data.error_collector import Item
from keras_retinanet.data.errors import DataError


class ListedBox(NamedTuple):
    """One box of an image.

    Attributes:
        box: x1, y1, x2, y2.
        name: Class name; `None` is an ignore region for every class.
        where: File and line, or annotation, for messages.
        ignore: Whether it is an ignore region.
    """

    box: Sequence[float]
    name: str | None
    where: str
    ignore: bool = False


def group_boxes(boxes: Sequence[ListedBox], place: str = "", numbers: Sequence[int] | None = None) -> BoxGroup:
    """Boxes as a group.

    Args:
        boxes: The boxes.
        place: What leads with their `numbers` to their lines. Defaults to their own `where`.
        numbers: Number of each. Defaults to 1, 2, …
    """
    sides = list(itertools.chain.from_iterable(box.box for box in boxes))
    where = place or [box.where for box in boxes]
    return BoxGroup(where, [box.name for box in boxes], sides, numbers, [box.ignore for box in boxes])


def parse_boxes(
    reader: Reader,
    counts: collections.Counter[str],
    place: str,
    numbered: Iterable[tuple[int, Item]],
    parse: Callable[[tuple[str, Item]], ListedBox | None],
) -> BoxGroup:
    """Parse the boxes of an image; their places in words are only needed if one is broken.

    Args:
        reader: Leaves out broken boxes.
        counts: What `parse` counts.
        place: File and line, to which the number of a box is added.
        numbered: Numbers of the boxes, and the boxes as annotated.
        parse: Function of the place and the content of a box; `None` leaves it out.

    Returns:
        The boxes.
    """
    before, items = counts.copy(), list(numbered)
    try:
        found = [(number, box) for number, item in items if (box := parse(("", item))) is not None]
        return group_boxes([box for _, box in found], place, [number for number, _ in found])
    except DataError:
        counts.clear()
        counts.update(before)
        parsed = reader.parse_each([(f"{place} {number}", item) for number, item in items], parse)
        return group_boxes([box for box in parsed if box is not None])
