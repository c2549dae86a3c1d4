"""Counting: the number of detections in each image against the number of objects."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_retinanet.evaluation.columns import count_detections
from keras_retinanet.evaluation.detections import pair_detections
from keras_retinanet.evaluation.image_results import BoxLabels, Numbers, list_boxes
from keras_retinanet.evaluation.matching import IGNORED, match_by_coco, match_images
from keras_retinanet.evaluation.metric import EvaluationResult, MetricSettings
from keras_retinanet.schema import Detections, Sample

Array = NDArray[Any]
SCORE_THRESHOLD = 0.3
"""Detections above it are counted: what `retinanet-detect` shows."""
STATS = {
    "MAE": "mean absolute error of the count of an image",
    "RMSE": "root mean squared error of the count of an image",
    "relative": "sum of absolute errors over the number of boxes",
    "exact": "share of images with the right count of every class",
}
"""The numbers over all classes, with their meaning."""


def evaluate(
    samples: Sequence[Sample],
    detections: Sequence[Detections],
    class_names: Sequence[str],
    settings: MetricSettings | None = None,
) -> EvaluationResult:
    """Compares counts per image. Where the detections are does not matter, but those on ignore regions do not count.

    Args:
        samples: Annotated images.
        detections: Detections with boxes in pixels of the image files; images without any may be left out.
        class_names: Names of the labels `0 … K-1`.
        settings: Another score threshold than 0.3; a limit on detections; the IoU from which a detection is on a box.

    Returns:
        `stats` has the names of `STATS`: errors of the count over all classes; `per_class` has `"MAE"` and `"exact"`.
        A note says whether images have too many or too few detections.

    Raises:
        ValueError: Detections of an unknown image, or a label outside `0 … K-1`.
    """
    settings = settings or MetricSettings()
    boxes = list_boxes(samples, len(class_names))
    num_boxes, by_class = boxes.by_class(), _subtract_counts(samples, detections, boxes, settings)
    has_boxes, num_images = num_boxes > 0, max(len(samples), 1)
    mae = np.where(has_boxes, np.abs(by_class).sum(axis=0) / num_images, np.nan)
    exact = np.where(has_boxes, (by_class == 0).sum(axis=0) / num_images, np.nan)
    return EvaluationResult(
        stats=_summarize(by_class, int(num_boxes.sum())),
        captions=STATS,
        class_names=tuple(class_names),
        per_class={"MAE": mae, "exact": exact},
        num_boxes=num_boxes,
        num_images=len(samples),
        num_detections=count_detections(detections),
        notes=_notes(by_class.sum(axis=1), _least_score(settings)),
    )


def match_once(
    samples: Sequence[Sample],
    detections: Sequence[Detections],
    class_names: Sequence[str],
    settings: MetricSettings | None = None,
) -> Numbers:
    """Counts the detections once, for numbers of resampled sets of images; see `Metric.match_once`."""
    boxes = list_boxes(samples, len(class_names))
    by_class = _subtract_counts(samples, detections, boxes, settings or MetricSettings())
    return lambda counts: _summarize(np.repeat(by_class, counts, axis=0), int(boxes.by_class(counts).sum()))


def _subtract_counts(
    samples: Sequence[Sample], detections: Sequence[Detections], boxes: BoxLabels, settings: MetricSettings
) -> Array:
    """`(I, K)` found minus true counts."""
    pairs = pair_detections(samples, detections, boxes.num_classes)
    counting = dataclasses.replace(settings, score_threshold=_least_score(settings))
    matches = match_images(pairs, match_by_coco, min(settings.iou_thresholds or (0.5,)), counting)
    by_class = np.zeros((len(pairs), boxes.num_classes), np.int64)
    counted = matches.verdict != IGNORED
    np.add.at(by_class, (matches.image[counted], matches.label[counted]), 1)
    np.subtract.at(by_class, (boxes.image, boxes.label), 1)
    return by_class


def _least_score(settings: MetricSettings) -> float:
    return SCORE_THRESHOLD if settings.score_threshold is None else settings.score_threshold


def _summarize(by_class: Array, num_boxes: int) -> dict[str, float]:
    """The numbers of `STATS` from `(I, K)` found minus true counts."""
    if not num_boxes:
        return dict.fromkeys(STATS, -1.0)
    error = np.abs(by_class.sum(axis=1))
    mean, squared = float(error.mean()), float(np.sqrt(np.mean(error.astype(np.float64) ** 2)))
    exact = float((by_class == 0).all(axis=1).mean())
    return dict(zip(STATS, (mean, squared, float(error.sum() / num_boxes), exact), strict=True))


def _notes(error: Array, score: float) -> tuple[str, ...]:
    if not len(error):
        return ()
    many, few = int((error > 0).sum()), int((error < 0).sum())
    return (f"counted are detections that score above {score:g}: too many in {many} images, too few in {few}",)
