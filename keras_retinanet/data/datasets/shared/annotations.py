"""What a reader returns: images and boxes as annotated, before labels are looked up and boxes are checked."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from keras_retinanet.data.box_columns import BoxColumns, select_rows
from keras_retinanet.data.datasets.shared.box_rows import BoxRows
from keras_retinanet.data.datasets.shared.class_names import label_of, sort_names
from keras_retinanet.data.error_collector import OnError, collect_errors, parse_each
from keras_retinanet.data.image_headers import ImageHeader
from keras_retinanet.schema import Size


class BoxRow(NamedTuple):
    """One annotated box.

    Attributes:
        image: Position of its image in `Annotations.images`.
        box: x1, y1, x2, y2 in pixels, or in shares of the image's sides (`Annotations.is_relative`).
        name: Class name. `None` is a region that may hide objects of any class; it is repeated for every class and
            needs `ignore`.
        where: File and line, or annotation ID, for messages.
        ignore: Whether it is an ignore region.
        area: Area of the object in pixels, if annotated.
    """

    image: int
    box: Sequence[float]
    name: str | None
    where: str
    ignore: bool = False
    area: float | None = None


@dataclass
class Annotations:
    """Images and boxes of one split, as annotated.

    Attributes:
        listed_in: File or folder that lists the images, for messages.
        class_names: Names of the data set, label 0 first. Defaults to `None`: the sorted names of the rows.
        images: Paths of the image files, or references into record files.
        image_ids: The source's ID of each image.
        sizes: Size of each image on which the reader relies; `None` (or an empty list for all) is read from the file.
        annotated_sizes: Size of each image as annotated, if it is not in `sizes`; the doctor compares it with the file.
        headers: Headers of the image files, if the reader had their bytes. Defaults to `None`: they are read.
        boxes: The boxes, as rows with class names (`BoxRows` for very many), or as columns with labels that index
            `class_names`.
        is_relative: Whether coordinates of rows are shares of the image's sides. Defaults to `False`.
        category_ids: The source's own ID of each class name. Defaults to `None`.
        sources: Files and folders that were read; if one changes, the index cache is not used. Defaults to none: the
            index is not cached.
        notes: Decisions that the files left to the reader, one sentence each.
        describes_unused_images: Whether `notes` tell of the image files that the set does not name. Defaults to
            `False`: those in the folders of its images are looked for.
        image_folders: Where the images were looked for, for the message that they are missing.
        missing_fix: What to do if images are missing, if the usual advice does not fit. Defaults to `""`.
        are_classes_listed: Whether a file lists the classes. Otherwise those that keep no box after cleaning are not
            classes. Defaults to `True`.
    """

    listed_in: str
    class_names: Sequence[str] | None = None
    images: list[str] = field(default_factory=list)
    image_ids: list[Any] = field(default_factory=list)
    sizes: list[Size | None] = field(default_factory=list)
    annotated_sizes: list[Size | None] | None = None
    headers: Sequence[ImageHeader | None] | None = None
    boxes: Sequence[BoxRow] | BoxRows | BoxColumns = field(default_factory=list)
    is_relative: bool = False
    category_ids: Mapping[str, int] | None = None
    sources: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    describes_unused_images: bool = False
    image_folders: list[str] = field(default_factory=list)
    missing_fix: str = ""
    are_classes_listed: bool = True

    @property
    def num_boxes(self) -> int:
        """Number of boxes as annotated, ignore regions included."""
        return len(self.boxes.labels) if isinstance(self.boxes, BoxColumns) else len(self.boxes)

    def own_class_names(self) -> tuple[str, ...]:
        """`class_names`, or the sorted names of the rows."""
        if self.class_names is not None:
            return tuple(self.class_names)
        assert not isinstance(self.boxes, BoxColumns), "columns need class names"
        if isinstance(self.boxes, BoxRows):
            return self.boxes.sorted_names()
        return sorted_names(self.boxes)

    def columns(self, class_names: Sequence[str], on_error: OnError) -> BoxColumns:
        """All boxes with labels that index `class_names`.

        Args:
            class_names: Names, label 0 first.
            on_error: What to do about boxes of other classes.

        Returns:
            The boxes; those of unknown classes are left out if `on_error` is a collector.

        Raises:
            DataError: A box has an unknown class, and there is no collector.
        """
        if isinstance(self.boxes, BoxColumns):
            return relabel(self.boxes, self.own_class_names(), class_names, on_error)
        if isinstance(self.boxes, BoxRows):
            return self.boxes.columns(class_names, on_error, is_relative=self.is_relative)
        return columns_from_rows(self.boxes, class_names, on_error, is_relative=self.is_relative)


def sorted_names(rows: Sequence[BoxRow]) -> tuple[str, ...]:
    """Class names that occur, sorted (`sort_names`)."""
    return sort_names(row.name for row in rows if row.name is not None)


def columns_from_rows(
    rows: Sequence[BoxRow], class_names: Sequence[str], on_error: OnError, *, is_relative: bool = False
) -> BoxColumns:
    """Look up the labels of rows and turn them into columns.

    Args:
        rows: The boxes.
        class_names: Names, label 0 first.
        on_error: What to do about boxes of other classes.
        is_relative: Whether coordinates are shares of the image's sides. Defaults to `False`.

    Returns:
        M boxes in the order of the rows; rows of any class are repeated for every class, rows of unknown classes are
        left out if `on_error` is a collector.

    Raises:
        DataError: A row has an unknown class, and there is no collector.
    """
    wanted = {name: label for label, name in enumerate(class_names)}
    if any(row.name not in wanted for row in rows):
        pairs = [(row, label) for row in rows for label in _labels_of(row, wanted, on_error)]
        rows, labels = [row for row, _ in pairs], [label for _, label in pairs]
    else:
        labels = [wanted[row.name] for row in rows if row.name is not None]
    has_areas = bool(rows) and all(row.area is not None for row in rows)
    sides = itertools.chain.from_iterable(row.box for row in rows)
    return BoxColumns(
        image=np.array([row.image for row in rows], np.int64),
        boxes=np.fromiter(sides, np.float64, 4 * len(rows)).reshape(-1, 4),
        labels=np.array(labels, np.int64),
        ignore=np.array([row.ignore for row in rows], bool),
        name=lambda position: rows[position].where,
        areas=np.array([row.area for row in rows], np.float64) if has_areas else None,
        is_relative=is_relative,
    )


def _labels_of(row: BoxRow, wanted: Mapping[str, int], on_error: OnError) -> list[int]:
    if row.name is None:
        return list(wanted.values())
    name = row.name
    return collect_errors(on_error, lambda: [label_of(name, wanted, row.where)], [])


def relabel(columns: BoxColumns, own: Sequence[str], class_names: Sequence[str], on_error: OnError) -> BoxColumns:
    """Change labels that index `own` into labels that index `class_names`.

    Args:
        columns: The boxes.
        own: Names that the labels index.
        class_names: Names, label 0 first.
        on_error: What to do about boxes of other classes.

    Returns:
        The boxes; those of unknown classes are left out if `on_error` is a collector.

    Raises:
        DataError: A box has an unknown class, and there is no collector.
    """
    if tuple(own) == tuple(class_names):
        return columns
    wanted = {name: label for label, name in enumerate(class_names)}
    table = np.array([wanted.get(name, -1) for name in own] or [-1], np.int64)
    given = np.asarray(columns.labels, np.int64)
    labels = table[given]

    def look_up(row: int) -> int:
        return label_of(own[int(given[row])], wanted, columns.name(row))

    list(parse_each(np.flatnonzero(labels < 0).tolist(), look_up, on_error))
    columns = dataclasses.replace(columns, labels=labels)
    return columns if (labels >= 0).all() else select_rows(columns, labels >= 0)
