"""The boxes of a split in compact columns, as a reader adds them image by image."""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from keras_retinanet.data.box_columns import BoxColumns, take_rows
from keras_retinanet.data.datasets.shared.class_names import label_of, sort_names
from keras_retinanet.data.error_collector import OnError, parse_each

_ANY, _UNKNOWN = -1, -2


class BoxGroup(NamedTuple):
    """Boxes of an image, as `BoxRows.add` takes them.

    Attributes:
        place: What leads to their files and lines.
        names: Class name of each box; `None` is repeated for every class and needs `ignore`.
        sides: x1, y1, x2, y2 of all boxes, one after another.
        numbers: Number of each box. Defaults to 1, 2, …
        ignore: Whether each is an ignore region. Defaults to none.
    """

    place: Any
    names: Sequence[str | None]
    sides: Sequence[float]
    numbers: Sequence[int] | None = None
    ignore: Sequence[bool] | None = None


def numbered_place(place: str | Sequence[str], number: int) -> str:
    """`"a.json, box"` and 3 as `"a.json, box 3"`; of several places, the third."""
    return f"{place} {number}" if isinstance(place, str) else place[number - 1]


class BoxRows:
    """Boxes with class names, in compact columns: a tenth of the memory of one object per box.

    Boxes are added in groups, usually one per image. The file and line of a box is put into words only if a message
    needs it.

    Args:
        describe: Function from the place of a group and the number of a box in it to file and line. Defaults to
            `numbered_place`.

    Attributes:
        names: Class names that occur, numbered in the order in which they came; `None` is a region that may hide
            objects of any class.
    """

    def __init__(self, describe: Callable[[Any, int], str] = numbered_place) -> None:
        self._describe = describe
        self.names: dict[str | None, int] = _Numbering()
        self._images, self._counts = array("q"), array("q")
        self._places: list[Any] = []
        self._labels, self._numbers = array("q"), array("q")
        self._sides, self._areas = array("d"), array("d")
        self._ignore = bytearray()

    def __len__(self) -> int:
        return len(self._labels)

    def add(self, image: int, group: BoxGroup, areas: Iterable[float] = ()) -> None:
        """Add boxes of an image.

        Args:
            image: Position of the image.
            group: The boxes.
            areas: Area of each object; used if all boxes of the split have one. Defaults to none.
        """
        place, names, sides, numbers, ignore = group
        count = len(names)
        self._images.append(image)
        self._counts.append(count)
        self._places.append(place)
        self._labels.extend(map(self.names.__getitem__, names))
        self._sides.extend(sides)
        self._numbers.extend(range(1, count + 1) if numbers is None else numbers)
        self._ignore.extend(bytes(count) if ignore is None else ignore)
        self._areas.extend(areas)

    def sorted_names(self) -> tuple[str, ...]:
        """Class names that occur, sorted (`sort_names`)."""
        return sort_names(name for name in self.names if name is not None)

    def columns(self, class_names: Sequence[str], on_error: OnError, *, is_relative: bool = False) -> BoxColumns:
        """Look up the labels.

        Args:
            class_names: Names, label 0 first.
            on_error: What to do about boxes of other classes.
            is_relative: Whether coordinates are shares of the image's sides. Defaults to `False`.

        Returns:
            M boxes in the order in which they were added; those of any class are repeated for every class, those of
            unknown classes are left out if `on_error` is a collector.

        Raises:
            DataError: A box has an unknown class, and there is no collector.
        """
        wanted = {name: label for label, name in enumerate(class_names)}
        own = list(self.names)
        table = np.array([_ANY if name is None else wanted.get(name, _UNKNOWN) for name in own] or [0], np.int64)
        given = np.array(self._labels, np.int64)
        labels = table[given]
        groups = np.repeat(np.arange(len(self._counts)), self._counts)
        places, numbers, describe = self._places, self._numbers, self._describe

        def where(row: int) -> str:
            return describe(places[groups[row]], numbers[row])

        def look_up(row: int) -> int:
            return label_of(own[given[row]] or "", wanted, where(row))

        list(parse_each(np.flatnonzero(labels == _UNKNOWN).tolist(), look_up, on_error))
        columns = BoxColumns(
            image=np.array(self._images, np.int64)[groups],
            boxes=np.array(self._sides, np.float64).reshape(-1, 4),
            labels=labels,
            ignore=np.frombuffer(bytes(self._ignore), bool),
            name=where,
            areas=np.array(self._areas, np.float64) if len(self._areas) == len(self) > 0 else None,
            is_relative=is_relative,
        )
        return columns if (labels >= 0).all() else _repeat_for_all(columns, list(wanted.values()))


class _Numbering(dict[str | None, int]):
    """Numbers names in the order in which they come."""

    def __missing__(self, name: str | None) -> int:
        self[name] = number = len(self)
        return number


def _repeat_for_all(columns: BoxColumns, wanted: Sequence[int]) -> BoxColumns:
    """Repeat the boxes of any class for each of the labels wanted, and leave out those of unknown classes."""
    is_any = columns.labels == _ANY
    rows = np.repeat(np.arange(len(is_any)), np.where(is_any, len(wanted), columns.labels >= 0))
    repeated = take_rows(columns, rows)
    repeated.labels[is_any[rows]] = list(itertools.chain.from_iterable([wanted] * int(is_any.sum())))
    return repeated
