"""The sections that show an analysis: kinds of errors, confusion matrix, calibration, and parts of the data set."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_retinanet.analysis import Analysis
from keras_retinanet.analysis.tide import CAPTIONS, KINDS

KIND_NAMES = {
    "Cls": "Wrong class",
    "Loc": "Loose box",
    "Both": "Class and box",
    "Dupe": "Duplicate",
    "Bkg": "Background",
    "Miss": "Missed",
}
"""TIDE's kinds of error in words."""
MEASURE = "AP, mean of IoU 0.50 … 0.95"


def describe_analysis(analysis: Analysis) -> dict[str, Any]:
    """Converts an analysis to what the page draws.

    Args:
        analysis: The analysis.

    Returns:
        The sections `errors`, `confusion`, `calibration` and `slices`.
    """
    return {
        "errors": _errors(analysis),
        "confusion": _confusion(analysis),
        "calibration": _calibration(analysis),
        "slices": _slices(analysis),
    }


def describe_count(count: int, word: str) -> str:
    """A number with its noun.

    Args:
        count: The number.
        word: The noun for one.

    Returns:
        Such as `"1 case"` or `"1,200 cases"`.
    """
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def _errors(analysis: Analysis) -> dict[str, Any]:
    errors = analysis.errors
    rows = [
        {
            "name": KIND_NAMES[kind],
            "value": round(errors.delta_ap[kind], 5),
            "text": describe_count(errors.counts[kind], "case"),
            "meaning": f"{CAPTIONS[kind]} (TIDE's {kind})",
        }
        for kind in KINDS
    ]
    return {"iou": errors.iou_threshold, "rows": sorted(rows, key=lambda row: -float(str(row["value"])))}


def _confusion(analysis: Analysis) -> dict[str, Any]:
    matrix = analysis.confusion
    rows, columns = np.nonzero(matrix.counts)
    cells = np.stack([rows, columns, matrix.counts[rows, columns]], axis=1)
    return {
        "names": [*analysis.class_names, "background"],
        "cells": cells.tolist(),
        "score": matrix.score_threshold,
        "iou": matrix.iou_threshold,
    }


def _calibration(analysis: Analysis) -> dict[str, Any] | None:
    calibration = analysis.calibration
    if not calibration.counts.any():
        return None
    bins = [
        {
            "name": f"{calibration.edges[k]:.2f} to {calibration.edges[k + 1]:.2f}",
            "score": float(calibration.mean_score[k]),
            "precision": float(calibration.precision[k]),
            "count": int(calibration.counts[k]),
        }
        for k in np.flatnonzero(calibration.counts).tolist()
    ]
    explanation = (
        f"Scores differ from the share of right detections by {calibration.expected_error:.3f} on average "
        f"(expected calibration error) and by {calibration.largest_error:.3f} at most."
    )
    return {"error": calibration.expected_error, "explanation": explanation, "bins": bins}


def _slices(analysis: Analysis) -> list[dict[str, Any]]:
    by_kind: dict[str, list[dict[str, Any]]] = {}
    for part in analysis.slices:
        row = {"name": part.name, "value": float(part.ap), "boxes": part.num_boxes}
        by_kind.setdefault(part.kind, []).append(row)
    return [
        {"title": kind.capitalize(), "measure": MEASURE, "rows": rows}
        for kind, rows in by_kind.items()
        if len(rows) > 1
    ]
