"""Writes CSV as fizyr's keras-retinanet reads it: `<set>.csv`, `classes.csv`, `images/<set>/*.jpg`."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from keras_retinanet.data.writers.jobs import (
    Omission,
    OutputSplit,
    ProgressCallback,
    WriteJob,
    absolute_path,
    exact_text,
    omit_ignore_regions,
    place_images,
)
from keras_retinanet.schema import Sample


def write_job(job: WriteJob, progress: ProgressCallback) -> None:
    """Write the images."""
    place_images(job, Path(job.folder) / "images" / job.split.name, progress)


def write_index(folder: Path, splits: list[OutputSplit], images: str) -> None:
    """Write a file of boxes for each set, and one of classes."""
    for split in splits:
        rows = []
        for sample, name in zip(split.samples, split.names, strict=True):
            path = absolute_path(sample["image"]) if images == "none" else f"images/{split.name}/{name}"
            rows += _rows(sample, path, split.class_names)
        _write(folder / f"{split.name}.csv", rows)
    _write(folder / "classes.csv", ([name, label] for label, name in enumerate(splits[0].class_names)))


def omissions(splits: list[OutputSplit]) -> list[Omission]:
    """Ignore regions."""
    return omit_ignore_regions(splits)


def _rows(sample: Sample, path: str, class_names: tuple[str, ...]) -> list[list[str]]:
    rows = [
        [path, *(exact_text(side) for side in box), class_names[label]]
        for box, label, is_ignored in zip(sample["boxes"], sample["labels"], sample["ignore"], strict=True)
        if not is_ignored
    ]
    return rows or [[path, "", "", "", "", ""]]


def _write(file: Path, rows: Iterable[Iterable[Any]]) -> None:
    with file.open("w", encoding="utf-8", newline="") as text:
        csv.writer(text, lineterminator="\n").writerows(rows)
