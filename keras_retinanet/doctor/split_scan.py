"""A split of a data set as annotated, with the facts of its image files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from keras_retinanet.config import DataConfig, ExifFrame
from keras_retinanet.data.datasets import Dataset
from keras_retinanet.data.datasets.shared.frames import weigh_evidence
from keras_retinanet.data.error_collector import ErrorCollector
from keras_retinanet.data.exif import FIRST_TRANSPOSED, UPRIGHT, turned_size
from keras_retinanet.data.image_headers import ImageHeader
from keras_retinanet.data.open_dataset import Split, open_dataset
from keras_retinanet.doctor.findings import Example
from keras_retinanet.doctor.image_scan import USABLE, ImageFacts, Scan, scan_images
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
        exif_votes: `(I,)` int: what sizes and boxes show of an image with an EXIF orientation: 1 that boxes refer to it
            turned upright, -1 as stored, 0 nothing.
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
    exif_votes: Any
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
                facts.state in USABLE and not (self.trusts_annotated_size and has_other_size(facts, annotated))
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
        sample = self.samples[self.raw_image[row]]
        orientation = sample.get("orientation", UPRIGHT)
        return Example(self.locate(row), f"{shown} {what}".strip(), sample["image"], (x1, y1, x2, y2), orientation)

    def image_example(self, index: int, what: str = "") -> Example:
        """Image `index` as an example."""
        sample = self.samples[index]
        return Example(sample["image"], what, sample["image"], orientation=sample.get("orientation", UPRIGHT))


def scan_split(
    data: DataConfig,
    split: Split,
    progress: Callable[[int], Callable[[int], object]],
    collector: ErrorCollector,
    exif_fallback: ExifFrame = "apply",
    scan: Scan = scan_images,
) -> ScannedSplit:
    """Reads the annotations of a split and scans its images.

    Args:
        data: Which data set; `limit` applies to both splits.
        split: `"train"` or `"val"`.
        progress: Called with the number of images; returns a function that is called with 1 after each image.
        collector: A new one. It collects the faults that the reader skipped, even if the split cannot be opened.
        exif_fallback: As for `open_dataset`.
        scan: Reads the image files. Defaults to threads of this process.

    Returns:
        The split.

    Raises:
        DataError: The annotations cannot be read at all.
    """
    dataset = open_dataset(data, split, collector, exif_fallback=exif_fallback)
    samples = list(dataset)[: data.limit]
    facts = scan([sample["image"] for sample in samples], progress(len(samples)), data.workers)
    return _combine(split, dataset, collector, samples, facts)


def _combine(
    split: Split, dataset: Dataset, collector: ErrorCollector, samples: list[Sample], facts: list[ImageFacts]
) -> ScannedSplit:
    columns, annotated_sizes = collector.columns, collector.annotated_sizes[: len(samples)]
    assert columns is not None  # every reader fills it in
    rows = np.flatnonzero(columns.image < len(samples))
    boxes = np.asarray(columns.boxes, np.float64).reshape(-1, 4)[rows]
    votes = _exif_votes(columns.is_relative, boxes, columns.image[rows], facts, annotated_sizes)
    pairs = zip(facts, (sample.get("orientation", UPRIGHT) for sample in samples), strict=True)
    facts = [replace(fact, size=fact.size and turned_size(fact.size, orientation)) for fact, orientation in pairs]
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
        exif_votes=votes,
        locate=lambda row: columns.name(int(rows[row])),
        notes=tuple(dataset.report.notes),
        category_ids=getattr(dataset, "category_ids", None),
        trusts_annotated_size=collector.trusts_annotated_size,
    )


def _exif_votes(
    is_relative: bool, boxes: Any, image: Any, facts: list[ImageFacts], annotated: list[tuple[int, int] | None]
) -> Any:
    turned = [i for i, fact in enumerate(facts) if fact.orientation != UPRIGHT and fact.size is not None]
    headers = [ImageHeader(facts[i].size or (0, 0), facts[i].orientation) for i in turned]
    own = np.isin(image, turned) & (not is_relative)
    votes = np.zeros(len(facts), np.int64)
    evidence = weigh_evidence(headers, [annotated[i] for i in turned], boxes[own], np.searchsorted(turned, image[own]))
    votes[turned] = evidence.votes
    return votes


def has_other_size(facts: ImageFacts, annotated: tuple[int, int] | None) -> bool:
    """Whether an image has another size than annotated, whichever way an EXIF orientation turns it."""
    if annotated is None or facts.size == annotated:
        return False
    return facts.orientation < FIRST_TRANSPOSED or facts.size != annotated[::-1]
