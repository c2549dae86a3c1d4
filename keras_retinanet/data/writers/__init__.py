"""Writers of data sets, one file per format. A new format is a module with three functions and a line in `WRITERS`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from keras_retinanet.config import ImageMode
from keras_retinanet.data.writers import coco, csv_file, pascal, tfrecord, yolo
from keras_retinanet.data.writers.jobs import Omission, OutputSplit, ProgressCallback, WriteJob, image_names, make_jobs


class Writer(NamedTuple):
    """How a format is written.

    Attributes:
        write_job: Writes the files that belong to the images of a job; may run in another process or machine.
        write_index: Writes the files that belong to the whole data set, after all jobs.
        omissions: Lists what the format cannot represent.
        sets: Names of the training and the validation set.
        image_modes: Allowed values of `WriteJob.images`.
    """

    write_job: Callable[[WriteJob, ProgressCallback], None]
    write_index: Callable[[Path, list[OutputSplit], str], None]
    omissions: Callable[[list[OutputSplit]], list[Omission]]
    sets: dict[str, str]
    image_modes: tuple[ImageMode, ...]


_SETS = {"train": "train", "val": "val"}

_COCO_SETS = {"train": "train2017", "val": "val2017"}

WRITERS: dict[str, Writer] = {
    "coco": Writer(coco.write_job, coco.write_index, coco.omissions, _COCO_SETS, ("copy", "link", "none")),
    "csv": Writer(csv_file.write_job, csv_file.write_index, csv_file.omissions, _SETS, ("copy", "link", "none")),
    "yolo": Writer(yolo.write_job, yolo.write_index, yolo.omissions, _SETS, ("copy", "link")),
    "pascal": Writer(pascal.write_job, pascal.write_index, pascal.omissions, _SETS, ("copy", "link")),
    "tfrecord": Writer(tfrecord.write_job, tfrecord.write_index, tfrecord.omissions, _SETS, ("copy",)),
}
"""Writers by the word that `retinanet-convert-data --to` takes."""

__all__ = [
    "WRITERS",
    "Omission",
    "OutputSplit",
    "ProgressCallback",
    "WriteJob",
    "Writer",
    "image_names",
    "make_jobs",
    "write_job",
]


def write_job(job: WriteJob, progress: ProgressCallback | None = None) -> None:
    """Run a job with the writer of its format.

    Args:
        job: The images.
        progress: Called with 1 after each image. Defaults to `None`.
    """
    WRITERS[job.target].write_job(job, progress or _silent)


def _silent(count: int) -> None:
    del count
