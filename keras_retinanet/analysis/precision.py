"""Average precision of chosen detections, with COCO's 101 recalls."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
COCO_RECALLS = np.linspace(0, 1, 101)
"""The recalls 0, 0.01 … 1 as pycocotools rounds them."""


def average_precision(score: Array, is_right: Array, num_boxes: int, recalls: Array = COCO_RECALLS) -> float:
    """The mean over the recalls 0, 0.01 … 1 of the highest precision at this or a higher recall.

    Args:
        score: `(D,)` floats of the detections of one class; of equal scores, earlier ones come first.
        is_right: `(D,)` bool.
        num_boxes: Boxes to find.
        recalls: `(R,)` ascending. Defaults to COCO's.

    Returns:
        AP in 0 … 1; nan if there is nothing to find.
    """
    if not num_boxes:
        return float("nan")
    hits = np.cumsum(is_right[np.argsort(-score, kind="stable")])
    precision = hits / (np.arange(1, len(hits) + 1) + np.spacing(1))  # as in pycocotools
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    position = np.searchsorted(hits / num_boxes, recalls, side="left")
    return float(np.mean(np.append(envelope, 0.0)[position]))
