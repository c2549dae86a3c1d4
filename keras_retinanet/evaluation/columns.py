"""Annotations and detections of many images as columns, without a Python object per box."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from keras_retinanet.data.datasets.shared.annotated_images import AnnotatedImages
from keras_retinanet.data.index_operations import rows_of
from keras_retinanet.evaluation.detection_file import StoredDetections
from keras_retinanet.schema import Detections, Sample

Array = NDArray[Any]
_BLOCK = 512  # images whose detections are columns at a time


class Truth(NamedTuple):
    """The annotated boxes of all images, in their order.

    Attributes:
        splits: `(I + 1,)` int64. Image i has the boxes `splits[i]` to `splits[i + 1]`.
        boxes: `(M, 4)` float64 in pixels.
        labels: `(M,)` int64.
        ignore: `(M,)` bool.
        areas: `(M,)` float64 in pixels; where the data set states none, those of the boxes.
    """

    splits: Array
    boxes: Array
    labels: Array
    ignore: Array
    areas: Array

    def select(self, positions: Array) -> Truth:
        """The boxes of some images.

        Args:
            positions: `(P,)` int.

        Returns:
            They.
        """
        rows, splits = rows_of(self.splits, positions)
        return Truth(splits, self.boxes[rows], self.labels[rows], self.ignore[rows], self.areas[rows])

    def image(self) -> Array:
        """`(M,)` position of the image of each box."""
        return np.repeat(np.arange(len(self.splits) - 1), np.diff(self.splits))

    def most_of_a_class(self) -> Array:
        """`(I,)` boxes of the class that each image has most of; ignore regions do not count."""
        image, labels = self.image()[~self.ignore], self.labels[~self.ignore]
        most = np.zeros(len(self.splits) - 1, np.int64)
        pairs, counts = np.unique(np.stack([image, labels]), axis=1, return_counts=True)
        np.maximum.at(most, pairs[0], counts)
        return most


class Found(NamedTuple):
    """The detections of some images.

    Attributes:
        image: `(D,)` position of the image, counted from the first of them.
        boxes: `(D, 4)` float64 in pixels.
        scores: `(D,)` in their own precision.
        labels: `(D,)` int.
    """

    image: Array
    boxes: Array
    scores: Array
    labels: Array


class Pairs(Sequence[tuple[Sample, Detections]]):
    """Annotations and detections of each image; both are fetched when they are needed.

    Args:
        samples: Annotated images.
        detections: Detections of images.
        positions: `(P,)` positions in `samples`.
        entries: `(P,)` positions in `detections`, -1 for none.
    """

    def __init__(
        self, samples: Sequence[Sample], detections: Sequence[Detections], positions: Array, entries: Array
    ) -> None:
        self._samples, self._detections, self._positions, self._entries = samples, detections, positions, entries

    def __len__(self) -> int:
        return len(self._positions)

    @overload
    def __getitem__(self, index: int) -> tuple[Sample, Detections]: ...
    @overload
    def __getitem__(self, index: slice) -> list[tuple[Sample, Detections]]: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return [self[position] for position in range(*index.indices(len(self)))]
        sample, entry = self._samples[self._positions[index]], self._entries[index]
        if entry >= 0:
            return sample, self._detections[entry]
        return sample, Detections(image_id=sample["image_id"], boxes=np.zeros((0, 4)), scores=[], labels=[])

    def __iter__(self) -> Iterator[tuple[Sample, Detections]]:
        return (self[position] for position in range(len(self)))

    def sorted_by_id(self) -> Pairs:
        """The pairs in the order of the image ids; numbers come first."""
        ids = list_ids(self._samples)
        order = sorted(range(len(self)), key=lambda row: (isinstance(ids[self._positions[row]], str),
                                                           ids[self._positions[row]]))  # fmt: skip
        return Pairs(self._samples, self._detections, self._positions[order], self._entries[order])

    def truth(self) -> Truth:
        """The annotations as columns."""
        truth = gather_truth(self._samples)
        is_same = len(truth.splits) - 1 == len(self) and bool((np.diff(self._positions) == 1).all())
        return truth if is_same else truth.select(self._positions)

    def num_detections(self) -> int:
        """Detections of all images."""
        return count_detections(self._detections)

    def blocks(self) -> Iterator[tuple[int, int, Found]]:
        """The detections of some images at a time.

        Yields:
            The first image, the one after the last, and their detections.
        """
        for first in range(0, len(self), _BLOCK):
            entries = self._entries[first : first + _BLOCK]
            yield first, first + len(entries), self._gather(entries)

    def _gather(self, entries: Array) -> Found:
        chosen = entries[entries >= 0]
        place = np.flatnonzero(entries >= 0)
        if isinstance(self._detections, StoredDetections):
            rows = self._detections.rows(chosen)
            image = np.repeat(place, self._detections.counts[chosen])
            return Found(image, rows["box"].astype(np.float64), rows["score"], rows["label"])
        found = [self._detections[entry] for entry in chosen]
        image = np.repeat(place, [len(entry["scores"]) for entry in found])
        scores = [np.asarray(entry["scores"]) for entry in found if len(entry["scores"])]
        return Found(
            image=image,
            boxes=concatenate(found, "boxes", np.float64, (-1, 4)),
            scores=np.concatenate(scores) if scores else np.zeros(0, np.float32),
            labels=concatenate(found, "labels", np.int64),
        )


def gather_truth(samples: Sequence[Sample]) -> Truth:
    """The annotations of samples as columns.

    Args:
        samples: Annotated images.

    Returns:
        They, in the order of the samples.
    """
    areas: Array
    if isinstance(samples, AnnotatedImages):
        index = samples.contents
        splits, labels, ignore = index.splits, index.labels.astype(np.int64), index.ignore.astype(bool)
        boxes = index.boxes.astype(np.float64)
        areas = np.full(len(labels), np.nan) if index.areas is None else np.asarray(index.areas, np.float64)
    else:
        counts = [len(sample["labels"]) for sample in samples]
        splits = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        boxes, labels = concatenate(samples, "boxes", np.float64, (-1, 4)), concatenate(samples, "labels", np.int64)
        ignore = concatenate(samples, "ignore", bool)
        own = [sample.get("areas", np.full(len(sample["labels"]), np.nan)) for sample in samples]
        areas = np.concatenate([np.zeros(0), *(np.asarray(values, np.float64) for values in own)])
    of_boxes = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    return Truth(splits, boxes, labels, ignore, np.where(np.isnan(areas), of_boxes, areas))


def concatenate(entries: Sequence[Any], name: str, dtype: Any, shape: tuple[int, ...] = (-1,)) -> Array:
    """Joins an entry of samples or detections.

    Args:
        entries: Samples or detections.
        name: Key of an array in each.
        dtype: Type of the result.
        shape: Shape of the rows of one image. Defaults to `(-1,)`.

    Returns:
        One array.
    """
    none = np.zeros((0, *shape[1:]), dtype)
    return np.concatenate([none, *(np.asarray(entry[name], dtype).reshape(shape) for entry in entries)])


def list_ids(samples: Sequence[Sample]) -> list[int | str]:
    """The id of each image.

    Args:
        samples: Annotated images.

    Returns:
        The ids.
    """
    return samples.contents.image_ids if isinstance(samples, AnnotatedImages) else [s["image_id"] for s in samples]


def count_detections(detections: Sequence[Detections]) -> int:
    """The number of detections of all images.

    Args:
        detections: Of each image.

    Returns:
        The number.
    """
    return int(detection_counts(detections).sum())


def detection_counts(detections: Sequence[Detections]) -> Array:
    """The number of detections of each image.

    Args:
        detections: Of each image.

    Returns:
        `(I,)` int64.
    """
    if isinstance(detections, StoredDetections):
        return detections.counts
    return np.array([len(entry["scores"]) for entry in detections], np.int64)
