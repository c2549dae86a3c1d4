"""Writes COCO as it unzips: `annotations/instances_<set>.json`, `<set>/*.jpg`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from keras_retinanet.data.image_files import byte_range
from keras_retinanet.data.writers.jobs import (
    Omission,
    OutputSplit,
    ProgressCallback,
    WriteJob,
    absolute_path,
    exact,
    place_images,
)
from keras_retinanet.schema import Sample


def write_job(job: WriteJob, progress: ProgressCallback) -> None:
    """Write the images."""
    place_images(job, Path(job.folder) / job.split.name, progress)


def write_index(folder: Path, splits: list[OutputSplit], images: str) -> None:
    """Write one JSON file per set. Image IDs are kept if they are integers and unique; otherwise they count from 1."""
    own_ids = [sample["image_id"] for split in splits for sample in split.samples]
    has_ids = all(isinstance(image_id, int) for image_id in own_ids) and len(set(own_ids)) == len(own_ids)
    (folder / "annotations").mkdir(parents=True, exist_ok=True)
    first = 1
    for split in splits:
        ids = [int(sample["image_id"]) if has_ids else first + n for n, sample in enumerate(split.samples)]
        first += len(split.samples)
        table = _table(split, ids, is_elsewhere=images == "none")
        file = folder / "annotations" / f"instances_{split.name}.json"
        file.write_text(json.dumps(table, separators=(",", ":"), ensure_ascii=False), encoding="utf-8")


def omissions(splits: list[OutputSplit]) -> list[Omission]:
    """None: crowd regions represent ignore regions."""
    del splits
    return []


def _table(split: OutputSplit, ids: list[int], *, is_elsewhere: bool) -> dict[str, Any]:
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for sample, name, image_id in zip(split.samples, split.names, ids, strict=True):
        height, width = sample["size"]
        place = absolute_path(sample["image"]) if is_elsewhere and byte_range(sample["image"]) is None else name
        images.append({"id": image_id, "file_name": place, "width": width, "height": height})
        annotations += _annotations(sample, image_id, split, len(annotations))
    pairs = zip(split.category_ids, split.class_names, strict=True)
    return {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": number, "name": name} for number, name in pairs],
    }


def _annotations(sample: Sample, image_id: int, split: OutputSplit, first: int) -> list[dict[str, Any]]:
    found = []
    areas = sample.get("areas", np.prod(sample["boxes"][:, 2:] - sample["boxes"][:, :2], axis=1))
    rows = zip(sample["boxes"], sample["labels"], sample["ignore"], areas, strict=True)
    for number, (box, label, is_ignored, area) in enumerate(rows, start=first + 1):
        x1, y1, x2, y2 = (exact(side) for side in box)
        found.append(
            {
                "id": number,
                "image_id": image_id,
                "category_id": split.category_ids[label],
                # Nine decimals: a hundredth of the resolution of float32 at 0.01 pixels.
                "bbox": [x1, y1, round(x2 - x1, 9), round(y2 - y1, 9)],
                "area": round(float(area), 4),
                "iscrowd": int(is_ignored),
            }
        )
    return found
