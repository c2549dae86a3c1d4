"""Writes CSV as fizyr's keras-retinanet reads it: `<set>.csv`, `classes.csv`, `images/<set>/*.jpg`."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from keras_retinanet.data.writers.chunks import Chunk, Loss, Part, Progress, absolute
from keras_retinanet.data.writers.ignored import ignore_regions
from keras_retinanet.data.writers.numbers import exact_text
from keras_retinanet.data.writers.placing import place_images
from keras_retinanet.schema import Sample


def write_chunk(chunk: Chunk, progress: Progress) -> None:
    """Place the images."""
    place_images(chunk, Path(chunk.folder) / "images" / chunk.part.name, progress)


def write_index(folder: Path, parts: list[Part], images: str) -> None:
    """A file of boxes for each set, and one of classes."""
    for part in parts:
        rows = []
        for sample, name in zip(part.samples, part.names, strict=True):
            path = absolute(sample["image"]) if images == "none" else f"images/{part.name}/{name}"
            rows += _rows(sample, path, part.class_names)
        _write(folder / f"{part.name}.csv", rows)
    _write(folder / "classes.csv", ([name, label] for label, name in enumerate(parts[0].class_names)))


def losses(parts: list[Part]) -> list[Loss]:
    """Ignore regions."""
    return ignore_regions(parts)


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
