"""Average precision at one IoU threshold by the rule of Pascal VOC, for all metrics that are built on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_retinanet.evaluation.columns import count_detections
from keras_retinanet.evaluation.image_results import ImageResults
from keras_retinanet.evaluation.metric import OWN, EvaluationResult
from keras_retinanet.schema import Detections, Sample

Array = NDArray[Any]
Interpolation = Callable[[Array, Array], float]
"""`(recall (D,), precision (D,)) → AP`."""


def area_under_curve(recall: Array, precision: Array) -> float:
    """Computes the area under the precision-recall curve, with the highest precision at this or any higher recall.

    Args:
        recall: `(D,)` floats, ascending: share of the boxes found by the best 1 … D detections.
        precision: `(D,)` floats: share of these detections that are right.

    Returns:
        AP in 0 … 1; 0 without detections.

    Reference: continuous interpolation of VOC 2010; numerics of fizyr's `_compute_ap`.
    """
    recall = np.concatenate([[0.0], recall, [1.0]])
    precision = np.concatenate([[0.0], precision, [0.0]])
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(recall) * envelope[1:]))


def mean_of_eleven_points(recall: Array, precision: Array) -> float:
    """Computes the mean of the highest precision at recall 0, 0.1 … 1 or more.

    Args:
        recall: `(D,)` floats, ascending.
        precision: `(D,)` floats.

    Returns:
        AP in 0 … 1; 0 without detections.

    Reference: the 11 points of VOC 2007.
    """
    points = np.arange(11) / 10  # not 0.1 * k: a recall of 3/10 reaches the point 0.3
    return float(np.mean([precision[recall >= point].max(initial=0) for point in points]))


def class_precisions(results: ImageResults, interpolation: Interpolation) -> dict[float, Array]:
    """The AP of each class.

    Args:
        results: The detections of all images.
        interpolation: From the curve to AP.

    Returns:
        By IoU threshold `(K,)` float64, nan for a class without boxes.
    """
    num_boxes, precisions = results.num_boxes, {}
    for threshold, parts in results.classes.items():
        ap = np.full(len(num_boxes), np.nan)
        for k in np.flatnonzero(num_boxes).tolist():
            hits = np.cumsum(parts[k].verdict)
            ap[k] = interpolation(hits / num_boxes[k], hits / np.arange(1, len(hits) + 1))
        precisions[threshold] = ap
    return precisions


def mean_precisions(ap: Mapping[float, Array], num_boxes: Array) -> dict[str, float]:
    """The means over classes of AP at one or several IoU thresholds.

    Args:
        ap: `(K,)` AP of each class by IoU threshold.
        num_boxes: `(K,)` boxes to find.

    Returns:
        `"mAP"` and `"weighted_mAP"`, means over the thresholds, and `"mAP@0.30"` and so on where there are several; -1
        without boxes.
    """
    present = num_boxes > 0
    mean = np.mean(list(ap.values()), axis=0)
    weighted = float(np.average(mean[present], weights=num_boxes[present])) if present.any() else -1.0
    stats = {"mAP": _mean(mean[present]), "weighted_mAP": weighted}
    if len(ap) > 1:
        stats |= {f"mAP@{threshold:.2f}": _mean(values[present]) for threshold, values in ap.items()}
    return stats


def summarize(
    samples: Sequence[Sample],
    detections: Sequence[Detections],
    class_names: Sequence[str],
    ap: Mapping[float, Array],
    num_boxes: Array,
    comparable_with: str = OWN,
) -> EvaluationResult:
    """The means over classes of AP at one or several IoU thresholds.

    Args:
        samples: Annotated images.
        detections: Their detections.
        class_names: Names of the labels `0 … K-1`.
        ap: `(K,)` AP of each class by IoU threshold.
        num_boxes: `(K,)` boxes to find.
        comparable_with: Whose published numbers are defined in the same way. Defaults to none.

    Returns:
        `stats` has the names of `mean_precisions`; `per_class` has `"AP"`, the mean over the thresholds.
    """
    captions = {
        "mAP": "mean AP of the classes that have boxes",
        "weighted_mAP": "mean AP weighted by the number of boxes",
    } | {f"mAP@{threshold:.2f}": f"mAP at IoU {threshold:.2f}" for threshold in ap}
    stats = mean_precisions(ap, num_boxes)
    return EvaluationResult(
        stats=stats,
        captions={name: captions[name] for name in stats},
        class_names=tuple(class_names),
        per_class={"AP": np.mean(list(ap.values()), axis=0)},
        num_boxes=num_boxes,
        num_images=len(samples),
        num_detections=count_detections(detections),
        comparable_with=dict.fromkeys(("mAP", "weighted_mAP"), comparable_with),
    )


def _mean(values: Array) -> float:
    return float(values.mean()) if len(values) else -1.0
