"""The mean average precision of fizyr/keras-retinanet: VOC 2010's, of 100 detections that score above 0.05."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from keras_retinanet.evaluation import voc
from keras_retinanet.evaluation.image_results import Numbers
from keras_retinanet.evaluation.metric import OWN, EvaluationResult, MetricSettings
from keras_retinanet.schema import Detections, Sample

SCORE_THRESHOLD, MAX_DETECTIONS = 0.05, 100
"""fizyr's defaults."""


def evaluate(
    samples: Sequence[Sample],
    detections: Sequence[Detections],
    class_names: Sequence[str],
    settings: MetricSettings | None = None,
) -> EvaluationResult:
    """Computes the mean over classes of the average precision at IoU 0.5, as `retinanet-evaluate` of fizyr 1.0.0.

    Args:
        samples: Annotated images.
        detections: Detections with boxes in pixels of the image files; images without any may be left out.
        class_names: Names of the labels `0 … K-1`.
        settings: Other IoU thresholds, score threshold or limit on detections. Defaults to fizyr's.

    Returns:
        See `average_precision.summarize`. `mAP` is the mean over classes that have boxes; fizyr counts others as 0.
        Where images have more boxes than detections counted, `"mAP maxDets=N"` is added, N being the detector's limit.

    Raises:
        ValueError: Detections of an unknown image, or a label outside `0 … K-1`.
    """
    settings = settings or MetricSettings()
    own = _complete(settings)
    score, limit = own.score_threshold, own.max_detections or MAX_DETECTIONS
    result = voc.evaluate_2010(samples, detections, class_names, own)
    is_standard = (score, limit) == (SCORE_THRESHOLD, MAX_DETECTIONS) and settings.iou_thresholds in (None, (0.5,))
    comparable = dict.fromkeys(result.comparable_with, OWN if not is_standard else "fizyr/keras-retinanet")
    result = dataclasses.replace(result, comparable_with=comparable)
    most, larger = _most_boxes(samples), _larger_limit(samples, detections, settings)
    if most <= limit:
        return result
    shown = f"mAP maxDets={larger} counts {larger}" if larger else "--max-detections counts more"
    note = f"an image has {most} boxes, and mAP counts {limit} detections of an image; {shown}"
    if larger:
        name = f"mAP maxDets={larger}"
        wide = voc.evaluate_2010(samples, detections, class_names, dataclasses.replace(own, max_detections=larger))
        result.stats[name] = wide.stats["mAP"]
        result.captions[name] = f"mAP with {larger} detections per image"
    return dataclasses.replace(result, notes=(note,))


def match_once(
    samples: Sequence[Sample],
    detections: Sequence[Detections],
    class_names: Sequence[str],
    settings: MetricSettings | None = None,
) -> Numbers:
    """Matches the detections once, for numbers of resampled sets of images; see `Metric.match_once`.

    The numbers at the detector's limit are left out.
    """
    return voc.match_once_2010(samples, detections, class_names, _complete(settings or MetricSettings()))


def choose_monitor(samples: Sequence[Sample], settings: MetricSettings) -> str:
    """The number that ranks models: mAP, or mAP up to the detector's limit where fizyr's limit leaves boxes out.

    Args:
        samples: The annotated images.
        settings: With the detector's limit.

    Returns:
        `"mAP"` or `"mAP maxDets=N"`.
    """
    larger = _larger_limit(samples, (), settings)
    return f"mAP maxDets={larger}" if larger else "mAP"


def _complete(settings: MetricSettings) -> MetricSettings:
    """The settings with fizyr's limits where they have none."""
    score = SCORE_THRESHOLD if settings.score_threshold is None else settings.score_threshold
    limit = settings.max_detections or MAX_DETECTIONS
    return dataclasses.replace(settings, score_threshold=score, max_detections=limit)


def _most_boxes(samples: Sequence[Sample]) -> int:
    return max((int(np.sum(~np.asarray(sample["ignore"], bool))) for sample in samples), default=0)


def _larger_limit(samples: Sequence[Sample], detections: Sequence[Detections], settings: MetricSettings) -> int:
    """The detector's limit where images have more boxes than detections counted; 0 elsewhere."""
    limit = settings.max_detections or MAX_DETECTIONS
    largest = settings.detector_limit or max((len(found["scores"]) for found in detections), default=0)
    return largest if largest > limit and _most_boxes(samples) > limit else 0
