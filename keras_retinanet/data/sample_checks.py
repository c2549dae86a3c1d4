"""Checks samples that a user's own code hands over, as readers check their files."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_retinanet.data.errors import DataError, short_repr
from keras_retinanet.schema import Sample

ENTRIES = {
    "image": "the path of an image file",
    "boxes": "(N, 4) numbers: x1, y1, x2, y2 in pixels of the stored image",
    "labels": "(N,) whole numbers that count the classes from 0",
    "ignore": "(N,) bool: regions that may hide objects",
}
"""What a sample must have."""


def check_samples(samples: Sequence[Sample], class_names: Sequence[str] | None = None) -> None:
    """Check samples of any source.

    Args:
        samples: The samples.
        class_names: Names of the labels. Defaults to `None`: labels have no upper limit.

    Raises:
        DataError: One of them is wrong; the message names the sample and its entry.
    """
    for position, sample in enumerate(samples):
        if not isinstance(sample, Mapping) or not sample.keys() >= ENTRIES.keys():
            raise _incomplete(position, sample)
    boxes = [np.asarray(sample["boxes"]) for sample in samples]
    labels = [np.asarray(sample["labels"]) for sample in samples]
    ignore = [np.asarray(sample["ignore"]) for sample in samples]
    for position, (sample, *arrays) in enumerate(zip(samples, boxes, labels, ignore, strict=True)):
        if not _is_usual(sample, *arrays):
            _check_forms(position, sample, *arrays)
    counts = np.array([len(row) for row in labels], np.int64)
    if counts.sum():
        _check_boxes(samples, np.concatenate([rows.reshape(-1, 4) for rows in boxes if rows.size]), counts)
        _check_labels(samples, np.concatenate([row for row in labels if row.size]), counts, class_names)


def _where(position: int, sample: Any, name: str) -> str:
    image = sample["image"] if isinstance(sample, Mapping) and "image" in sample else None
    return f"sample {position}{'' if image is None else f' ({short_repr(image, 200)})'}, {name!r}"


def _incomplete(position: int, sample: Any) -> DataError:
    if not isinstance(sample, Mapping):
        found = f"is a {type(sample).__name__}"
        return DataError(f"sample {position}", found, f"a dict with {', '.join(ENTRIES)}", "see schema.Sample")
    name = next(name for name in ENTRIES if name not in sample)
    there = ", ".join(map(str, sample)) or "nothing"
    return DataError(_where(position, sample, name), f"is missing; there are {there}", ENTRIES[name], "add it")


def _is_usual(sample: Any, boxes: Any, labels: Any, ignore: Any) -> bool:
    """Whether a sample has the forms that readers give it; decides most of a large data set quickly."""
    count, size = len(labels) if labels.ndim else -1, sample.get("size")
    return (
        boxes.shape == (count, 4)
        and labels.shape == ignore.shape == (count,)
        and (boxes.dtype.kind, labels.dtype.kind, ignore.dtype.kind) == ("f", "i", "b")
        and type(sample["image"]) is str
        and type(size) is tuple
        and len(size) == 2
        and all(type(side) is int and side > 0 for side in size)
    )


def _check_forms(position: int, sample: Any, boxes: Any, labels: Any, ignore: Any) -> None:
    """Shapes and dtypes of one sample; lists without an element have neither."""
    if not isinstance(sample["image"], (str, os.PathLike)):
        found = f"is a {type(sample['image']).__name__}"
        fix = "save the pixels as a file, or train with `model.fit` on batches of your own"
        raise DataError(_where(position, {}, "image"), found, ENTRIES["image"], fix)
    count = len(labels) if labels.ndim else -1
    is_right = {
        "boxes": boxes.size == 0 or (boxes.ndim == 2 and boxes.shape[1] == 4 and boxes.dtype.kind in "iuf"),
        "labels": labels.ndim == 1 and (labels.size == 0 or labels.dtype.kind in "iu" or _is_whole(labels)),
        "ignore": ignore.ndim == 1 and (ignore.size == 0 or ignore.dtype.kind in "biuf") and len(ignore) == count,
    }
    arrays = {"boxes": boxes, "labels": labels, "ignore": ignore}
    for name, is_fine in is_right.items():
        if not is_fine:
            found = f"is an array of shape {arrays[name].shape} and {arrays[name].dtype}"
            raise DataError(_where(position, sample, name), found, ENTRIES[name], f"N is {count}, as of the labels")
    if boxes.size != 4 * count:
        found = f"has {boxes.size // 4} rows, and 'labels' has {count}"
        raise DataError(_where(position, sample, "boxes"), found, ENTRIES["boxes"], "give every box one label")
    _check_size(position, sample)


def _is_whole(labels: Any) -> bool:
    return labels.dtype.kind == "f" and bool((labels == np.round(labels)).all())


def _check_size(position: int, sample: Any) -> None:
    size = sample.get("size")
    if size is None:
        return
    array = np.asarray(size)
    if array.shape != (2,) or array.dtype.kind not in "iu" or (array < 1).any():
        fix = "leave it out: it is read from the file"
        raise DataError(_where(position, sample, "size"), f"is {short_repr(size)}", "height and width in pixels", fix)


def _place(counts: Any, row: int) -> tuple[int, int]:
    """Sample and box of a row of all samples' boxes."""
    ends = np.cumsum(counts)
    sample = int(np.searchsorted(ends, row, side="right"))
    return sample, int(row - (ends[sample] - counts[sample]))


def _check_boxes(samples: Sequence[Sample], boxes: Any, counts: Any) -> None:
    is_finite = np.isfinite(boxes).all(axis=1)
    wrong = np.flatnonzero(~is_finite | (boxes[:, 2] <= boxes[:, 0]) | (boxes[:, 3] <= boxes[:, 1]))
    if not len(wrong):
        return
    position, box = _place(counts, wrong[0])
    where = f"{_where(position, samples[position], 'boxes')}, box {box}"
    found = f"is {np.round(boxes[wrong[0]], 3).tolist()}"
    if not is_finite[wrong[0]]:
        raise DataError(where, found, "finite numbers", "correct or remove the box")
    fix = "convert x, y, width, height to x1, y1, x2, y2; leave out boxes without area"
    raise DataError(where, found, "x1 < x2 and y1 < y2", fix)


def _check_labels(samples: Sequence[Sample], labels: Any, counts: Any, class_names: Sequence[str] | None) -> None:
    limit = np.inf if class_names is None else len(class_names)
    wrong = np.flatnonzero((labels < 0) | (labels >= limit))
    if not len(wrong):
        return
    position, box = _place(counts, wrong[0])
    where = f"{_where(position, samples[position], 'labels')}, box {box}"
    names = ", ".join((class_names or ())[:10]) + (" …" if len(class_names or ()) > 10 else "")
    allowed = "0 or more" if class_names is None else f"0 … {len(class_names) - 1} ({names})"
    fix = "they seem to count from 1: subtract 1" if labels.min() == 1 and labels.max() == limit else "map ids to them"
    raise DataError(where, f"is {labels[wrong[0]]}", allowed, fix)
