"""What every metric answers: some numbers over all classes, and one row for each class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class EvaluationResult:
    """The outcome of one metric on one set of images.

    Attributes:
        stats: Numbers over all classes under short names (`"AP"`, `"AP50"` …), in the order in which they are shown;
            the first is the one by which runs are compared. -1 where no annotated box bears on a number.
        captions: What each of `stats` says.
        class_names: Names of the labels `0 … K-1`.
        per_class: Numbers of each class under short names, `(K,)` float64; nan where a class has no box.
        num_boxes: `(K,)` int64. Annotated boxes of each class, ignore regions not counted.
        num_images: Images looked at, those without boxes included.
        num_detections: Detections handed in.
    """

    stats: dict[str, float]
    captions: dict[str, str]
    class_names: tuple[str, ...]
    per_class: dict[str, Array]
    num_boxes: Array
    num_images: int
    num_detections: int


def count_boxes(labels: Array, ignore: Array, num_classes: int) -> Array:
    """Boxes of each class that a detector is asked to find.

    Args:
        labels: `(N,)` int in `0 … K-1`.
        ignore: `(N,)` bool.
        num_classes: int, `K`.

    Returns:
        `(K,)` int64.
    """
    return np.bincount(labels[~ignore], minlength=num_classes).astype(np.int64)
