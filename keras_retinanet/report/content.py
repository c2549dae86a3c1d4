"""The sections of a report as plain values, from which the page draws its tables and plots."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_retinanet.analysis.curves import ScoreCurves
from keras_retinanet.evaluation.metric import OWN, EvaluationResult
from keras_retinanet.report.advice import advise
from keras_retinanet.report.curves import best_threshold, describe_curves
from keras_retinanet.report.decision import (
    compare_at_top,
    describe_comparison,
    describe_thresholds,
    finite_or_none,
    without_own,
)
from keras_retinanet.report.history import describe_run
from keras_retinanet.report.sections import describe_analysis
from keras_retinanet.report.subject import Subject

HEADLINES = 3
"""Numbers of the metric at the top of the page; all are in a table below them."""
USUAL_THRESHOLD = 0.3
"""Score threshold of the page if nothing was measured."""


def describe_subject(subject: Subject) -> dict[str, Any]:
    """Collects all sections but the galleries.

    Args:
        subject: What the report is about.

    Returns:
        The content of the page; a section without numbers is `None` or empty.
    """
    result = subject.result
    content: dict[str, Any] = {
        "title": subject.title,
        "subtitle": _subtitle(result) if result else "Nothing was measured: there are no validation images.",
        "headline": [],
        "numbers": [],
        "notes": [*(result.notes if result else ()), *subject.notes],
        "advice": [],
        "classes": _classes(subject),
        "curves": None,
        "threshold": USUAL_THRESHOLD,
        "decision": describe_thresholds(subject.thresholds) if subject.thresholds else None,
        "errors": None,
        "confusion": None,
        "slices": [],
        "calibration": None,
        "comparison": describe_comparison(subject.comparison) if subject.comparison else None,
        "models": None,
        "run": describe_run(subject.rows, subject.best_epoch),
        "about": [{"name": name, "text": text, "isCode": name == "command"} for name, text in subject.about.items()],
    }
    content |= _measured(subject, result) if result else {}
    return content | (compare_at_top(subject.comparison) if subject.comparison else {})


def _measured(subject: Subject, result: EvaluationResult) -> dict[str, Any]:
    """The sections that need detections."""
    numbers, analysis = _numbers(result, subject.main), subject.analysis
    if analysis is None:
        return {"headline": numbers[:HEADLINES], "numbers": numbers}
    threshold = best_threshold(analysis.curves)
    return describe_analysis(analysis) | {
        "headline": numbers[:HEADLINES] + _numbers_at(analysis.curves, threshold),
        "numbers": numbers,
        "advice": [{"text": entry.text, "section": entry.section} for entry in advise(subject, analysis, threshold)],
        "curves": describe_curves(analysis.curves),
        "threshold": round(threshold, 4),
    }


def _subtitle(result: EvaluationResult) -> str:
    boxes = int(result.num_boxes.sum())
    return (
        f"{result.num_images:,} images, {boxes:,} annotated boxes of {len(result.class_names):,} classes, "
        f"{result.num_detections:,} detections"
    )


def _numbers(result: EvaluationResult, main: str) -> list[dict[str, Any]]:
    """All numbers of the metric, the main one first."""
    names = [main, *(name for name in result.stats if name != main)]
    return [
        {
            "name": name,
            "value": finite_or_none(result.stats[name]),
            "meaning": result.captions[name],
            "comparable": without_own(result.comparable_with.get(name, OWN)),
            "isMain": name == main,
        }
        for name in names
    ]


def _numbers_at(curves: ScoreCurves, threshold: float) -> list[dict[str, Any]]:
    """F1, precision and recall of all classes together at a score threshold."""
    place = curves.thresholds.tolist().index(threshold)
    values = {"best F1": curves.f1, "precision": curves.precision, "recall": curves.recall}
    meaning = f"at scores above {threshold:.2f} and IoU {curves.iou_threshold:g}, all classes together"
    return [
        {"name": name, "value": finite_or_none(float(column[-1, place])), "meaning": meaning}
        for name, column in values.items()
    ]


def _classes(subject: Subject) -> dict[str, Any]:
    """The columns of the table of classes."""
    result, columns = subject.result, []
    if result is not None:
        columns.append(_column("boxes", "annotated boxes in these images", "count", result.num_boxes))
    if subject.training_boxes is not None:
        columns.append(_column("training boxes", "annotated boxes to learn from", "count", subject.training_boxes))
    if subject.comparison:
        for model in subject.comparison.models:
            columns.append(_column(f"AP, {model.name}", "AP of the class", "share", model.result.per_class["AP"]))
    elif result is not None:
        columns += [_column(name, f"{name} of the class", "share", values) for name, values in result.per_class.items()]
    return {"names": list(subject.class_names), "columns": columns}


def _column(title: str, meaning: str, kind: str, values: Any) -> dict[str, Any]:
    return {
        "title": title,
        "meaning": meaning,
        "kind": kind,
        "values": [finite_or_none(value) for value in np.asarray(values).tolist()],
    }
