"""Writes YOLO: `data.yaml`, `images/<set>/*.jpg`, `labels/<set>/*.txt`."""

from __future__ import annotations

from pathlib import Path

import yaml

from keras_retinanet.data.writers.jobs import (
    Omission,
    OutputSplit,
    ProgressCallback,
    WriteJob,
    omit_ignore_regions,
    place_images,
)
from keras_retinanet.schema import Sample


def write_job(job: WriteJob, progress: ProgressCallback) -> None:
    """Write the images and a text file for each, an empty one if there is no box."""
    folder, split = Path(job.folder), job.split
    labels = folder / "labels" / split.name
    labels.mkdir(parents=True, exist_ok=True)
    for sample, name in zip(split.samples, split.names, strict=True):
        text = "".join(f"{line}\n" for line in _lines(sample))
        (labels / name).with_suffix(".txt").write_text(text, encoding="utf-8")
    place_images(job, folder / "images" / split.name, progress)


def write_index(folder: Path, splits: list[OutputSplit], images: str) -> None:
    """Write `data.yaml`."""
    del images
    sets = {split.name: f"images/{split.name}" for split in splits}
    content = {**sets, "names": dict(enumerate(splits[0].class_names))}
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    (folder / "data.yaml").write_text(text, encoding="utf-8")


def omissions(splits: list[OutputSplit]) -> list[Omission]:
    """Ignore regions."""
    return omit_ignore_regions(splits)


def _lines(sample: Sample) -> list[str]:
    height, width = sample["size"]
    lines = []
    for box, label, is_ignored in zip(sample["boxes"].tolist(), sample["labels"], sample["ignore"], strict=True):
        if not is_ignored:
            x1, y1, x2, y2 = box
            shares = ((x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height)
            lines.append(f"{label} " + " ".join(f"{share:.10g}" for share in shares))
    return lines
