"""Which class is taken for which, background included."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_retinanet.analysis.matches import Matches, take_boxes

Array = NDArray[Any]


@dataclass(frozen=True)
class ConfusionMatrix:
    """Counts of annotated against detected classes.

    Attributes:
        counts: `(K + 1, K + 1)` int64: rows are annotated, columns detected classes; the last row holds wrong
            detections on the background, the last column boxes that were not found.
        score_threshold: Only detections that score above it count.
        iou_threshold: IoU from which a detection takes a box, of whatever class.
    """

    counts: Array
    score_threshold: float
    iou_threshold: float


def count_confusions(matches: Matches, score_threshold: float = 0.3) -> ConfusionMatrix:
    """Matches detections with boxes of any class, and counts the pairs of classes.

    Detections are matched best first; each takes the free box that it overlaps most. Detections whose box is an ignore
    region are left out.

    Args:
        matches: The images.
        score_threshold: Only detections that score above it count.

    Returns:
        The matrix.
    """
    found, truth, overlaps = matches.found, matches.truth, matches.overlaps
    is_counted = found.score > score_threshold
    is_allowed = (overlaps.iou >= matches.iou_threshold) & is_counted[overlaps.found]
    is_allowed &= overlaps.is_class | ~truth.ignore[overlaps.truth]
    taken = take_boxes(overlaps, is_allowed, truth.ignore, len(found.label))
    background = len(matches.class_names)
    annotated = np.where(taken < 0, background, np.append(truth.label, background)[taken])
    is_counted &= (taken < 0) | ~np.append(truth.ignore, False)[taken]
    counts = np.zeros((background + 1, background + 1), np.int64)
    np.add.at(counts, (annotated[is_counted], found.label[is_counted]), 1)
    is_lost = ~truth.ignore
    is_lost[taken[taken >= 0]] = False
    counts[:-1, -1] = np.bincount(truth.label[is_lost], minlength=background)
    return ConfusionMatrix(counts, score_threshold, matches.iou_threshold)
