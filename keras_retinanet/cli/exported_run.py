"""Detection with exported models for `retinanet-evaluate`, through the runtime of each format."""

from __future__ import annotations

import argparse
import dataclasses
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_retinanet.cli.evaluation_inputs import Evaluation
from keras_retinanet.config import ViewConfig

if TYPE_CHECKING:
    from keras_retinanet.evaluation.detection_file import DetectionFile
    from keras_retinanet.runtimes import Runtime
    from keras_retinanet.schema import Detections

_OF_SNAPSHOTS = ("image_min_side", "image_max_side", "config")
_NOTHING: Detections = {"boxes": (), "scores": (), "labels": ()}


def open_exported(path: Path, flags: argparse.Namespace) -> Runtime:
    """Opens an exported model with the thresholds of the flags; with `--tta` one that fuses the views of each image.

    Args:
        path: The model.
        flags: The parsed flags of `retinanet-evaluate`.

    Returns:
        The runtime.

    Raises:
        ValueError: It cannot be opened, a flag needs a snapshot, or a built-in threshold is stricter.
        OSError: A file cannot be read.
        ImportError: The library that runs it is not installed.
    """
    from keras_retinanet.detection.views import ViewsRuntime
    from keras_retinanet.runtimes import open_runtime
    from keras_retinanet.runtimes.open_model import with_thresholds
    from keras_retinanet.runtimes.stricter_runtime import (
        with_calibration,
        with_stored_thresholds,
        with_threshold_file,
    )
    from keras_retinanet.snapshots.threshold_file import StoredThresholds

    given = [name for name in _OF_SNAPSHOTS if getattr(flags, name) is not None]
    if given:
        raise ValueError(f"--{given[0].replace('_', '-')} needs a snapshot; {path} is an exported model.")
    if flags.thresholds and flags.score_threshold is not None:
        raise ValueError("--thresholds has the score threshold of each class: leave out --score-threshold.")
    wanted = {name: getattr(flags, name) for name in ("score_threshold", "nms_threshold", "max_detections")}
    changes = {name: value for name, value in wanted.items() if value is not None}
    is_fused = flags.tta is not None
    runtime = with_thresholds(open_runtime(path), changes, is_tiled=flags.tile is not None, is_fused=is_fused)
    if is_fused:  # thresholds are for the fused scores
        runtime = ViewsRuntime(with_calibration(runtime, flags.thresholds), ViewConfig(flags.tta))
    runtime = with_threshold_file(runtime, flags.thresholds)
    if flags.class_threshold or flags.score_threshold is not None:
        by_class = dict(flags.class_threshold)
        stored = StoredThresholds(by_class, flags.score_threshold, source="--class-threshold")
        runtime = with_stored_thresholds(runtime, stored)
    return runtime


def detect_with_runtime(
    evaluation: Evaluation, flags: argparse.Namespace, file: DetectionFile, progress: Callable[[int], object]
) -> None:
    """Detects in all images that are not done yet.

    Args:
        evaluation: With an exported model.
        flags: The parsed flags.
        file: Gets the detections.
        progress: Called with the number of new images.

    Raises:
        DataError: An image cannot be read, unless such images count as images without objects.
    """
    from keras_retinanet.detection.detector import Detector

    due = [k for k in range(len(evaluation.samples)) if not file.done[k]]
    workers = flags.workers or min(8, os.cpu_count() or 1)
    broken: set[int] = set()
    detector = Detector(
        evaluation.model, max_detections=flags.max_detections, batch_size=flags.batch_size, workers=workers
    )
    pixels = _load_pixels(evaluation, due, broken, workers, flags.batch_size)
    for position, found in zip(due, detector.detect(pixels), strict=True):
        entry: Detections = {"boxes": found.boxes, "scores": found.scores, "labels": found.labels}
        file.add([(position, _NOTHING if position in broken else entry)])
        progress(1)


def _load_pixels(
    evaluation: Evaluation, due: Sequence[int], broken: set[int], workers: int, depth: int
) -> Iterator[Any]:
    """The pixels of each image as its annotations refer to them; grey where it cannot be read."""
    import numpy as np

    from keras_retinanet.data.exif import turn
    from keras_retinanet.data.given_images import GivenImage, load_ahead
    from keras_retinanet.data.image_files import byte_range, read_bytes

    names = [evaluation.samples[k]["image"] for k in due]
    images = (GivenImage(name, read_bytes(name) if byte_range(name) else name) for name in names)
    rule = dataclasses.replace(evaluation.resize, exif="ignore")  # each sample has its own orientation
    for position, (image, loaded, error) in zip(due, load_ahead(images, workers, depth, rule), strict=True):
        if loaded is None:
            assert error is not None
            if evaluation.bad_images is None:
                raise error
            evaluation.bad_images.report(image.name, error.found)
            broken.add(position)
            yield np.full((32, 32, 3), 128, np.uint8)
            continue
        if loaded.is_cut_off:
            evaluation.cut_off.add(image.name)
        yield turn(loaded.pixels, evaluation.samples[position].get("orientation", 1))
