"""Selects images, changes classes and joins data sets after they are read.

A collector of errors holds the same boxes as annotated (`BoxColumns`), so each function changes both alike.
"""

from __future__ import annotations

import bisect
import dataclasses
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from keras_retinanet.data.box_columns import BoxColumns, BoxReport, select_rows
from keras_retinanet.data.datasets.shared.annotated_images import Index
from keras_retinanet.data.error_collector import ErrorCollector


def select_images(index: Index, positions: Sequence[int], collector: ErrorCollector | None = None) -> Index:
    """Keep some images.

    Args:
        index: A data set.
        positions: Images to keep, ascending.
        collector: The collector of the data set, which is changed. Defaults to `None`.

    Returns:
        The images and their boxes. The report still counts what was left out of the whole data set.
    """
    chosen = np.asarray(positions, np.int64)
    rows, splits = rows_of(index.splits, chosen)
    if collector is not None and collector.columns is not None:
        new_position = np.full(len(index.images), -1, np.int64)
        new_position[chosen] = np.arange(len(chosen))
        image = new_position[np.asarray(collector.columns.image, np.int64)]
        kept = select_rows(collector.columns, image >= 0)
        collector.columns = dataclasses.replace(kept, image=image[image >= 0])
        collector.annotated_sizes = [collector.annotated_sizes[position] for position in chosen.tolist()]
    return dataclasses.replace(
        index,
        images=[index.images[position] for position in chosen.tolist()],
        image_ids=[index.image_ids[position] for position in chosen.tolist()],
        sizes=index.sizes[chosen],
        boxes=index.boxes[rows],
        labels=index.labels[rows],
        ignore=index.ignore[rows],
        areas=None if index.areas is None else index.areas[rows],
        orientations=index.orientations[chosen],
        bit_depths=index.bit_depths[chosen],
        splits=splits,
        report=dataclasses.replace(index.report, num_boxes=len(rows)),
    )


def rows_of(splits: Any, positions: Any) -> tuple[Any, Any]:
    """The rows of the boxes of some images.

    Args:
        splits: `(I + 1,)` int64. Image i has the rows `splits[i]` to `splits[i + 1]`.
        positions: `(P,)` int64.

    Returns:
        `(M,)` rows, image after image, and `(P + 1,)` the splits of these rows.
    """
    counts = np.diff(splits)[positions]
    ends = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return np.arange(ends[-1]) + np.repeat(splits[:-1][positions] - ends[:-1], counts), ends


def change_classes(
    index: Index, class_names: Sequence[str], labels: Sequence[int], collector: ErrorCollector | None = None
) -> Index:
    """Change class names and labels; boxes of classes without a new label are left out, their images stay.

    Args:
        index: A data set of K classes.
        class_names: New names, label 0 first.
        labels: New label of each of the K old ones, -1 to leave its boxes out.
        collector: The collector of the data set, which is changed. Defaults to `None`.

    Returns:
        The data set. A new class has the category ID of the first old class that became it.
    """
    table = np.asarray([*labels, -1], np.int64)  # the last entry only keeps an empty table valid
    new = table[index.labels]
    is_kept = new >= 0
    image = np.repeat(np.arange(len(index.images)), np.diff(index.splits))[is_kept]
    if collector is not None and collector.columns is not None:
        new_raw = table[np.asarray(collector.columns.labels, np.int64)]
        kept = select_rows(collector.columns, new_raw >= 0)
        collector.columns = dataclasses.replace(kept, labels=new_raw[new_raw >= 0])
    ids = None
    if index.category_ids is not None:
        first = {label: old for old, label in reversed(list(enumerate(labels)))}
        ids = tuple(index.category_ids[first[k]] if k in first else None for k in range(len(class_names)))
    return dataclasses.replace(
        index,
        class_names=tuple(class_names),
        boxes=index.boxes[is_kept],
        labels=new[is_kept].astype(np.int32),
        ignore=index.ignore[is_kept],
        areas=None if index.areas is None else index.areas[is_kept],
        splits=np.searchsorted(image, np.arange(len(index.images) + 1)),
        report=dataclasses.replace(index.report, num_boxes=int(is_kept.sum())),
        category_ids=ids,
    )


def join(
    indexes: Sequence[Index],
    collectors: Sequence[ErrorCollector | None],
    collector: ErrorCollector | None = None,
) -> Index:
    """Join data sets; classes of the same name become one.

    Args:
        indexes: The data sets.
        collectors: The collector of each.
        collector: Receives what `collectors` hold. Defaults to `None`.

    Returns:
        All images. Classes keep the order of the first data set that has them. Image IDs that occur twice are replaced
        by the positions of the images.
    """
    names = tuple(dict.fromkeys(name for index in indexes for name in index.class_names))
    tables = [[names.index(name) for name in index.class_names] for index in indexes]
    own = list(zip(indexes, tables, collectors, strict=True))
    changed = [change_classes(index, names, table, part) for index, table, part in own]
    ids: list[Any] = [image_id for index in changed for image_id in index.image_ids]
    if len({str(image_id) for image_id in ids}) < len(ids):
        ids = list(range(len(ids)))
    starts = [0, *itertools.accumulate(len(index.images) for index in changed)]
    if collector is not None:
        _join_collectors(changed, [part for part in collectors if part is not None], starts, collector)
    box_starts = [0, *itertools.accumulate(len(index.boxes) for index in changed)]
    splits = [index.splits[:-1] + start for index, start in zip(changed, box_starts, strict=False)]
    has_areas = all(index.areas is not None for index in changed)
    return Index(
        class_names=names,
        images=[image for index in changed for image in index.images],
        image_ids=ids,
        sizes=np.concatenate([index.sizes for index in changed]),
        boxes=np.concatenate([index.boxes for index in changed]),
        labels=np.concatenate([index.labels for index in changed]),
        ignore=np.concatenate([index.ignore for index in changed]),
        areas=np.concatenate([index.areas for index in changed]) if has_areas else None,
        orientations=np.concatenate([index.orientations for index in changed]),
        bit_depths=np.concatenate([index.bit_depths for index in changed]),
        splits=np.concatenate([*splits, box_starts[-1:]]).astype(np.int64),
        report=_join_reports([index.report for index in changed]),
        category_ids=None,
        sources=[source for index in changed for source in index.sources],
    )


def _join_reports(reports: Sequence[BoxReport]) -> BoxReport:
    return BoxReport(
        num_boxes=sum(report.num_boxes for report in reports),
        num_dropped=sum(report.num_dropped for report in reports),
        num_clipped=sum(report.num_clipped for report in reports),
        examples=[example for report in reports for example in report.examples],
        notes=[note for report in reports for note in report.notes],
    )


def _join_collectors(
    indexes: Sequence[Index], parts: Sequence[ErrorCollector], starts: Sequence[int], collector: ErrorCollector
) -> None:
    columns = [_to_pixels(part.columns, index) for part, index in zip(parts, indexes, strict=True) if part.columns]
    box_starts = [0, *itertools.accumulate(len(part.boxes) for part in columns)]
    collector.columns = BoxColumns(
        image=np.concatenate([part.image + start for part, start in zip(columns, starts, strict=False)]),
        boxes=np.concatenate([part.boxes for part in columns]),
        labels=np.concatenate([part.labels for part in columns]),
        ignore=np.concatenate([part.ignore for part in columns]),
        name=_join_names([part.name for part in columns], box_starts),
    )
    collector.annotated_sizes = [size for part in parts for size in part.annotated_sizes]
    collector.trusts_annotated_size = any(part.trusts_annotated_size for part in parts)
    collector.listed_in = ", ".join(part.listed_in for part in parts)
    collector.errors = [error for part in parts for error in part.errors]
    collector.num_errors = sum(part.num_errors for part in parts)


def _to_pixels(columns: BoxColumns, index: Index) -> BoxColumns:
    boxes = np.asarray(columns.boxes, np.float64).reshape(-1, 4)
    image = np.asarray(columns.image, np.int64)
    if columns.is_relative:
        boxes = boxes * index.sizes[image][:, [1, 0, 1, 0]]
    return dataclasses.replace(columns, boxes=boxes, image=image, is_relative=False)


def _join_names(names: Sequence[Callable[[int], str]], starts: Sequence[int]) -> Callable[[int], str]:
    def name(row: int) -> str:
        part = bisect.bisect_right(starts, row) - 1
        return names[part](row - starts[part])

    return name
