"""Localisation-recall-precision error: one number for misses, false positives and loose boxes, at a score threshold.

Reference: Oksuz et al., "One Metric to Measure them All: Localisation Recall Precision (LRP) for Evaluating Visual
Detection Tasks", https://arxiv.org/abs/2011.10772, equations 3 and 8.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_retinanet.evaluation.columns import count_detections
from keras_retinanet.evaluation.image_results import ImageResults, Numbers, match_classes
from keras_retinanet.evaluation.matching import Matches, cuts, match_by_coco
from keras_retinanet.evaluation.metric import OWN, EvaluationResult, MetricSettings
from keras_retinanet.schema import Detections, Sample

Array = NDArray[Any]
STATS = {
    "oLRP": "mean LRP error at each class's best score threshold",
    "oLRP_box": "there: mean 1 - IoU of the right detections",
    "oLRP_fp": "there: share of the detections that is wrong",
    "oLRP_fn": "there: share of the boxes that is missed",
    "LRP": "mean LRP error with all detections",
}
"""The numbers over all classes, with their meaning."""
_PAPER = "LRP paper"


def evaluate(
    samples: Sequence[Sample],
    detections: Sequence[Detections],
    class_names: Sequence[str],
    settings: MetricSettings | None = None,
) -> EvaluationResult:
    """Computes the LRP error of each class, with all detections and at its best score threshold.

    LRP = (Σ (1 - IoU) / (1 - τ) over right detections + wrong detections + missed boxes) / (all three counts), with τ
    the IoU from which a detection is right, 0.5. Detections are matched by COCO's rule. 0 is perfect, 1 the worst.

    Args:
        samples: Annotated images.
        detections: Detections with boxes in pixels of the image files; images without any may be left out.
        class_names: Names of the labels `0 … K-1`.
        settings: Other IoU thresholds, over which the mean is taken; score threshold; limit on detections.

    Returns:
        `stats` has the names of `STATS`, means over the classes that have boxes; `per_class` the same.

    Raises:
        ValueError: Detections of an unknown image, or a label outside `0 … K-1`.
    """
    settings = settings or MetricSettings()
    results = match_classes(samples, detections, len(class_names), match_by_coco, settings)
    num_boxes, table = results.num_boxes, _tabulate(results)
    return EvaluationResult(
        stats=_average(table, num_boxes),
        captions=STATS,
        class_names=tuple(class_names),
        per_class=dict(zip(STATS, table.T, strict=True)),
        num_boxes=num_boxes,
        num_images=len(samples),
        num_detections=count_detections(detections),
        comparable_with=dict.fromkeys(STATS, OWN if settings.are_changed else _PAPER),
    )


def match_once(
    samples: Sequence[Sample],
    detections: Sequence[Detections],
    class_names: Sequence[str],
    settings: MetricSettings | None = None,
) -> Numbers:
    """Matches the detections once, for numbers of resampled sets of images; see `Metric.match_once`."""
    results = match_classes(samples, detections, len(class_names), match_by_coco, settings or MetricSettings())

    def numbers(counts: Array) -> dict[str, float]:
        own = results.resample(counts)
        return _average(_tabulate(own), own.num_boxes)

    return numbers


def _tabulate(results: ImageResults) -> Array:
    """`(K, 5)` numbers of each class, means over the IoU thresholds."""
    tables = [
        [_errors(part, boxes, threshold) for part, boxes in zip(parts, results.num_boxes, strict=True)]
        for threshold, parts in results.classes.items()
    ]
    return _mean(np.array(tables, np.float64).reshape(len(tables), -1, len(STATS)))


def _average(table: Array, num_boxes: Array) -> dict[str, float]:
    return dict(zip(STATS, np.where(num_boxes.any(), _mean(table), -1).tolist(), strict=True))


def _errors(matches: Matches, num_boxes: int, threshold: float) -> tuple[float, ...]:
    """Best LRP error of a class, its three parts there, and the error with all detections; nan without boxes."""
    if not num_boxes:
        return (np.nan,) * len(STATS)
    kept = cuts(matches.score)  # detections above each score threshold, ascending
    hits = np.concatenate([[0], np.cumsum(matches.verdict)])[kept]
    looseness = np.concatenate([[0], np.cumsum(matches.verdict * (1 - matches.overlap))])[kept]
    wrong, missed = kept - hits, num_boxes - hits
    lrp = (looseness / (1 - threshold) + wrong + missed) / (hits + wrong + missed)
    best = int(lrp.argmin())
    box = looseness[best] / hits[best] if hits[best] else np.nan
    fp = wrong[best] / kept[best] if kept[best] else np.nan
    return lrp[best], box, fp, missed[best] / num_boxes, lrp[-1]


def _mean(table: Array) -> Array:
    """Mean over the first axis of what is a number; nan where nothing is."""
    count = np.sum(~np.isnan(table), axis=0)
    return np.where(count > 0, np.nansum(table, axis=0) / np.maximum(count, 1), np.nan)
