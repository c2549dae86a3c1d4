"""The curves of an analysis as counts, from which the page computes precision, recall and F1 at its slider."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_retinanet.analysis.curves import ScoreCurves


def describe_curves(curves: ScoreCurves) -> dict[str, Any]:
    """Converts curves to what the page draws.

    Args:
        curves: The curves.

    Returns:
        `iou`, `thresholds`, `recalls` and `groups`: of all classes, then of each, `boxes`, the numbers of `hits` and
        `wrong` detections that score above each threshold, and `precision` by recall.
    """
    last = len(curves.num_boxes) - 1
    return {
        "iou": curves.iou_threshold,
        "thresholds": curves.thresholds.round(4).tolist(),
        "recalls": curves.recalls.round(4).tolist(),
        "groups": [_describe_group(curves, row) for row in (last, *range(last))],
    }


def _describe_group(curves: ScoreCurves, row: int) -> dict[str, Any]:
    precision = curves.precision_at_recall[row].round(4).tolist() if curves.num_boxes[row] else None
    return {
        "boxes": int(curves.num_boxes[row]),
        "hits": curves.hits[row].tolist(),
        "wrong": (curves.counted[row] - curves.hits[row]).tolist(),
        "precision": precision,
    }


def best_threshold(curves: ScoreCurves) -> float:
    """The score threshold with the best F1 of all classes together.

    Args:
        curves: The curves.

    Returns:
        One of their thresholds; 0 without boxes.
    """
    return float(np.nan_to_num(curves.best_threshold[-1]))
