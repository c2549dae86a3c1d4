"""A clean copy of a data set's annotations: only what training can use, without duplicate boxes."""

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
from keras_retinanet.doctor.split_scan import ScannedSplit
from keras_retinanet.schema import Sample


@dataclass(frozen=True)
class CleanSplit:
    """The usable part of a split; satisfies `datasets.Dataset`.

    Attributes:
        class_names: Names, label 0 first.
        samples: The remaining images.
        report: Notes on what was removed.
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


def clean_split(scan: ScannedSplit) -> CleanSplit:
    """Removes images that cannot be used and duplicate boxes.

    Boxes without area were already removed, and others clipped, as in training.

    Args:
        scan: The split.

    Returns:
        The rest, with notes on what was removed.
    """
    samples, num_copies = [], 0
    for sample in scan.usable:
        kept = _is_first(sample)
        num_copies += len(kept) - int(kept.sum())
        rows: dict[str, Any] = {key: np.asarray(sample[key])[kept] for key in ("boxes", "labels", "ignore")}
        if "areas" in sample:
            rows["areas"] = np.asarray(sample["areas"])[kept]
        samples.append(Sample(**{**sample, **rows}))  # type: ignore[typeddict-item]
    in_usable = int(scan.raw_boxes_by_image[scan.is_usable].sum())
    removed = {
        "images that cannot be used": len(scan.samples) - len(samples),
        "boxes without area in their image": in_usable - num_copies - sum(len(sample["labels"]) for sample in samples),
        "duplicate boxes": num_copies,
    }
    notes = [f"{count} {what} removed" for what, count in removed.items() if count]
    return CleanSplit(scan.class_names, samples, BoxReport(notes=notes), scan.category_ids)


def _is_first(sample: Sample) -> Any:
    """`(N,)` bool: no earlier box has the same corners (to half a pixel), class and ignore flag."""
    key = np.column_stack([np.round(np.asarray(sample["boxes"]) * 2), sample["labels"], sample["ignore"]])
    is_first = np.zeros(len(key), bool)
    if len(key):
        is_first[np.unique(key, axis=0, return_index=True)[1]] = True
    return is_first


def write_clean(diagnosis: Diagnosis, out: Path) -> Conversion:
    """Writes a clean copy of the annotations, in the format of the data if there is a writer for it, else as COCO.

    COCO and CSV refer to the images where they are; Pascal VOC and YOLO, which keep annotations next to the images,
    link them, and TFRecords contain them.

    Args:
        diagnosis: The diagnosis.
        out: A folder that is new or empty.

    Returns:
        What was written and what was removed.

    Raises:
        ValueError: The data could not be read, no image remains, or `out` is not empty.
    """
    parts = {scan.split: clean_split(scan) for scan in diagnosis.scans}
    if not parts or any(finding.kind == "structure" for finding in diagnosis.findings):
        raise ValueError(
            "Some annotations cannot be read; correct the structure errors listed above, then run --fix again."
        )
    if empty := [split for split, part in parts.items() if not part.samples]:
        raise ValueError(f"No image of {', '.join(empty)} can be used, so there is nothing to write.")
    name = diagnosis.config.data.dataset
    to: WriterName = name if name in WRITERS else "coco"  # type: ignore[assignment]
    modes = WRITERS[to].image_modes
    images: ImageMode = "none" if "none" in modes else "link" if "link" in modes else "copy"
    if images == "none" and any("#bytes=" in sample["image"] for part in parts.values() for sample in part):
        images = "copy"
    return write_dataset(parts, out, to, images=images)
