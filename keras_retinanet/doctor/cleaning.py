"""A clean copy of a data set's annotations: what training can use of it, and nothing twice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_retinanet.config import ImageMode, WriterName
from keras_retinanet.data.conversion import Conversion, write_dataset
from keras_retinanet.data.datasets import BoxReport
from keras_retinanet.data.writers import WRITERS
from keras_retinanet.doctor.diagnosis import Diagnosis
from keras_retinanet.doctor.split_scan import Opened
from keras_retinanet.schema import Sample


@dataclass(frozen=True)
class CleanSplit:
    """A split without what cannot be used, in the form of a `datasets.Dataset`.

    Attributes:
        class_names: Names, label 0 first.
        samples: The images that remain.
        report: What was left out.
        category_ids: The source's own id of each label, or `None`.
    """

    class_names: tuple[str, ...]
    samples: list[Sample]
    report: BoxReport
    category_ids: tuple[int | None, ...] | None = None

    def __len__(self) -> int:
        return len(self.samples)

    def __iter__(self) -> Iterator[Sample]:
        return iter(self.samples)


def clean(opened: Opened) -> CleanSplit:
    """Leaves out images that cannot be used and boxes that are there twice.

    Boxes without area are gone and others clipped already, as in training.

    Args:
        opened: The split.

    Returns:
        What remains, and notes on what does not.
    """
    samples, copies = [], 0
    for sample in opened.usable:
        kept = _first_of_each(sample)
        copies += len(kept) - int(kept.sum())
        rows: dict[str, Any] = {key: np.asarray(sample[key])[kept] for key in ("boxes", "labels", "ignore")}
        if "areas" in sample:
            rows["areas"] = np.asarray(sample["areas"])[kept]
        samples.append(Sample(**{**sample, **rows}))  # type: ignore[typeddict-item]
    used = set(np.flatnonzero(opened.is_usable).tolist())
    from_used = sum(int(image) in used for image in opened.raw_image)
    flat = from_used - copies - sum(len(sample["labels"]) for sample in samples)
    gone = {
        "images that cannot be used": len(opened.samples) - len(samples),
        "boxes without area in their image": flat,
        "boxes that were there twice": copies,
    }
    notes = [f"{count} {what} left out" for what, count in gone.items() if count]
    return CleanSplit(opened.class_names, samples, BoxReport(notes=notes), opened.category_ids)


def _first_of_each(sample: Sample) -> Any:
    """`(N,)` bool: not the same box, class and kind again, to half a pixel."""
    key = np.column_stack([np.round(np.asarray(sample["boxes"]) * 2), sample["labels"], sample["ignore"]])
    kept = np.zeros(len(key), bool)
    if len(key):
        kept[np.unique(key, axis=0, return_index=True)[1]] = True
    return kept


def write_clean(diagnosis: Diagnosis, out: Path) -> Conversion:
    """Writes the clean copy, in the format of the data where that can be written, else as COCO.

    COCO and CSV point at the images where they are; Pascal VOC and YOLO, whose annotations lie beside the images, link
    them, and TFRecords hold them.

    Args:
        diagnosis: The diagnosis.
        out: Path. A folder that is new or empty.

    Returns:
        What was written and what was left out.

    Raises:
        ValueError: The data could not be opened, no image remains, or `out` is not empty.
    """
    parts = {part.split: clean(part) for part in diagnosis.opened}
    if not parts or any(finding.kind == "structure" for finding in diagnosis.findings):
        raise ValueError(
            "The annotations are broken in structure; correct the errors named, then --fix can do the rest."
        )
    if empty := [split for split, part in parts.items() if not part.samples]:
        raise ValueError(f"No image of {', '.join(empty)} can be used; there is nothing to write.")
    name = diagnosis.config.data.dataset
    to: WriterName = name if name in WRITERS else "coco"  # type: ignore[assignment]
    modes = WRITERS[to].image_modes
    images: ImageMode = "none" if "none" in modes else "link" if "link" in modes else "copy"
    if images == "none" and any("#bytes=" in sample["image"] for part in parts.values() for sample in part):
        images = "copy"
    return write_dataset(parts, out, to, images=images)
