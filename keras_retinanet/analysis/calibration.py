"""Whether a score of 0.8 means that four of five such detections are right.

Reference: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017; Küppers et al., "Multivariate Confidence
Calibration for Object Detection", CVPR Workshops 2020.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_retinanet.analysis.matches import Matches
from keras_retinanet.evaluation.matching import IGNORED, RIGHT

Array = NDArray[Any]


@dataclass(frozen=True)
class Calibration:
    """Score against precision in bins of equal width.

    A detection is right if it matches a box of its class at the IoU threshold; ignored ones are left out. The expected
    calibration error is the mean over bins, weighted by their detections, of the absolute difference between precision
    and mean score.

    Attributes:
        edges: `(bins + 1,)` scores; a bin holds the scores above its lower edge, up to its upper one.
        counts: `(bins,)` detections.
        mean_score: `(bins,)`; nan where a bin is empty.
        precision: `(bins,)` share of them that is right.
        expected_error: ECE.
        largest_error: Largest such difference of a bin that holds detections.
        class_errors: `(K,)` ECE of the detections of each class; nan without detections.
        score_threshold: Only detections that score above it count.
        iou_threshold: IoU from which a detection is right.
    """

    edges: Array
    counts: Array
    mean_score: Array
    precision: Array
    expected_error: float
    largest_error: float
    class_errors: Array
    score_threshold: float
    iou_threshold: float


def calibrate(matches: Matches, score_threshold: float = 0.0, num_bins: int = 10) -> Calibration:
    """Compares the scores of detections with the share that is right.

    Args:
        matches: The images.
        score_threshold: Only detections that score above it count.
        num_bins: Bins of equal width between 0 and 1.

    Returns:
        The bins and the errors.
    """
    is_counted = (matches.verdict != IGNORED) & (matches.found.score > score_threshold)
    score, is_right = matches.found.score[is_counted], matches.verdict[is_counted] == RIGHT
    label = matches.found.label[is_counted]
    edges = np.linspace(0, 1, num_bins + 1)
    counts, mean_score, precision = _bins(score, is_right, edges)
    gaps, classes = np.abs(precision - mean_score), range(len(matches.class_names))
    return Calibration(
        edges,
        counts,
        mean_score,
        precision,
        _weighted_mean(gaps, counts),
        float(np.nanmax(gaps)) if counts.any() else float("nan"),
        np.array([_expected_error(score[label == k], is_right[label == k], edges) for k in classes]),
        score_threshold,
        matches.iou_threshold,
    )


def _expected_error(score: Array, is_right: Array, edges: Array) -> float:
    counts, mean_score, precision = _bins(score, is_right, edges)
    return _weighted_mean(np.abs(precision - mean_score), counts)


def _bins(score: Array, is_right: Array, edges: Array) -> tuple[Array, Array, Array]:
    last = len(edges) - 2
    place = np.clip(np.searchsorted(edges, score, side="left") - 1, 0, last)
    counts = np.bincount(place, minlength=last + 1)
    with np.errstate(invalid="ignore"):
        mean_score = np.bincount(place, weights=score, minlength=last + 1) / counts
        precision = np.bincount(place, weights=is_right, minlength=last + 1) / counts
    return counts, mean_score, precision


def _weighted_mean(gaps: Array, counts: Array) -> float:
    return float(np.nansum(gaps * counts) / counts.sum()) if counts.any() else float("nan")
