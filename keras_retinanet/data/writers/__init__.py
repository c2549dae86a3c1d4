"""Writers of data sets, one file a format. A new format is a module with three functions and a line in `WRITERS`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from keras_retinanet.config import ImageMode
from keras_retinanet.data.writers import coco, csv_file, pascal, tfrecord, yolo
from keras_retinanet.data.writers.chunks import Chunk, Loss, Part, Progress, cut, image_names


class Writer(NamedTuple):
    """How a format is written.

    Attributes:
        write_chunk: Writes what belongs to each image of a chunk; may run in another process or machine.
        write_index: Writes what belongs to the whole, after all chunks.
        losses: What the format cannot hold of a data set.
        sets: Names of the training and the validation set.
        image_modes: What may become of the images.
    """

    write_chunk: Callable[[Chunk, Progress], None]
    write_index: Callable[[Path, list[Part], str], None]
    losses: Callable[[list[Part]], list[Loss]]
    sets: dict[str, str]
    image_modes: tuple[ImageMode, ...]


_SETS = {"train": "train", "val": "val"}

_COCO_SETS = {"train": "train2017", "val": "val2017"}

WRITERS: dict[str, Writer] = {
    "coco": Writer(coco.write_chunk, coco.write_index, coco.losses, _COCO_SETS, ("copy", "link", "none")),
    "csv": Writer(csv_file.write_chunk, csv_file.write_index, csv_file.losses, _SETS, ("copy", "link", "none")),
    "yolo": Writer(yolo.write_chunk, yolo.write_index, yolo.losses, _SETS, ("copy", "link")),
    "pascal": Writer(pascal.write_chunk, pascal.write_index, pascal.losses, _SETS, ("copy", "link")),
    "tfrecord": Writer(tfrecord.write_chunk, tfrecord.write_index, tfrecord.losses, _SETS, ("copy",)),
}
"""Writers by the word that `retinanet-convert-data --to` takes."""

__all__ = ["WRITERS", "Chunk", "Loss", "Part", "Progress", "Writer", "cut", "image_names", "write_chunk"]


def write_chunk(chunk: Chunk, progress: Progress | None = None) -> None:
    """Write a chunk in its own format: what a runner calls for each.

    Args:
        chunk: The images.
        progress: Called with 1 after each. Defaults to nothing.
    """
    WRITERS[chunk.target].write_chunk(chunk, progress or _silent)


def _silent(count: int) -> None:
    del count
