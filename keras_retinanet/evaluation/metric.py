"""What a metric is: a function, the number that ranks models, and which numbers are errors; and what it returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class EvaluationResult:
    """The numbers of one metric on one set of images.

    Attributes:
        stats: Numbers over all classes by short name (`"AP"`, `"AP50"` …), in display order, each at least 0; -1 or
            nan where no annotated box contributes to a number.
        captions: The meaning of each of `stats`, in a few words.
        class_names: Names of the labels `0 … K-1`.
        per_class: Numbers of each class by short name, `(K,)` float64; nan where a class has no box.
        num_boxes: `(K,)` int64. Annotated boxes of each class, without ignore regions.
        num_images: Images evaluated, including those without boxes.
        num_detections: Detections received.
    """

    stats: dict[str, float]
    captions: dict[str, str]
    class_names: tuple[str, ...]
    per_class: dict[str, Array]
    num_boxes: Array
    num_images: int
    num_detections: int


@dataclass(frozen=True)
class Metric:
    """An entry of `evaluation.METRICS`.

    Attributes:
        evaluate: Function `(samples, detections, class_names) → EvaluationResult`.
        monitor: Name in `stats` of the number that ranks models: training logs it as `val_<monitor>`, and `best.keras`
            holds the weights that are best by it.
        lower_is_better: Names in `stats` and `per_class` that are errors: perfect detections have 0, where all other
            numbers have 1.
        logged: Names in `stats` that training logs. Defaults to all.
    """

    evaluate: Callable[..., EvaluationResult]
    monitor: str
    lower_is_better: frozenset[str] = frozenset()
    logged: tuple[str, ...] | None = None

    @property
    def mode(self) -> Literal["max", "min"]:
        """`"max"` if a higher `monitor` is better, else `"min"`."""
        return "min" if self.monitor in self.lower_is_better else "max"

    def logged_stats(self, result: EvaluationResult) -> dict[str, float]:
        """The numbers that training logs.

        Args:
            result: A result of this metric.

        Returns:
            Name → value; numbers without a contributing box (-1 or nan) are left out.
        """
        names = self.logged or tuple(result.stats)
        return {name: result.stats[name] for name in names if result.stats[name] >= 0}


def count_boxes(labels: Array, ignore: Array, num_classes: int) -> Array:
    """Counts the boxes of each class that a detector must find.

    Args:
        labels: `(N,)` int in `0 … K-1`.
        ignore: `(N,)` bool.
        num_classes: int, `K`.

    Returns:
        `(K,)` int64.
    """
    return np.bincount(labels[~ignore], minlength=num_classes).astype(np.int64)
