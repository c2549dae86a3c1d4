"""Detection in millions of images: the task of a shard, and its results joined into files of detections."""

from __future__ import annotations

import csv
import json
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_retinanet.data.errors import DataError
from keras_retinanet.data.given_images import GivenImage
from keras_retinanet.detection.detector import Detector
from keras_retinanet.detection.result_files import Writer, number_of
from keras_retinanet.schema import DetectedImage, Detections, Sample
from keras_retinanet.shards.image_shards import Shard, read_shard
from keras_retinanet.shards.job_folder import read_job
from keras_retinanet.shards.task import Arrays, Task, load_arrays
from keras_retinanet.snapshots.atomic_files import write_whole

ERRORS_NAME = "errors.csv"
"""File of a job's folder with a line per image that could not be read."""
_LOW = 0.05  # score threshold at which AP is measured


@dataclass(frozen=True)
class DetectionTask(Task):
    """Detects in the images of a shard.

    Attributes:
        model: Path of the model, the same on all workers.
        settings: Keyword arguments of `Detector`, as pairs.
    """

    model: str
    settings: tuple[tuple[str, Any], ...]

    def open(self) -> Callable[[Shard], Arrays]:
        """Opens the model; see `Task`."""
        detector = Detector(self.model, **dict(self.settings))
        return lambda shard: detect_shard(detector, shard)


def detect_shard(detector: Detector, shard: Shard) -> Arrays:
    """Detects in the images of a shard, in batches of one shape.

    Args:
        detector: The detector.
        shard: The shard.

    Returns:
        `images`, a JSON list as bytes, an archive's damage under an empty name; `counts (I,)`; and of all images
        `boxes (D, 4)`, `scores (D,)`, `labels (D,)`.
    """
    names: deque[str] = deque()
    damage: list[DataError] = []

    def given() -> Iterator[GivenImage]:
        for image in read_shard(shard, damage):
            names.append(image.name)
            yield GivenImage(image.reference, image.content)

    found = [(names.popleft(), one) for one in detector.detect(given(), on_error="skip")]
    images = [[name, one.image, one.size, one.error, one.is_cut_off] for name, one in found]
    images += [["", error.where, None, str(error), False] for error in damage]
    nothing = np.zeros(0, np.float32)
    return {
        "images": np.frombuffer(json.dumps(images).encode(), np.uint8),
        "counts": np.array([len(one.scores) for _, one in found] + [0] * len(damage), np.int64),
        "boxes": np.concatenate([nothing.reshape(0, 4), *(one.boxes for _, one in found)]),
        "scores": np.concatenate([nothing, *(one.scores for _, one in found)]),
        "labels": np.concatenate([nothing.astype(np.int32), *(one.labels for _, one in found)]),
    }


def read_detections(path: Path, class_names: Sequence[str]) -> list[tuple[str, DetectedImage]]:
    """Reads the results of a shard.

    Args:
        path: File of the shard.
        class_names: Names of the labels.

    Returns:
        Name and detections of each image.

    Raises:
        ValueError: The file is damaged.
    """
    arrays = load_arrays(path, ("images", "counts", "boxes", "scores", "labels"))
    images = json.loads(arrays["images"].tobytes())
    ends = np.cumsum(arrays["counts"])
    entries = []
    for (name, image, size, reason, is_cut_off), end, count in zip(images, ends, arrays["counts"], strict=True):
        rows = slice(end - count, end)
        labels = arrays["labels"][rows]
        entry = DetectedImage(
            image=image,
            size=None if size is None else (size[0], size[1]),
            boxes=arrays["boxes"][rows],
            scores=arrays["scores"][rows],
            labels=labels,
            names=tuple(class_names[label] for label in labels),
            error=reason,
            is_cut_off=is_cut_off,
        )
        entries.append((name, entry))
    return entries


def detections_of_images(
    folder: Path, samples: Sequence[Sample], class_names: Sequence[str]
) -> tuple[list[Detections], list[str]]:
    """Finds the detections of the images of a data set, by their paths or their places in TFRecord files.

    Args:
        folder: Folder of a job that is done.
        samples: Images of the data set.
        class_names: Class names of the data set. Detections of other classes are left out.

    Returns:
        One entry per sample, and notes about what may surprise.

    Raises:
        ValueError: The job is not done, is damaged, or has not seen an image.
    """
    job = read_job(folder)
    if "classes of the model" not in job["settings"]:
        raise ValueError(f"{folder} has shards of another command; give the --out of retinanet-detect --runner.")
    names, threshold = job["settings"]["classes of the model"], job["settings"]["score_threshold"] or 0.0
    labels = np.array([class_names.index(name) if name in class_names else -1 for name in names], np.int32)
    found: dict[str, Detections] = {}
    broken = 0
    for shard in job["shards"]:
        if not (folder / shard).exists():
            raise ValueError(f"{folder} has no {shard}: run retinanet-detect again, which continues.")
        for _, image in read_detections(folder / shard, names):
            broken += image.error is not None
            own = labels[image.labels]
            kept = own >= 0
            found[image.image] = {"boxes": image.boxes[kept], "scores": image.scores[kept], "labels": own[kept]}
    paths = [os.path.abspath(sample["image"]) for sample in samples]
    missing = [path for path in paths if path not in found]
    if missing:
        allowed = "all images of the data set"
        fix = f"run retinanet-detect on its images, with {folder} or another folder as --out"
        raise DataError(str(folder), f"has no {len(missing)} images, such as {missing[0]}", allowed, fix)
    notes = [f"{broken} images could not be read, and their boxes count as missed"] if broken else []
    if threshold > _LOW:
        notes.append(f"boxes with scores up to {threshold:g} are not there, which lowers AP: detect with {_LOW:g}")
    return [{"image_id": one["image_id"], **found[path]} for one, path in zip(samples, paths, strict=True)], notes


def number_images(paths: Sequence[Path]) -> Callable[[str], int | None]:
    """Derives image ids from names, as in COCO (`000000000139.jpg` is 139), without a table of all names.

    Args:
        paths: Files of the shards.

    Returns:
        Image name → id; always `None` if a name is not a number, or two are equal.
    """
    numbers: list[Any] = []
    for path in paths:
        images = [image for image in json.loads(load_arrays(path, ["images"])["images"].tobytes()) if image[0]]
        found = [number for image in images if (number := number_of(image[0])) is not None and number < 2**63]
        if len(found) < len(images):
            return lambda _: None
        numbers.append(np.array(found, np.int64))
    together = np.concatenate([np.zeros(0, np.int64), *numbers])
    return number_of if len(np.unique(together)) == len(together) else lambda _: None


def join_shards(
    folder: Path, shards: Sequence[str], class_names: Sequence[str], writers: Sequence[Writer],
    count: Callable[[DetectedImage], object],
) -> None:  # fmt: skip
    """Writes the results of all shards, one shard in memory at a time, and the file of errors.

    Args:
        folder: Folder of the job.
        shards: Names of the shards' files, in the order of the images.
        class_names: Names of the labels.
        writers: Get the images that could be read; the caller closes them.
        count: Called with each image.

    Raises:
        ValueError: A file is damaged.
    """

    def write(temporary: Path) -> None:
        with temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(["image", "reason"])
            for shard in shards:
                for name, found in read_detections(folder / shard, class_names):
                    count(found)
                    if found.error is not None:
                        reason = found.error.removeprefix(f"{found.image}: ")
                        table.writerow([found.image, " ".join(reason.split())])
                        continue
                    for writer in writers:
                        writer.add(name, found)

    write_whole(folder / ERRORS_NAME, write)
