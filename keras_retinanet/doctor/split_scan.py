"""A split of a data set as annotated, with the facts of its image files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from keras_retinanet.config import DataConfig
from keras_retinanet.data.datasets import Dataset
from keras_retinanet.data.error_collector import ErrorCollector
from keras_retinanet.data.open_dataset import Split, open_dataset
from keras_retinanet.doctor.findings import Example
from keras_retinanet.doctor.image_scan import USABLE, ImageFacts, scan_images
from keras_retinanet.schema import Sample


@dataclass(frozen=True)
class ScannedSplit:
    """A split with N annotated boxes in I images.

    Attributes:
        split: `"train"` or `"val"`.
        class_names: Names, label 0 first.
        samples: Images with the boxes that training would use; unreadable images have none.
        facts: The facts of each image file.
        annotated_sizes: Height and width of each image as annotated, or `None`.
        raw_boxes: `(N, 4)` float64 as annotated, in pixels.
        raw_image: `(N,)` int, index of each box's image.
        raw_labels: `(N,)` int.
        raw_ignore: `(N,)` bool.
        locate: Index of a raw box → file, and line or annotation id in it.
        notes: Remarks of the reader.
        category_ids: The source's own id of each label, or `None`.
        trusts_annotated_size: True if the reader takes the annotated sizes for those of the files.
    """

    split: Split
    class_names: tuple[str, ...]
    samples: list[Sample]
    facts: list[ImageFacts]
    annotated_sizes: list[tuple[int, int] | None]
    raw_boxes: Any
    raw_image: Any
    raw_labels: Any
    raw_ignore: Any
    locate: Callable[[int], str]
    notes: tuple[str, ...] = ()
    category_ids: tuple[int | None, ...] | None = None
    trusts_annotated_size: bool = True

    @cached_property
    def sizes(self) -> Any:
        """`(I, 2)` int64 height and width of each file; if unreadable as annotated, else 0."""
        pairs = zip(self.facts, self.annotated_sizes, strict=True)
        return np.array([facts.size or annotated or (0, 0) for facts, annotated in pairs], np.int64).reshape(-1, 2)

    @cached_property
    def is_usable(self) -> Any:
        """`(I,)` bool: the file can be decoded, and has the annotated size where the reader trusts that."""
        pairs = zip(self.facts, self.annotated_sizes, strict=True)
        return np.array(
            [
                facts.state in USABLE and (not self.trusts_annotated_size or annotated in (None, facts.size))
                for facts, annotated in pairs
            ],
            bool,
        )

    @cached_property
    def usable(self) -> list[Sample]:
        """Images that training would use."""
        return [sample for sample, is_usable in zip(self.samples, self.is_usable, strict=True) if is_usable]

    @cached_property
    def boxes_by_class(self) -> Any:
        """`(K,)` int: boxes of each class in usable images, without ignore regions."""
        kept = [np.asarray(sample["labels"])[~np.asarray(sample["ignore"], bool)] for sample in self.usable]
        labels = np.concatenate([*kept, np.zeros(0, np.int64)]).astype(np.int64)
        return np.bincount(labels, minlength=len(self.class_names))

    @cached_property
    def raw_boxes_by_image(self) -> Any:
        """`(I,)` int: annotated boxes of each image, ignore regions included."""
        return np.bincount(self.raw_image, minlength=len(self.samples))

    def box_example(self, row: int, what: str = "") -> Example:
        """Raw box `row` as an example."""
        box = self.raw_boxes[row]
        x1, y1, x2, y2 = (float(round(side, 2)) for side in box)
        shown = f"[{x1:g}, {y1:g}, {x2:g}, {y2:g}]"
        image = self.samples[self.raw_image[row]]["image"]
        return Example(self.locate(row), f"{shown} {what}".strip(), image, (x1, y1, x2, y2))

    def image_example(self, index: int, what: str = "") -> Example:
        """Image `index` as an example."""
        image = self.samples[index]["image"]
        return Example(image, what, image)


def scan_split(
    data: DataConfig, split: Split, progress: Callable[[int], Callable[[int], object]], collector: ErrorCollector
) -> ScannedSplit:
    """Reads the annotations of a split and scans its images.

    Args:
        data: Which data set; `limit` applies to both splits.
        split: `"train"` or `"val"`.
        progress: Called with the number of images; returns a function that is called with 1 after each image.
        collector: A new one. It collects the faults that the reader skipped, even if the split cannot be opened.

    Returns:
        The split.

    Raises:
        DataError: The annotations cannot be read at all.
    """
    dataset = open_dataset(data, split, collector)
    samples = list(dataset)[: data.limit]
    facts = scan_images([sample["image"] for sample in samples], progress(len(samples)), data.workers)
    return _combine(split, dataset, collector, samples, facts)


def _combine(
    split: Split, dataset: Dataset, collector: ErrorCollector, samples: list[Sample], facts: list[ImageFacts]
) -> ScannedSplit:
    columns, annotated_sizes = collector.columns, collector.annotated_sizes[: len(samples)]
    assert columns is not None  # every reader fills it in
    rows = np.flatnonzero(columns.image < len(samples))
    boxes = np.asarray(columns.boxes, np.float64).reshape(-1, 4)[rows]
    if columns.is_relative:
        sizes = np.array([fact.size or (0, 0) for fact in facts], np.float64).reshape(-1, 2)
        boxes = boxes * sizes[columns.image[rows]][:, [1, 0, 1, 0]]
    return ScannedSplit(
        split=split,
        class_names=dataset.class_names,
        samples=samples,
        facts=facts,
        annotated_sizes=annotated_sizes,
        raw_boxes=boxes,
        raw_image=np.asarray(columns.image)[rows],
        raw_labels=np.asarray(columns.labels)[rows],
        raw_ignore=np.asarray(columns.ignore)[rows],
        locate=lambda row: columns.name(int(rows[row])),
        notes=tuple(dataset.report.notes),
        category_ids=getattr(dataset, "category_ids", None),
        trusts_annotated_size=collector.trusts_annotated_size,
    )
