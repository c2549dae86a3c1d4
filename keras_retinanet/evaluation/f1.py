"""F1, precision and recall at one score threshold: the one for all classes that gives the best F1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from keras_retinanet.evaluation.columns import count_detections
from keras_retinanet.evaluation.detections import pair_detections
from keras_retinanet.evaluation.image_results import (
    BoxLabels,
    ImageResults,
    Numbers,
    gather_results,
    list_boxes,
    match_at_thresholds,
)
from keras_retinanet.evaluation.matching import Matches, cuts, match_by_coco
from keras_retinanet.evaluation.metric import EvaluationResult, MetricSettings
from keras_retinanet.schema import Detections, Sample

Array = NDArray[Any]
STATS = {
    "F1": "best F1 of all boxes together at one score threshold",
    "precision": "there: share of the detections that is right",
    "recall": "there: share of the boxes that is found",
    "mean_F1": "mean F1 of the classes, each at its own best threshold",
}
"""The numbers over all classes, with their meaning."""


class BestF1(NamedTuple):
    """F1 at the score threshold that makes it highest.

    Attributes:
        f1: Harmonic mean of precision and recall; nan without boxes.
        precision: nan without detections or boxes.
        recall: nan without boxes.
        score: The lowest score that counts; nan where no threshold gives a right detection.
    """

    f1: float
    precision: float
    recall: float
    score: float


def evaluate(
    samples: Sequence[Sample],
    detections: Sequence[Detections],
    class_names: Sequence[str],
    settings: MetricSettings | None = None,
) -> EvaluationResult:
    """Computes the best F1, with its precision and recall. Detections are matched by COCO's rule at IoU 0.5.

    Args:
        samples: Annotated images.
        detections: Detections with boxes in pixels of the image files; images without any may be left out.
        class_names: Names of the labels `0 … K-1`.
        settings: Other IoU thresholds, over which the mean is taken; lowest score threshold; limit on detections.

    Returns:
        `stats` has the names of `STATS`; `per_class` `"F1"`, `"precision"` and `"recall"` at the class's own best
        threshold. A note says at which score F1 is best.

    Raises:
        ValueError: Detections of an unknown image, or a label outside `0 … K-1`.
    """
    settings = settings or MetricSettings()
    apart, together = _match(samples, detections, len(class_names), settings)
    table, score = _tabulate(apart), float(_tabulate(together)[0, 3])
    return EvaluationResult(
        stats=_summarize(apart, together),
        captions=STATS,
        class_names=tuple(class_names),
        per_class=dict(zip(("F1", "precision", "recall"), table.T, strict=False)),
        num_boxes=apart.num_boxes,
        num_images=len(samples),
        num_detections=count_detections(detections),
        notes=(f"F1 is best where detections of score {score:.3f} and above count",) if score == score else (),
    )


def match_once(
    samples: Sequence[Sample],
    detections: Sequence[Detections],
    class_names: Sequence[str],
    settings: MetricSettings | None = None,
) -> Numbers:
    """Matches the detections once, for numbers of resampled sets of images; see `Metric.match_once`."""
    results = _match(samples, detections, len(class_names), settings or MetricSettings())
    return lambda counts: _summarize(*(own.resample(counts) for own in results))


def _match(
    samples: Sequence[Sample], detections: Sequence[Detections], num_classes: int, settings: MetricSettings
) -> tuple[ImageResults, ImageResults]:
    """The results of the classes, and of all together as if they were one."""
    pairs, boxes = pair_detections(samples, detections, num_classes), list_boxes(samples, num_classes)
    matches = match_at_thresholds(pairs, match_by_coco, settings)
    as_one = {threshold: own._replace(label=np.zeros_like(own.label)) for threshold, own in matches.items()}
    return (
        gather_results(matches, boxes),
        gather_results(as_one, BoxLabels(boxes.image, np.zeros_like(boxes.label), 1)),
    )


def _tabulate(results: ImageResults) -> Array:
    """`(K, 4)` `BestF1` of each class, means over the IoU thresholds."""
    tables = [
        [best_f1(part, int(boxes)) for part, boxes in zip(parts, results.num_boxes, strict=True)]
        for parts in results.classes.values()
    ]
    table: Array = np.array(tables, np.float64).reshape(len(tables), -1, 4).mean(axis=0)
    return table


def _summarize(apart: ImageResults, together: ImageResults) -> dict[str, float]:
    """The numbers of `STATS`."""
    present = apart.num_boxes > 0
    if not present.any():
        return dict.fromkeys(STATS, -1.0)
    mean = float(_tabulate(apart)[present, 0].mean())
    return dict(zip(STATS, (*_tabulate(together)[0, :3].tolist(), mean), strict=True))


def best_f1(matches: Matches, num_boxes: int) -> BestF1:
    """F1 at the score threshold that makes it highest; of several, the highest threshold.

    Args:
        matches: Detections that are right or wrong, best first.
        num_boxes: Boxes to find.

    Returns:
        F1, and where.
    """
    if not num_boxes:
        return BestF1(np.nan, np.nan, np.nan, np.nan)
    kept = cuts(matches.score)
    hits = np.concatenate([[0], np.cumsum(matches.verdict)])[kept]
    f1 = 2 * hits / (kept + num_boxes)  # 2 TP / (2 TP + FP + FN)
    best = int(f1.argmax())
    if not hits[best]:
        return BestF1(0.0, np.nan if not kept[-1] else 0.0, 0.0, np.nan)
    precision, recall = hits[best] / kept[best], hits[best] / num_boxes
    return BestF1(float(f1[best]), float(precision), float(recall), float(matches.score[kept[best] - 1]))
