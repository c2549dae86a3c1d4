"""What a writer is given: a split of a data set, and chunks of it that can be written one by one, anywhere."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from keras_retinanet.config import ImageMode
from keras_retinanet.data.image_files import SUFFIXES, byte_range, read_bytes
from keras_retinanet.schema import Sample

Progress = Callable[[int], object]
"""Called with the number of images done."""

_MAGIC = ((b"\xff\xd8", ".jpg"), (b"\x89PNG", ".png"), (b"GIF8", ".gif"), (b"BM", ".bmp"))


@dataclass(frozen=True)
class Part:
    """One split of a data set, to be written.

    Attributes:
        name: Name of the set in the new data set.
        samples: Its images.
        names: File name of each in the new data set, unique without its ending.
        class_names: Names, label 0 first.
        category_ids: Id of each label where the format has ids of its own.
    """

    name: str
    samples: Sequence[Sample]
    names: Sequence[str]
    class_names: tuple[str, ...]
    category_ids: tuple[int, ...]


@dataclass(frozen=True)
class Chunk:
    """Images of a part that are written together: the unit of work, which may travel to another machine.

    Attributes:
        target: Format to write.
        folder: Folder of the new data set.
        part: The images of this chunk, as a `Part`.
        first: Position in the whole part of the chunk's first image.
        number: Number of the chunk in its part, from 0.
        count: Chunks of the part.
        images: What becomes of the image files.
    """

    target: str
    folder: str
    part: Part
    first: int
    number: int
    count: int
    images: ImageMode


class Loss(NamedTuple):
    """What a format cannot hold of a data set.

    Attributes:
        what: In words, as `"ignore regions"`; all are boxes.
        number: How many.
    """

    what: str
    number: int


def cut(target: str, folder: str, part: Part, images: ImageMode, count: int) -> list[Chunk]:
    """Cut a part into chunks of almost equal size.

    Args:
        target: Format to write.
        folder: Folder of the new data set.
        part: The images.
        images: What becomes of the image files.
        count: int. Chunks wanted; at most one an image.

    Returns:
        The chunks, in order.
    """
    total = len(part.samples)
    count = max(1, min(count, total))
    edges = [number * total // count for number in range(count + 1)]
    return [
        Chunk(
            target,
            folder,
            Part(part.name, part.samples[start:end], part.names[start:end], part.class_names, part.category_ids),
            start,
            number,
            count,
            images,
        )
        for number, (start, end) in enumerate(itertools.pairwise(edges))
    ]


def image_names(samples: Sequence[Sample]) -> list[str]:
    """File names for images from anywhere: their own where these differ, else numbered.

    Args:
        samples: All images of the new data set.

    Returns:
        One name each, unique without its ending and whatever the case.
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
    """The ending that belongs to the bytes of an image file; `.webp` for whatever is none of the others."""
    return next((suffix for magic, suffix in _MAGIC if content.startswith(magic)), ".webp")


def absolute(image: str) -> str:
    """The same image, wherever it is asked for."""
    return os.fspath(Path(image).absolute())
