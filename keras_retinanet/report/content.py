"""The sections of a report as plain values, from which the page draws its tables and plots."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_retinanet.evaluation.metric import OWN, EvaluationResult
from keras_retinanet.report.advice import advise
from keras_retinanet.report.curves import count_by_score
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
        "notes": list(result.notes) if result else [],
        "advice": [],
        "classes": _classes(subject),
        "curves": None,
        "threshold": USUAL_THRESHOLD,
        "decision": None,
        "errors": None,
        "confusion": None,
        "slices": [],
        "calibration": None,
        "comparison": None,
        "run": describe_run(subject.rows, subject.best_epoch),
        "about": [{"name": name, "text": text, "isCode": name == "command"} for name, text in subject.about.items()],
    }
    return content | (_measured(subject, result) if result else {})


def _measured(subject: Subject, result: EvaluationResult) -> dict[str, Any]:
    """The sections that need detections."""
    curves = count_by_score(subject.samples, subject.detections, len(subject.class_names))
    threshold, numbers = best_threshold(curves), _numbers(result, subject.main)
    advice = advise(subject, subject.analysis, curves, threshold)
    sections = describe_analysis(subject.analysis) if subject.analysis is not None else {}
    return sections | {
        "advice": [{"text": entry.text, "section": entry.section} for entry in advice],
        "headline": numbers[:HEADLINES] + _numbers_at(curves, threshold),
        "numbers": numbers,
        "curves": curves,
        "threshold": threshold,
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
            "comparable": _without_own(result.comparable_with.get(name, OWN)),
            "isMain": name == main,
        }
        for name in names
    ]


def _numbers_at(curves: Mapping[str, Any], threshold: float) -> list[dict[str, Any]]:
    """F1, precision and recall of all classes together at a score threshold."""
    everything, place = curves["groups"][0], curves["thresholds"].index(threshold)
    hits, found = everything["hits"][place], everything["hits"][place] + everything["wrong"][place]
    boxes = everything["boxes"]
    meaning = f"at scores above {threshold:.2f} and IoU {curves['iou']}, all classes together"
    values = {
        "best F1": 2 * hits / (found + boxes) if boxes else None,
        "precision": hits / found if found else None,
        "recall": hits / boxes if boxes else None,
    }
    return [{"name": name, "value": value, "meaning": meaning} for name, value in values.items()]


def _without_own(comparable_with: str) -> str | None:
    return None if comparable_with == OWN else comparable_with


def _classes(subject: Subject) -> dict[str, Any]:
    """The columns of the table of classes."""
    result, columns = subject.result, []
    if result is not None:
        columns.append(_column("boxes", "annotated boxes in these images", "count", result.num_boxes))
    if subject.training_boxes is not None:
        columns.append(_column("training boxes", "annotated boxes to learn from", "count", subject.training_boxes))
    if result is not None:
        columns += [_column(name, f"{name} of the class", "share", values) for name, values in result.per_class.items()]
    return {"names": list(subject.class_names), "columns": columns}


def _column(title: str, meaning: str, kind: str, values: Any) -> dict[str, Any]:
    return {
        "title": title,
        "meaning": meaning,
        "kind": kind,
        "values": [finite_or_none(value) for value in np.asarray(values).tolist()],
    }


def best_threshold(curves: Mapping[str, Any]) -> float:
    """The score threshold with the best F1 of all classes together.

    Args:
        curves: From `count_by_score`.

    Returns:
        One of its thresholds, of several the highest.
    """
    everything = curves["groups"][0]
    hits, wrong = np.array(everything["hits"]), np.array(everything["wrong"])
    f1 = 2 * hits / np.maximum(hits + wrong + everything["boxes"], 1)
    return float(curves["thresholds"][len(f1) - 1 - int(f1[::-1].argmax())])


def finite_or_none(value: float) -> float | None:
    """A number of a metric for strict JSON.

    Args:
        value: The number; -1 and nan stand for none.

    Returns:
        It, rounded, or `None`.
    """
    return round(value, 6) if math.isfinite(value) and value >= 0 else None
