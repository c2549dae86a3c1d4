"""A split of a data set as the doctor sees it: what its files say, and what its images are."""

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
from keras_retinanet.doctor.image_scan import ImageFacts, scan_images
from keras_retinanet.schema import Sample


@dataclass(frozen=True)
class Opened:
    """A split, with N boxes in I images.

    Attributes:
        split: `"train"` or `"val"`.
        class_names: Names, label 0 first.
        samples: Images with the boxes that a training would use; none of images that cannot be read.
        facts: What each image file tells of itself.
        told_sizes: Height and width of each image as annotated, or `None`.
        is_size_binding: The reader took the annotated sizes for those of the files.
        raw_boxes: `(N, 4)` float64 as annotated, in pixels.
        raw_image: `(N,)` int, position of the image of each.
        raw_labels: `(N,)` int.
        raw_ignore: `(N,)` bool.
        name: Where raw box i stands.
        notes: What the reader has to say.
        category_ids: The source's own id of each label, or `None`.
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
    name: Callable[[int], str]
    notes: tuple[str, ...] = ()
    category_ids: tuple[int | None, ...] | None = None
    trusts_annotated_size: bool = True

    @cached_property
    def sizes(self) -> Any:
        """`(I, 2)` int64 height and width of each file; where it cannot be read as annotated, else 0."""
        pairs = zip(self.facts, self.annotated_sizes, strict=True)
        return np.array([facts.size or told or (0, 0) for facts, told in pairs], np.int64).reshape(-1, 2)

    @cached_property
    def is_usable(self) -> Any:
        """`(I,)` bool: the file can be decoded and has the size that the reader counts on."""
        pairs = zip(self.facts, self.annotated_sizes, strict=True)
        return np.array(
            [
                facts.state == "whole" and (not self.trusts_annotated_size or told in (None, facts.size))
                for facts, told in pairs
            ],
            bool,
        )

    @cached_property
    def usable(self) -> list[Sample]:
        """Images that a training would use."""
        return [sample for sample, is_usable in zip(self.samples, self.is_usable, strict=True) if is_usable]

    def box_example(self, row: int, what: str = "") -> Example:
        """Raw box `row` as an example."""
        box = self.raw_boxes[row]
        x1, y1, x2, y2 = (float(round(side, 2)) for side in box)
        shown = f"[{x1:g}, {y1:g}, {x2:g}, {y2:g}]"
        image = self.samples[self.raw_image[row]]["image"]
        return Example(self.name(row), f"{shown} {what}".strip(), image, (x1, y1, x2, y2))

    def image_example(self, index: int, what: str = "") -> Example:
        """Image `index` as an example."""
        image = self.samples[index]["image"]
        return Example(image, what, image)


def open_split(
    data: DataConfig, split: Split, progress: Callable[[int], Callable[[int], object]], collector: ErrorCollector
) -> Opened:
    """Reads the annotations of a split and looks at its images.

    Args:
        data: Which data set; `limit` counts for both splits.
        split: `"train"` or `"val"`.
        progress: Called with the number of images; answers what is called with 1 after each.
        collector: A new one. It records what is broken and was left out, whether the split can be opened or not.

    Returns:
        The split.

    Raises:
        DataError: The annotations are broken in structure, so that the rest means nothing.
    """
    dataset = open_dataset(data, split, collector)
    samples = list(dataset)[: data.limit]
    facts = scan_images([sample["image"] for sample in samples], progress(len(samples)), data.workers)
    return _joined(split, dataset, collector, samples, facts)


def _joined(
    split: Split, dataset: Dataset, collector: ErrorCollector, samples: list[Sample], facts: list[ImageFacts]
) -> Opened:
    columns, told = collector.columns, collector.annotated_sizes[: len(samples)]
    assert columns is not None  # every reader fills it in
    rows = np.flatnonzero(columns.image < len(samples))
    boxes = np.asarray(columns.boxes, np.float64).reshape(-1, 4)[rows]
    if columns.is_relative:
        sizes = np.array([fact.size or (0, 0) for fact in facts], np.float64).reshape(-1, 2)
        boxes = boxes * sizes[columns.image[rows]][:, [1, 0, 1, 0]]
    return Opened(
        split=split,
        class_names=dataset.class_names,
        samples=samples,
        facts=facts,
        annotated_sizes=told,
        raw_boxes=boxes,
        raw_image=np.asarray(columns.image)[rows],
        raw_labels=np.asarray(columns.labels)[rows],
        raw_ignore=np.asarray(columns.ignore)[rows],
        name=lambda row: columns.name(int(rows[row])),
        notes=tuple(dataset.report.notes),
        category_ids=getattr(dataset, "category_ids", None),
        trusts_annotated_size=collector.trusts_annotated_size,
    )
