"""Which of several detectors is better on the same images by any metric: differences of all numbers with intervals.

COCO's metric has its own comparison, which also tells classes and images apart: `analysis.comparison`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_retinanet.analysis.bootstrap import draw_counts
from keras_retinanet.analysis.comparison import REPLICATES, Difference, difference_of
from keras_retinanet.analysis.comparison_report import side_by_side
from keras_retinanet.evaluation.metric import EvaluationResult, Metric, MetricSettings
from keras_retinanet.evaluation.report import align_columns
from keras_retinanet.schema import Detections, Sample

Array = NDArray[Any]
Differences = tuple[dict[str, Difference], ...]
"""For each model but the first, the difference of each number from the first model's."""


def compare_numbers(
    metric: Metric,
    samples: Sequence[Sample],
    detections: Sequence[Sequence[Detections]],
    class_names: Sequence[str],
    settings: MetricSettings | None = None,
    *,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Differences:
    """Compares the detections of several models by the numbers of a metric, on the same resampled sets of images.

    Args:
        metric: Any.
        samples: Annotated images.
        detections: The detections of each model.
        class_names: Names of the labels `0 … K-1`.
        settings: Changes of the metric's definition. Defaults to none.
        replicates: int, `R`.
        seed: Seed of the draw.

    Returns:
        The differences; none if the metric has no `match_once`.

    Raises:
        ValueError: Detections of an unknown image, or a label outside `0 … K-1`.
    """
    if metric.match_once is None:
        return ()
    every = np.concatenate([np.ones((1, len(samples)), np.int32), draw_counts(len(samples), replicates, seed)])
    tables = []
    for found in detections:
        numbers = metric.match_once(samples, found, class_names, settings or MetricSettings())
        rows = [numbers(counts) for counts in every]
        tables.append({name: _present([row[name] for row in rows]) for name in rows[0]})
    return tuple(
        {
            name: difference_of(values - tables[0][name], lower_is_better=name in metric.lower_is_better)
            for name, values in own.items()
        }
        for own in tables[1:]
    )


def describe_numbers(
    names: Sequence[str], results: Sequence[EvaluationResult], differences: Differences, replicates: int = REPLICATES
) -> str:
    """Formats the numbers of all models side by side, then each model's differences from the first.

    Args:
        names: Name of each model.
        results: Its numbers.
        differences: From `compare_numbers`.
        replicates: Resampled sets of images.

    Returns:
        Tables.
    """
    parts = [side_by_side(names, results)]
    for name, own in zip(names[1:] if differences else (), differences, strict=True):
        title = (
            f"{name} against {names[0]}: difference ± standard deviation, from {replicates:,} resamplings of the "
            f"{results[0].num_images:,} images"
        )
        rows = [("", "difference", "95 % of resamplings", ""), *(_row(number, each) for number, each in own.items())]
        parts.append(f"{title}\n{align_columns(rows, '<><<')}")
    return "\n\n".join(parts)


def _row(name: str, difference: Difference) -> tuple[str, str, str, str]:
    low, high = difference.interval
    if np.isnan(difference.share_better):
        return name, "none", "", ""
    verdict = f"better in {100 * difference.share_better:.0f} %, worse in {100 * difference.share_worse:.0f} %"
    return name, f"{difference.value:+.3f} ± {difference.deviation:.3f}", f"{low:+.3f} … {high:+.3f}", verdict


def _present(values: Sequence[float]) -> Array:
    """Numbers of all sets; nan for -1, which says that a set has no box."""
    column = np.array(values, np.float64)
    return np.where(column < 0, np.nan, column)
