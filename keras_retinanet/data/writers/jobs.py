"""What every writer needs: splits, jobs that write a part of a split, image files, exact numbers."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from keras_retinanet.config import ImageMode
from keras_retinanet.data.image_files import SUFFIXES, byte_range, read_bytes
from keras_retinanet.data.writers.upright import as_annotated
from keras_retinanet.schema import Sample

ProgressCallback = Callable[[int], object]
"""Called with the number of images just written."""

_MAGIC = ((b"\xff\xd8", ".jpg"), (b"\x89PNG", ".png"), (b"GIF8", ".gif"), (b"BM", ".bmp"))


@dataclass(frozen=True)
class OutputSplit:
    """One split of the new data set.

    Attributes:
        name: Name of the set in the new data set.
        samples: Its images.
        names: File name of each image in the new data set, unique without the suffix.
        class_names: Names, label 0 first.
        category_ids: ID of each label, for formats that have IDs of their own.
    """

    name: str
    samples: Sequence[Sample]
    names: Sequence[str]
    class_names: tuple[str, ...]
    category_ids: tuple[int, ...]


@dataclass(frozen=True)
class WriteJob:
    """Images that are written together: the unit of work, which may run on another machine.

    Attributes:
        target: Format to write.
        folder: Folder of the new data set.
        split: The images of this job.
        first: Position of the job's first image in the whole split.
        number: Number of the job within its split, from 0.
        count: Number of jobs of the split.
        images: Whether image files are copied, hard-linked, or not written.
    """

    target: str
    folder: str
    split: OutputSplit
    first: int
    number: int
    count: int
    images: ImageMode


class Omission(NamedTuple):
    """Boxes that a format cannot represent.

    Attributes:
        what: Description, such as `"ignore regions"`.
        number: How many boxes are left out.
    """

    what: str
    number: int


def make_jobs(target: str, folder: str, split: OutputSplit, images: ImageMode, count: int) -> list[WriteJob]:
    """Divide a split into jobs of almost equal size.

    Args:
        target: Format to write.
        folder: Folder of the new data set.
        split: The images.
        images: Whether image files are copied, hard-linked, or not written.
        count: Number of jobs wanted; at most one per image.

    Returns:
        The jobs, in order.
    """
    total = len(split.samples)
    count = max(1, min(count, total))
    edges = [number * total // count for number in range(count + 1)]
    return [
        WriteJob(
            target,
            folder,
            OutputSplit(
                split.name, split.samples[start:end], split.names[start:end], split.class_names, split.category_ids
            ),
            start,
            number,
            count,
            images,
        )
        for number, (start, end) in enumerate(itertools.pairwise(edges))
    ]


def image_names(samples: Sequence[Sample]) -> list[str]:
    """File names for images from any source: their own where unique, otherwise numbered.

    Args:
        samples: All images of the new data set.

    Returns:
        One name per image, unique without the suffix and ignoring case.
    """
    taken: set[str] = set()
    names = []
    for sample in samples:
        stem, suffix = os.path.splitext(_own_name(sample))
        free, number = stem, 1
        while free.lower() in taken:
            number += 1
            free = f"{stem}-{number}"
        taken.add(free.lower())
        names.append(free + suffix)
    return names


def _own_name(sample: Sample) -> str:
    image = sample["image"]
    if byte_range(image) is None:
        return os.path.basename(image)
    name = re.sub(r"[^\w.-]+", "_", os.path.basename(str(sample["image_id"]))).lstrip(".") or "image"
    return name if name.lower().endswith(SUFFIXES) else name + image_suffix(read_bytes(image))


def image_suffix(content: bytes) -> str:
    """File suffix for the bytes of an image; `.webp` if they are not JPEG, PNG, GIF or BMP."""
    return next((suffix for magic, suffix in _MAGIC if content.startswith(magic)), ".webp")


def place_images(job: WriteJob, folder: Path, progress: ProgressCallback) -> None:
    """Copy or link the images of a job into a folder; with `images="none"` only count them.

    An image with an EXIF orientation is written without it, its pixels as the boxes refer to them.

    Args:
        job: The images.
        folder: Target folder; created if absent.
        progress: Called with 1 after each image.
    """
    if job.images != "none":
        folder.mkdir(parents=True, exist_ok=True)
    for sample, name in zip(job.split.samples, job.split.names, strict=True):
        if job.images != "none":
            _place_image(sample, folder / name, is_link=job.images == "link")
        progress(1)


def image_bytes(sample: Sample) -> bytes:
    """The bytes of an image file whose stored pixels are those that the boxes refer to."""
    content = read_bytes(sample["image"])
    return as_annotated(content, sample["orientation"]) if "orientation" in sample else content


def _place_image(sample: Sample, target: Path, *, is_link: bool) -> None:
    image = sample["image"]
    if byte_range(image) is not None or "orientation" in sample:
        target.write_bytes(image_bytes(sample))
        return
    if is_link:
        with contextlib.suppress(OSError):  # another disk, or a file system without links: copy
            os.link(os.path.realpath(image), target)
            return
    shutil.copyfile(image, target)


def absolute_path(image: str) -> str:
    """Absolute path of an image."""
    return os.fspath(Path(image).absolute())


def exact(value: float) -> float:
    """The shortest decimal number that reads back as the same float32: 30.1, not 30.100000381469727."""
    return float(np.format_float_positional(np.float32(value), unique=True, trim="0"))


def exact_text(value: float) -> str:
    """`exact` as text; whole numbers have no decimal point."""
    return np.format_float_positional(np.float32(value), unique=True, trim="-")


def omit_ignore_regions(splits: list[OutputSplit]) -> list[Omission]:
    """The `omissions` of formats that have no ignore regions."""
    count = sum(int(sample["ignore"].sum()) for split in splits for sample in split.samples)
    return [Omission("ignore regions (crowd, difficult, group)", count)] if count else []
