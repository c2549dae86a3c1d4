"""Precision, recall and F1 against the score threshold, and precision against recall."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_retinanet.analysis.matches import Matches
from keras_retinanet.evaluation.matching import IGNORED, RIGHT

Array = NDArray[Any]


@dataclass(frozen=True)
class ScoreCurves:
    """Curves of each class, and of all classes together in the last row.

    Attributes:
        thresholds: `(S,)` score thresholds; detections that score above it count.
        num_boxes: `(K + 1,)` int64 boxes to find.
        counted: `(K + 1, S)` int64 detections that are right or wrong.
        hits: `(K + 1, S)` int64 detections that are right.
        precision: `(K + 1, S)`; nan where nothing counts.
        recall: `(K + 1, S)`; nan for a class without boxes.
        f1: `(K + 1, S)`; nan for a class without boxes.
        best_threshold: `(K + 1,)` threshold of the best F1 among `thresholds`; nan for a class without boxes.
        best_f1: `(K + 1,)`.
        recalls: `(101,)` 0, 0.01 … 1.
        precision_at_recall: `(K + 1, 101)` highest precision at this or a higher recall.
        iou_threshold: IoU from which a detection is right.
    """

    thresholds: Array
    num_boxes: Array
    counted: Array
    hits: Array
    precision: Array
    recall: Array
    f1: Array
    best_threshold: Array
    best_f1: Array
    recalls: Array
    precision_at_recall: Array
    iou_threshold: float


def compute_curves(matches: Matches, num_thresholds: int = 101) -> ScoreCurves:
    """Counts right and wrong detections above each threshold.

    Args:
        matches: The images.
        num_thresholds: Thresholds from 0 to 1, evenly spaced.

    Returns:
        The curves.
    """
    thresholds, recalls = np.linspace(0, 1, num_thresholds), np.linspace(0, 1, 101)
    num_classes, truth = len(matches.class_names), matches.truth
    num_boxes = np.bincount(truth.label[~truth.ignore], minlength=num_classes)
    num_boxes = np.append(num_boxes, num_boxes.sum())
    rows = []
    is_counted = matches.verdict != IGNORED
    for k in range(num_classes + 1):
        chosen = is_counted if k == num_classes else is_counted & (matches.found.label == k)
        score, is_right = matches.found.score[chosen], matches.verdict[chosen] == RIGHT
        rows.append(_curve(score, is_right, int(num_boxes[k]), thresholds, recalls))
    counted, hits, at_recall = (np.array(column) for column in zip(*rows, strict=True))
    wanted = np.where(num_boxes, num_boxes, np.nan)[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        precision, recall, f1 = hits / counted, hits / wanted, 2 * hits / (counted + wanted)
    best = np.where(np.isnan(f1), -1, f1).argmax(axis=1)
    best_f1 = f1[np.arange(len(f1)), best]
    best_threshold = np.where(np.isnan(best_f1), np.nan, thresholds[best])
    return ScoreCurves(
        thresholds, num_boxes, counted, hits, precision, recall, f1, best_threshold, best_f1, recalls, at_recall,
        matches.iou_threshold,
    )  # fmt: skip


def _curve(
    score: Array, is_right: Array, num_boxes: int, thresholds: Array, recalls: Array
) -> tuple[Array, Array, Array]:
    """Numbers of counted and of right detections at the thresholds, and precision at the recalls."""
    order = np.argsort(-score, kind="stable")
    hits = np.concatenate([[0], np.cumsum(is_right[order])])
    kept = np.searchsorted(-score[order], -thresholds, side="left")
    if not num_boxes:
        return kept, hits[kept], np.full(len(recalls), np.nan)
    envelope = np.maximum.accumulate((hits[1:] / np.arange(1, len(hits)))[::-1])[::-1]
    position = np.searchsorted(hits[1:] / num_boxes, recalls, side="left")
    return kept, hits[kept], np.append(envelope, 0.0)[position]
