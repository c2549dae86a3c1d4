"""The data set of a snapshot's run: images for int8, and annotated ones on which an artefact is measured."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from keras_retinanet.config import DataConfig
from keras_retinanet.data.exif import UPRIGHT, turn
from keras_retinanet.data.image_files import read_bytes
from keras_retinanet.data.open_dataset import open_dataset
from keras_retinanet.evaluation.coco import evaluate
from keras_retinanet.export.sample_images import decode_image
from keras_retinanet.runtimes import Runtime
from keras_retinanet.schema import Sample
from keras_retinanet.snapshots.run_folder import read_config

CONFIG = "config.yaml"


def find_run_data(snapshot: Path) -> DataConfig | None:
    """The data settings of the run that a snapshot lies in.

    Args:
        snapshot: Path of a snapshot.

    Returns:
        The settings; `None` if there is no `config.yaml` next to it.
    """
    config = snapshot.parent / CONFIG
    return read_config(config).data if config.is_file() else None


def training_files(data: DataConfig, limit: int) -> tuple[str, ...]:
    """Some of the training images.

    Args:
        data: The data settings of a run.
        limit: Maximum number of images, evenly spread over the data set.

    Returns:
        Their names, which `data.image_files.read_bytes` reads.

    Raises:
        ValueError: The data set cannot be read; it may have been moved.
    """
    return tuple(sample["image"] for sample in _spread(list(open_dataset(data, "train")), limit))


class ValidationData:
    """Validation images with annotations, on which runtimes are compared.

    Args:
        data: The data settings of a run.
        limit: Maximum number of images, evenly spread over the data set.

    Raises:
        ValueError: The data set cannot be read; it may have been moved.
    """

    def __init__(self, data: DataConfig, limit: int) -> None:
        dataset = open_dataset(data, "val")
        self.class_names = dataset.class_names
        self.samples = _spread(list(dataset), limit)

    def average_precision(self, runtime: Runtime) -> float:
        """COCO's AP.

        Args:
            runtime: An opened model with the classes of the data set.

        Returns:
            In 0–1.
        """
        as_stored, found = dataclasses.replace(runtime.resize, exif="ignore"), []
        for sample in self.samples:
            stored = decode_image(read_bytes(sample["image"]), sample["image"], as_stored)
            pixels = turn(stored, sample.get("orientation", UPRIGHT))
            (detections,) = runtime.detect([pixels])
            found.append(detections | {"image_id": sample["image_id"]})
        return float(evaluate(self.samples, found, self.class_names).stats["AP"])


def _spread(samples: Sequence[Sample], limit: int) -> list[Sample]:
    count = min(limit, len(samples))
    return [samples[index * len(samples) // count] for index in range(count)]
