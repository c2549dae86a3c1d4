"""Converts a data set to another format: reads both splits, joins their classes, writes."""

from __future__ import annotations

import dataclasses
import itertools
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_retinanet.config import CutConfig, DataConfig, ImageMode, WriterName
from keras_retinanet.data.data_summary import describe_data
from keras_retinanet.data.datasets import Dataset
from keras_retinanet.data.equal_files import describe_equal_files
from keras_retinanet.data.exif import UPRIGHT
from keras_retinanet.data.image_files import byte_range, file_size
from keras_retinanet.data.image_rule import exif_frame
from keras_retinanet.data.open_dataset import Split, has_validation, match_classes, open_dataset
from keras_retinanet.data.tiled_dataset import TiledSplit, cut_dataset
from keras_retinanet.data.unused_folders import describe_unused_folders
from keras_retinanet.data.writers import WRITERS, OutputSplit, WriteJob, image_names, make_jobs, write_job

SHARD_BYTES = 200_000_000
"""Approximate bytes of a TFRecord file: large enough for sequential reads, small enough to shuffle."""

JOB_IMAGES = 256
"""Images of a job, for formats without shards."""

Runner = Callable[[Sequence[WriteJob]], None]


@dataclass(frozen=True)
class Conversion:
    """What was written.

    Attributes:
        folder: The new data set.
        num_images: Images of each set.
        num_boxes: Boxes written, ignore regions included.
        notes: What was left out, clipped, or cannot be represented in the new format, one sentence each.
        description: What was read, one line.
    """

    folder: Path
    num_images: dict[str, int]
    num_boxes: int
    notes: tuple[str, ...]
    description: str = ""


def write_here(jobs: Sequence[WriteJob]) -> None:
    """The runner that runs one job after the other in this process."""
    for job in jobs:
        write_job(job)


def convert(
    data: DataConfig,
    out: Path,
    to: WriterName,
    *,
    splits: Sequence[Split] = ("train", "val"),
    images: ImageMode = "copy",
    shards: int | None = None,
    cut: CutConfig | None = None,
    run: Runner = write_here,
) -> Conversion:
    """Write a data set in another format.

    Args:
        data: What to read.
        out: A folder that is new or empty. It appears once everything is written, or not at all.
        to: The format.
        splits: Which splits; a data set without validation images has `"train"` only.
        images: Whether images are copied, hard-linked (copied if that is not possible), or left in place.
        shards: TFRecord files of each split. Defaults to as many as hold 200 MB each.
        cut: Cut large images into tiles. Defaults to `None`: they stay whole.
        run: Runs jobs, in any order and anywhere.

    Returns:
        A summary of what was written and left out.

    Raises:
        ValueError: The data are broken, `out` is not empty, or the format needs its images.
    """
    _require_mode(to, images)
    _require_empty(out)
    read: dict[Split, Dataset] = {}
    for split in (split for split in splits if split == "train" or has_validation(data)):
        frame = exif_frame(itertools.chain.from_iterable(read.values()))
        read[split] = open_dataset(data, split, exif_fallback=frame)
    if not read:
        raise ValueError(f"The data set has no {' or '.join(splits)} images to write; name the set that has them.")
    if cut is None:
        done = write_dataset(read, out, to, images=images, shards=shards, run=run)
    else:
        done = _write_tiles(read, out, to, cut, images=images, shards=shards, run=run)
    names = tuple(dict.fromkeys(name for dataset in read.values() for name in dataset.class_names))
    notes = done.notes
    if set(splits) == {"train", "val"}:
        notes += tuple(describe_unused_folders(data, itertools.chain.from_iterable(read.values())))
    return dataclasses.replace(done, notes=notes, description=describe_data(data, read, names))


def _write_tiles(
    read: Mapping[Split, Dataset], out: Path, to: WriterName, cut: CutConfig, *, images: ImageMode, **settings: Any
) -> Conversion:
    """`write_dataset` of tiles, whose images are written to a temporary folder first."""
    if images == "none":
        raise ValueError("--images none does not go with --tile: tiles are new images.")
    temporary = _temporary_folder(out, "tiles")
    try:
        tiled: dict[Split, Dataset] = {
            split: cut_dataset(
                dataset, temporary / split, cut, empty_share=cut.empty_share if split == "train" else 1.0
            )
            for split, dataset in read.items()
        }
        return write_dataset(tiled, out, to, images=images, **settings)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_dataset(
    read: Mapping[Split, Dataset],
    out: Path,
    to: WriterName,
    *,
    images: ImageMode = "copy",
    shards: int | None = None,
    run: Runner = write_here,
) -> Conversion:
    """Write splits that are already open.

    Args:
        read: The data sets by split.
        out: As `convert`.
        to: The format.
        images: As in `convert`.
        shards: TFRecord files of each split. Defaults to as many as hold 200 MB each.
        run: Runs jobs, in any order and anywhere.

    Returns:
        A summary of what was written and left out.

    Raises:
        ValueError: As `convert`.
    """
    _require_mode(to, images)
    _require_empty(out)
    writer = WRITERS[to]
    outputs = _output_splits(read, to)
    omitted = writer.omissions(outputs)
    notes = [
        *_notes(read),
        *_exif_notes(outputs, images),
        *(f"{to} cannot represent {what}: {number} left out" for what, number in omitted),
    ]
    if images == "none" and any(byte_range(sample["image"]) for output in outputs for sample in output.samples):
        raise ValueError("--images none cannot point at images inside of record files; let them be copied.")
    temporary = _temporary_folder(out)
    try:
        jobs = [
            job
            for output in outputs
            for job in make_jobs(to, str(temporary), output, images, _num_jobs(output, to, shards))
        ]
        run(jobs)
        writer.write_index(temporary, outputs, images)
        _replace(temporary, out)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    boxes = sum(len(sample["labels"]) for output in outputs for sample in output.samples)
    boxes -= sum(number for _, number in omitted)
    return Conversion(out, {output.name: len(output.samples) for output in outputs}, boxes, tuple(notes))


def _require_mode(to: WriterName, images: ImageMode) -> None:
    if images not in WRITERS[to].image_modes:
        allowed = " or ".join(WRITERS[to].image_modes)
        raise ValueError(f"--images {images} does not go with --to {to}; allowed: {allowed}.")


def _require_empty(out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"{out} already exists and is not empty; give a new folder, or move it away.")


def _temporary_folder(out: Path, purpose: str = "") -> Path:
    """Create a folder next to the new one, in which it is written."""
    temporary = out.parent / f".{out.name}-{purpose}{os.getpid()}"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    return temporary


def _replace(temporary: Path, out: Path) -> None:
    if out.exists():
        out.rmdir()
    temporary.rename(out)


def _output_splits(read: Mapping[Split, Dataset], to: WriterName) -> list[OutputSplit]:
    """The splits with file names for their images and labels that index one list of classes."""
    names = tuple(dict.fromkeys(name for dataset in read.values() for name in dataset.class_names))
    samples = {split: match_classes(list(dataset), dataset.class_names, names) for split, dataset in read.items()}
    files = iter(image_names(list(itertools.chain.from_iterable(samples.values()))))
    ids = _choose_category_ids(read.values(), names)
    return [
        OutputSplit(WRITERS[to].sets[split], found, list(itertools.islice(files, len(found))), names, ids)
        for split, found in samples.items()
    ]


def _choose_category_ids(read: Iterable[Dataset], names: Sequence[str]) -> tuple[int, ...]:
    """The source's own IDs if they are all positive, as COCO's are; otherwise 1, 2, …."""
    own: dict[str, int] = {}
    for dataset in read:
        given = getattr(dataset, "category_ids", None) or ()
        own |= {name: number for name, number in zip(dataset.class_names, given, strict=False) if number is not None}
    ids = tuple(own.get(name, 0) for name in names)
    return ids if min(ids, default=0) > 0 and len(set(ids)) == len(ids) else tuple(range(1, len(names) + 1))


def _notes(read: Mapping[Split, Dataset]) -> Iterator[str]:
    for split, dataset in read.items():
        if (warning := dataset.report.warning()) is not None:
            yield f"{split}: {warning}"
        yield from (f"{split}: {note}" for note in dataset.report.notes)
    yield from describe_equal_files([(split, _images_of(own)) for split, own in read.items()])


def _images_of(dataset: Dataset) -> list[str]:
    """The image files; those that were cut, in place of their tiles, many of which show the same background."""
    return dataset.originals if isinstance(dataset, TiledSplit) else [sample["image"] for sample in dataset]


def _exif_notes(outputs: Sequence[OutputSplit], images: ImageMode) -> Iterator[str]:
    """What happens to images with an EXIF orientation."""
    found = [sample["orientation"] for output in outputs for sample in output.samples if "orientation" in sample]
    num_turned = sum(orientation > UPRIGHT for orientation in found)
    if found and images == "none":
        what = "have an EXIF orientation and stay as they are"
        yield f"{len(found)} images {what}; boxes of {num_turned} refer to them turned upright"
        return
    if num_turned:
        yield f"{num_turned} images are written upright, with the EXIF orientation 1: boxes refer to them so"
    if len(found) > num_turned:
        yield f"{len(found) - num_turned} images are written with the EXIF orientation 1: boxes refer to them as stored"


def _num_jobs(output: OutputSplit, to: WriterName, shards: int | None) -> int:
    """Number of jobs of a split."""
    if to != "tfrecord":
        return -(-len(output.samples) // JOB_IMAGES)
    return shards or -(-sum(file_size(sample["image"]) for sample in output.samples) // SHARD_BYTES)
