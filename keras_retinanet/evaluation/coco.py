"""The 12 numbers of the COCO challenge, and the AP of each class.

Reference: https://cocodataset.org/#detection-eval; numerics of pycocotools 2.0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_retinanet.evaluation.coco_engine import IOU_THRESHOLDS, MAX_DETECTIONS, Curves, Engine, compute_curves
from keras_retinanet.evaluation.columns import Truth, count_detections, detection_counts, gather_truth
from keras_retinanet.evaluation.detections import pair_detections
from keras_retinanet.evaluation.metric import OWN, EvaluationResult, MetricSettings, count_boxes
from keras_retinanet.schema import Detections, Sample

Array = NDArray[Any]

STATS = {
    "AP": "mean AP of IoU 0.50 … 0.95",
    "AP50": "AP at IoU 0.50",
    "AP75": "AP at IoU 0.75",
    "APs": "AP of small objects, below 32² px",
    "APm": "AP of medium objects",
    "APl": "AP of large objects, above 96² px",
    "AR1": "recall with 1 detection per image",
    "AR10": "recall with 10 detections per image",
    "AR100": "recall with 100 detections per image",
    "ARs": "recall of small objects",
    "ARm": "recall of medium objects",
    "ARl": "recall of large objects",
}
"""The 12 numbers in COCO's order, with their meaning."""
LEADERBOARD = "COCO leaderboard"
_SIZES = {"s": 1, "m": 2, "l": 3}


def evaluate(
    samples: Sequence[Sample],
    detections: Sequence[Detections],
    class_names: Sequence[str],
    settings: MetricSettings | None = None,
    *,
    engine: Engine | None = None,
) -> EvaluationResult:
    """Compares detections with annotations as the COCO challenge does.

    Boxes marked `ignore` are crowd regions: detections inside them count neither as right nor as wrong. Objects are
    small, medium or large by `sample["areas"]`, or by the area of their box if a sample has no areas. Images are
    ordered by id, as in pycocotools, so that ties in score give the same numbers.

    Args:
        samples: Annotated images.
        detections: Detections with boxes in pixels of the image files; images without any may be left out.
        class_names: Names of the labels `0 … K-1`.
        settings: Other IoU thresholds, score threshold or limit on detections. Defaults to COCO's.
        engine: Package that computes them. Defaults to the fastest that is installed.

    Returns:
        `stats` has the 12 numbers by the names of `STATS`, -1 where no annotated box contributes to a number;
        `per_class` has `"AP"` and `"AP50"`. Other IoU thresholds have one AP each in place of `AP50` and
        `AP75`. Where images have more boxes of a class than the 100 detections that COCO counts, `"AP maxDets=N"` and
        `"AP50 maxDets=N"` are added, N being the detector's limit.

    Raises:
        ValueError: Detections of an unknown image, or a label outside `0 … K-1`.
    """
    settings = settings or MetricSettings()
    pairs = pair_detections(samples, detections, len(class_names)).sorted_by_id()
    truth = pairs.truth()
    thresholds, limit = settings.iou_thresholds or IOU_THRESHOLDS, settings.max_detections or MAX_DETECTIONS[-1]
    limits = [*(fewer for fewer in MAX_DETECTIONS[:-1] if fewer < limit), limit]
    larger = _larger_limit(truth, detections, settings)
    curves = compute_curves(
        pairs,
        truth,
        len(class_names),
        iou_thresholds=thresholds,
        max_detections=[*limits, larger] if larger else limits,
        score_threshold=settings.score_threshold,
        engine=engine,
    )
    figures = _summarize(curves, thresholds, limits)
    is_standard = thresholds == IOU_THRESHOLDS and limit == MAX_DETECTIONS[-1]
    comparable = dict.fromkeys(figures, LEADERBOARD if is_standard else OWN)
    if larger:
        figures |= _without_limit(curves, thresholds, larger)
    precision = curves.precision[:, :, :, 0, len(limits) - 1]
    return EvaluationResult(
        stats={name: value for name, (value, _) in figures.items()},
        captions={name: caption for name, (_, caption) in figures.items()},
        class_names=tuple(class_names),
        per_class={"AP": _class_means(precision), f"AP{100 * thresholds[0]:g}": _class_means(precision[:1])},
        num_boxes=count_boxes(truth.labels, truth.ignore, len(class_names)),
        num_images=len(pairs),
        num_detections=count_detections(detections),
        comparable_with=comparable,
        notes=_notes(truth, limit, larger, settings.detector_limit),
    )


def choose_monitor(samples: Sequence[Sample], settings: MetricSettings) -> str:
    """The number that ranks models: AP, or AP up to the detector's limit where COCO's limit leaves boxes out.

    Args:
        samples: The annotated images.
        settings: With the detector's limit.

    Returns:
        `"AP"` or `"AP maxDets=N"`.
    """
    larger = _larger_limit(gather_truth(samples), (), settings)
    return f"AP maxDets={larger}" if larger else "AP"


def _larger_limit(truth: Truth, detections: Sequence[Detections], settings: MetricSettings) -> int:
    """The detector's limit where images have more boxes of a class than detections counted; 0 elsewhere."""
    limit = settings.max_detections or MAX_DETECTIONS[-1]
    largest = settings.detector_limit or int(detection_counts(detections).max(initial=0))
    return largest if largest > limit and truth.most_of_a_class().max(initial=0) > limit else 0


def _notes(truth: Truth, limit: int, larger: int, detector_limit: int | None) -> tuple[str, ...]:
    """What the limits on detections leave out."""
    notes = []
    by_class = truth.most_of_a_class()
    if crowded := int((by_class > limit).sum()):
        shown = f"AP maxDets={larger} counts {larger}" if larger else "--max-detections counts more"
        notes.append(
            f"{crowded} images have more boxes of a class (up to {by_class.max()}) than the {limit} "
            f"detections that AP counts; {shown}"
        )
    most = int(np.bincount(truth.image()[~truth.ignore]).max(initial=0))
    if detector_limit is not None and most > detector_limit:
        notes.append(
            f"an image has {most} boxes, and the detector returns at most {detector_limit}: raise --max-detections"
        )
    return tuple(notes)


def _summarize(curves: Curves, thresholds: tuple[float, ...], limits: Sequence[int]) -> dict[str, tuple[float, str]]:
    """COCO's numbers by name: the value, and what it means."""
    last = len(limits) - 1
    precision, recall = curves.precision[..., last], curves.recall[..., last]
    is_standard = thresholds == IOU_THRESHOLDS
    means = "0.50 … 0.95" if is_standard else ", ".join(f"{value:.2f}" for value in thresholds)
    figures = {"AP": (_mean(precision[:, :, :, 0]), f"mean AP of IoU {means}")}
    for index in (0, 5) if is_standard else range(len(thresholds)):
        value = thresholds[index]
        figures[f"AP{100 * value:g}"] = (_mean(precision[index, :, :, 0]), f"AP at IoU {value:.2f}")
    figures |= {f"AP{size}": (_mean(precision[:, :, :, k]), STATS[f"AP{size}"]) for size, k in _SIZES.items()}
    for k, limit in enumerate(limits):
        caption = f"recall with {limit} detection{'s' * (limit > 1)} per image"
        figures[f"AR{limit}"] = (_mean(curves.recall[:, :, 0, k]), caption)
    return figures | {f"AR{size}": (_mean(recall[:, :, k]), STATS[f"AR{size}"]) for size, k in _SIZES.items()}


def _without_limit(curves: Curves, thresholds: tuple[float, ...], larger: int) -> dict[str, tuple[float, str]]:
    """AP, and that at the lowest IoU, with the detector's limit in place of COCO's."""
    precision, lowest = curves.precision[:, :, :, 0, -1], f"AP{100 * thresholds[0]:g}"
    caption = f"with {larger} detections per image"
    return {
        f"AP maxDets={larger}": (_mean(precision), f"AP {caption}"),
        f"{lowest} maxDets={larger}": (_mean(precision[0]), f"{lowest} {caption}"),
    }


def _mean(values: Array) -> float:
    """Mean over what has boxes, as pycocotools takes it; -1 where nothing has."""
    present = values[values > -1]
    return float(np.mean(present)) if len(present) else -1.0


def _class_means(precision: Array) -> Array:
    """`(K,)` mean of `(T, R, K)` over thresholds and recalls; nan for classes without a box."""
    means: Array = precision.mean(axis=(0, 1))
    return np.where(precision[0, 0] > -1, means, np.nan)
