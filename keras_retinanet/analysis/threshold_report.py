"""Chosen thresholds and a fitted temperature as text, and as plain values for a file."""

from __future__ import annotations

import math
from typing import Any

from keras_retinanet.analysis.figure_intervals import Figure
from keras_retinanet.analysis.json_values import to_json
from keras_retinanet.analysis.temperature import TemperatureFit
from keras_retinanet.analysis.thresholds import ClassThreshold, ThresholdChoice
from keras_retinanet.evaluation.report import align_columns


def describe_fit(fit: TemperatureFit) -> str:
    """Formats a calibration.

    Args:
        fit: The calibration.

    Returns:
        One line: the numbers, and what they change.
    """
    bias = f", bias {fit.bias:+.3f}" if fit.bias else ""
    return (
        f"calibration: temperature {fit.temperature:.3f}{bias}, from {fit.num_detections} detections, of which "
        f"{fit.share_right:.3f} are right; mean score {fit.mean_scores[0]:.3f} → {fit.mean_scores[1]:.3f}, "
        f"log loss {fit.losses[0]:.3f} → {fit.losses[1]:.3f}"
    )


def describe_thresholds(choice: ThresholdChoice, iou: float) -> str:
    """Formats thresholds with what to expect of them.

    Args:
        choice: The thresholds.
        iou: IoU from which a detection is right.

    Returns:
        A table of the classes, and all together; then the notes.
    """
    names = list(choice.together.figures)
    rows = [("class", "threshold", "boxes", *names)]
    for each in (*choice.classes, choice.together):
        threshold = "-" if each.threshold is None else f"{each.threshold:g}"
        rows.append((each.name, threshold, str(each.boxes), *(_format(each.figures[name]) for name in names)))
    title = (
        f"thresholds for {choice.goal} at IoU {iou:g}, chosen on {choice.num_images} images; in brackets the range on "
        "as many other images in 95 % of cases"
    )
    notes = (f"note: {note}" for note in choice.notes)
    return "\n".join([title, align_columns(rows, "<>>" + "<" * len(names)), *notes])


def thresholds_to_dict(choice: ThresholdChoice) -> dict[str, Any]:
    """Converts thresholds to plain values, as `retinanet-evaluate --save-thresholds` writes them.

    Args:
        choice: The thresholds.

    Returns:
        `{"goal", "replicates", "seed", "classes": {name: {"threshold", "boxes", "found", "right", …}}, "together"}`.
    """
    content = {
        "goal": str(choice.goal),
        "replicates": choice.replicates,
        "seed": choice.seed,
        "classes": {each.name: _to_dict(each) for each in choice.classes},
        "together": _to_dict(choice.together),
    }
    plain: dict[str, Any] = to_json(content)
    return plain


def _to_dict(each: ClassThreshold) -> dict[str, Any]:
    entry: dict[str, Any] = {} if each.threshold is None else {"threshold": each.threshold}
    entry |= {"boxes": each.boxes, "found": each.found, "right": each.right}
    for name, figure in each.figures.items():
        entry |= {name: round(figure.value, 4), f"{name}_interval": [round(end, 4) for end in figure.interval]}
    return entry if each.is_reached else {**entry, "is_reached": False}


def _format(figure: Figure) -> str:
    if math.isnan(figure.value):
        return "-"
    digits = 3 if max(figure.value, figure.interval.high) <= 1 else 0  # a share, or a cost
    return f"{figure.value:.{digits}f} ({figure.interval.low:.{digits}f} … {figure.interval.high:.{digits}f})"
