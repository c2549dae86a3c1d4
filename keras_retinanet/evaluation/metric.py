"""What a metric is: a function, its settings, the number that ranks models; and what it returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from keras_retinanet.schema import Detections, Sample

Array = NDArray[Any]
OWN = "own extension"
"""In `EvaluationResult.comparable_with`: no published number is defined like this one."""


@dataclass(frozen=True)
class MetricSettings:
    """What replaces a metric's own definition; each defaults to that definition.

    Attributes:
        iou_thresholds: IoU from which a detection is right; a metric at several takes the mean over them.
        score_threshold: Only detections that score above it count.
        max_detections: Only the best of each image count; in COCO's metric, of each image and class.
        detector_limit: Most detections of an image that the detector returns. COCO's and fizyr's metrics are also
            computed with this limit where images have more boxes than these metrics count.
        parents: For each class that is below others in the hierarchy of Open Images, all classes above it.
        verified: Classes that a person has looked for in each image, by the image id as text. In the metric of Open
            Images, detections of other classes do not count there. `None`: every image is completely annotated.
    """

    iou_thresholds: tuple[float, ...] | None = None
    score_threshold: float | None = None
    max_detections: int | None = None
    detector_limit: int | None = None
    parents: Mapping[str, frozenset[str]] = field(default_factory=dict)
    verified: Mapping[str, frozenset[str]] | None = None

    @property
    def are_changed(self) -> bool:
        """Whether a metric's numbers are no longer comparable with published ones."""
        return any(value is not None for value in (self.iou_thresholds, self.score_threshold, self.max_detections))


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
        comparable_with: For each of `stats`, whose published numbers are defined in the same way; `OWN` where none
            are, also for names left out.
        notes: Sentences that a reader of the numbers must know.
    """

    stats: dict[str, float]
    captions: dict[str, str]
    class_names: tuple[str, ...]
    per_class: dict[str, Array]
    num_boxes: Array
    num_images: int
    num_detections: int
    comparable_with: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Metric:
    """An entry of `evaluation.METRICS`.

    Attributes:
        evaluate: Function `(samples, detections, class_names, settings) → EvaluationResult`.
        monitor: Name in `stats` of the number that ranks models: training logs it as `val_<monitor>`, and `best.keras`
            holds the weights that are best by it.
        lower_is_better: Names in `stats` and `per_class` that are errors: perfect detections have 0, where all other
            numbers have 1.
        logged: Names in `stats` that training logs, also followed by a blank and more. Defaults to all.
        choose_monitor: Function `(samples, settings) → name` where the number that ranks models depends on the images.
            Defaults to `monitor` for all.
        match_once: Function `(samples, detections, class_names, settings)` that matches the detections once and returns
            a function from how often each image is in a set `(I,)` to `stats` of that set, for intervals. `None`: the
            metric has none.
    """

    evaluate: Callable[..., EvaluationResult]
    monitor: str
    lower_is_better: frozenset[str] = frozenset()
    logged: tuple[str, ...] | None = None
    choose_monitor: Callable[[Sequence[Sample], MetricSettings], str] | None = None
    match_once: Callable[..., Callable[[Array], dict[str, float]]] | None = None

    def __call__(
        self,
        samples: Sequence[Sample],
        detections: Sequence[Detections],
        class_names: Sequence[str],
        settings: MetricSettings | None = None,
    ) -> EvaluationResult:
        """Calls `evaluate`.

        Args:
            samples: Annotated images.
            detections: Detections with boxes in pixels of the image files.
            class_names: Names of the labels `0 … K-1`.
            settings: Changes of the metric's definition. Defaults to none.

        Returns:
            The numbers.
        """
        return self.evaluate(samples, detections, class_names, settings or MetricSettings())

    def monitor_for(self, samples: Sequence[Sample], settings: MetricSettings) -> str:
        """Name in `stats` of the number that ranks models on some images.

        Args:
            samples: The annotated images.
            settings: The settings with which they are evaluated.

        Returns:
            The name.
        """
        return self.choose_monitor(samples, settings) if self.choose_monitor else self.monitor

    def mode_of(self, name: str) -> Literal["max", "min"]:
        """Whether a higher value of a number is better.

        Args:
            name: Name in `stats`.

        Returns:
            `"max"` if so, else `"min"`.
        """
        return "min" if name in self.lower_is_better else "max"

    @property
    def mode(self) -> Literal["max", "min"]:
        """`"max"` if a higher `monitor` is better, else `"min"`."""
        return self.mode_of(self.monitor)

    def logged_stats(self, result: EvaluationResult) -> dict[str, float]:
        """The numbers that training logs.

        Args:
            result: A result of this metric.

        Returns:
            Name → value; numbers without a contributing box (-1 or nan) are left out.
        """
        names = [name for name in result.stats if self.logged is None or name.partition(" ")[0] in self.logged]
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


def count_all_boxes(samples: Sequence[Sample], num_classes: int) -> Array:
    """Counts the boxes of each class in all images, ignore regions left out.

    Args:
        samples: Annotated images.
        num_classes: int, `K`.

    Returns:
        `(K,)` int64.
    """
    labels = np.concatenate([np.zeros(0, np.int64), *(np.asarray(sample["labels"], np.int64) for sample in samples)])
    ignore = np.concatenate([np.zeros(0, bool), *(np.asarray(sample["ignore"], bool) for sample in samples)])
    return count_boxes(labels, ignore, num_classes)


def keep_counted(found: Detections, score_threshold: float | None, max_detections: int | None) -> Detections:
    """The detections of an image that count.

    Args:
        found: Detections in any order.
        score_threshold: Only those that score above it. `None` for all.
        max_detections: Only the best so many. `None` for all.

    Returns:
        They, best first; of equal scores, in the order given.
    """
    scores = np.asarray(found["scores"])  # compared in its own precision: a float32 of 0.3 is above 0.3
    order = np.argsort(-scores, kind="stable")
    if score_threshold is not None:
        order = order[scores[order] > score_threshold]
    order = order[:max_detections]
    boxes, labels = np.asarray(found["boxes"]).reshape(-1, 4), np.asarray(found["labels"])
    return {**found, "boxes": boxes[order], "scores": scores[order], "labels": labels[order]}
