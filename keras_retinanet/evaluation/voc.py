"""The mean average precision of the Pascal VOC challenges: 2007 (11 points) and 2010 to 2012 (area under the curve).

Reference: Everingham et al., "The Pascal Visual Object Classes Challenge: A Retrospective", §3.4; VOCdevkit.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from keras_retinanet.evaluation.average_precision import (
    Interpolation,
    area_under_curve,
    class_precisions,
    mean_of_eleven_points,
    mean_precisions,
    summarize,
)
from keras_retinanet.evaluation.image_results import Numbers, match_classes
from keras_retinanet.evaluation.matching import match_by_voc
from keras_retinanet.evaluation.metric import OWN, EvaluationResult, MetricSettings
from keras_retinanet.schema import Detections, Sample

Array = NDArray[Any]


def evaluate(
    samples: Sequence[Sample],
    detections: Sequence[Detections],
    class_names: Sequence[str],
    settings: MetricSettings | None = None,
    *,
    interpolation: Interpolation,
    year: str,
) -> EvaluationResult:
    """Computes the mean over classes of the average precision at IoU 0.5.

    Each detection, best first, is compared with the box of its class that it overlaps most: it is right if the IoU is
    at or above the threshold and no earlier detection matched the box, otherwise wrong. A detection that matches an
    `ignore` box ("difficult") is neither. All detections count.

    Args:
        samples: Annotated images.
        detections: Detections with boxes in pixels of the image files; images without any may be left out.
        class_names: Names of the labels `0 … K-1`.
        settings: Other IoU thresholds, a score threshold, a limit on detections. Defaults to VOC's definition.
        interpolation: From the precision-recall curve to AP.
        year: Whose numbers these are comparable with.

    Returns:
        See `average_precision.summarize`.

    Raises:
        ValueError: Detections of an unknown image, or a label outside `0 … K-1`.
    """
    settings = settings or MetricSettings()
    results = match_classes(samples, detections, len(class_names), match_by_voc, settings)
    num_boxes, ap = results.num_boxes, class_precisions(results, interpolation)
    is_changed = settings.iou_thresholds not in (None, (0.5,)) or settings.max_detections is not None
    return summarize(samples, detections, class_names, ap, num_boxes, OWN if is_changed else f"Pascal VOC {year}")


def match_once(
    samples: Sequence[Sample],
    detections: Sequence[Detections],
    class_names: Sequence[str],
    settings: MetricSettings | None = None,
    *,
    interpolation: Interpolation,
) -> Numbers:
    """Matches the detections once, for numbers of resampled sets of images; see `Metric.match_once`.

    `interpolation` turns a precision-recall curve into AP.
    """
    results = match_classes(samples, detections, len(class_names), match_by_voc, settings or MetricSettings())

    def numbers(counts: Array) -> dict[str, float]:
        own = results.resample(counts)
        return mean_precisions(class_precisions(own, interpolation), own.num_boxes)

    return numbers


evaluate_2007 = functools.partial(evaluate, interpolation=mean_of_eleven_points, year="2007")
"""Mean AP as in VOC 2007."""
evaluate_2010 = functools.partial(evaluate, interpolation=area_under_curve, year="2010-2012")
"""Mean AP as in VOC 2010 to 2012."""
match_once_2007 = functools.partial(match_once, interpolation=mean_of_eleven_points)
match_once_2010 = functools.partial(match_once, interpolation=area_under_curve)
