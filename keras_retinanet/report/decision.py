"""The decisions that a report supports: which thresholds to deploy, and which of several models is better."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePath
from typing import Any

import numpy as np

from keras_retinanet.analysis.bootstrap import Interval
from keras_retinanet.analysis.comparison import Comparison, Difference
from keras_retinanet.analysis.thresholds import ClassThreshold, ThresholdChoice
from keras_retinanet.evaluation.metric import OWN

MAX_IMAGES = 100
"""Images of a comparison that are listed, half of them better and half worse."""


def describe_thresholds(choice: ThresholdChoice) -> dict[str, Any]:
    """Converts a choice of thresholds to what the page draws.

    Args:
        choice: The choice.

    Returns:
        `explanation`; `thresholds`, `right` and `found` detections by label; and the `columns` of a table.
    """
    classes, together = choice.classes, choice.together.figures
    reached = ", ".join(f"{name} {figure.value:.3f} ({_range(figure.interval)})" for name, figure in together.items())
    notes = " ".join(f"{note[0].upper()}{note[1:]}." for note in choice.notes)
    explanation = (
        f"One threshold per class for the goal {choice.goal}, chosen on these {choice.num_images:,} images: together "
        f"{reached}. In brackets: the range of 95 % of the cases on as many other images. {notes}"
    )
    columns = [
        _column("threshold", "score", [each.threshold for each in classes]),
        _column("boxes", "count", [each.boxes for each in classes]),
    ]
    for name in together:
        columns.append(_column(name, "share", [each.figures[name].value for each in classes]))
        columns.append(_column(f"{name} elsewhere", "text", [_elsewhere(each, name) for each in classes]))
    return {
        "explanation": explanation.strip(),
        "thresholds": [each.threshold if each.boxes else None for each in classes],
        "right": [each.right for each in classes],
        "found": [each.found for each in classes],
        "columns": columns,
    }


def describe_comparison(comparison: Comparison) -> dict[str, Any]:
    """Converts a comparison of models to what the page draws.

    Args:
        comparison: The comparison.

    Returns:
        `explanation` and `tables`.
    """
    first = comparison.models[0].name
    tables = [_compare_numbers(comparison)]
    for position, model in enumerate(comparison.models[1:], start=1):
        title = f"{model.name} against {first}" if len(comparison.models) > 2 else "Classes"
        differences = comparison.class_differences[position - 1]
        rows = [[name, *_difference(each)] for name, each in differences.items() if each is not None]
        tables.append(_table(title, "", ["class", *_DIFFERENCE], rows))
        tables.append(_compare_images(comparison, position))
    notes = " ".join(f"{note}." for note in comparison.notes)
    explanation = (
        f"Differences from {first} on the same images, with the range of 95 % of {comparison.replicates:,} resampled "
        f"sets of images, and the share of them on which the model is better. {notes}"
    )
    return {"explanation": explanation.strip(), "tables": tables}


def compare_at_top(comparison: Comparison) -> dict[str, Any]:
    """What the top of the page says about several models.

    Args:
        comparison: The comparison.

    Returns:
        `headline`: AP of each model. `numbers`: all of each. `threshold`: the lowest score at which one is counted.
    """
    headline, numbers = [], []
    for position, model in enumerate(comparison.models):
        result = model.result
        headline.append(
            {
                "name": f"AP, {model.name}",
                "value": finite_or_none(result.stats["AP"]),
                "meaning": _sum_up(comparison, position),
                "isMain": True,
            }
        )
        numbers += [
            {
                "name": f"{name}, {model.name}",
                "value": finite_or_none(value),
                "meaning": result.captions[name],
                "comparable": without_own(result.comparable_with.get(name, OWN)),
            }
            for name, value in result.stats.items()
        ]
    lowest = np.nanmin([1.0, *(model.score for model in comparison.models)])
    return {"headline": headline, "numbers": numbers, "threshold": float(np.floor(lowest * 100) / 100)}


def _sum_up(comparison: Comparison, position: int) -> str:
    """The difference of a model's AP from the first, in words."""
    if not position:
        return "the others are compared with this one"
    difference, first = comparison.differences[position - 1]["AP"], comparison.models[0].name
    value, deviation = 100 * difference.value, 100 * difference.deviation
    if np.isnan(difference.share_better):
        return f"not comparable with {first}"
    return (
        f"{value:+.1f} ± {deviation:.1f} percentage points against {first}; better in {difference.share_better:.0%}, "
        f"worse in {difference.share_worse:.0%} of resampled sets"
    )


def without_own(comparable_with: str) -> str | None:
    """Whose numbers a number can be compared with.

    Args:
        comparable_with: As a metric states it.

    Returns:
        It; `None` for an own extension.
    """
    return None if comparable_with == OWN else comparable_with


_DIFFERENCE = ["difference", "95 % range", "better in"]
_KINDS = {
    "difference": "change", "fewer errors": "change", "95 % range": "text", "better in": "percent", "boxes": "count",
}  # fmt: skip


def _compare_numbers(comparison: Comparison) -> dict[str, Any]:
    rows: list[list[Any]] = []
    for position, model in enumerate(comparison.models):
        for name in comparison.models[0].intervals:
            changes = comparison.differences[position - 1] if position else {}
            value = finite_or_none(model.result.stats.get(name, np.nan))
            rows.append([f"{name}, {model.name}", value, *_difference(changes.get(name))])
    return _table("Numbers", "", ["number", "value", *_DIFFERENCE], rows)


def _compare_images(comparison: Comparison, position: int) -> dict[str, Any]:
    changed = comparison.changed_images(position)
    half = MAX_IMAGES // 2
    listed = changed if len(changed) <= MAX_IMAGES else [*changed[:half], *changed[-half:]]
    rows = [[PurePath(row.image).name, row.boxes, row.gain(position)] for row in listed]
    name = comparison.models[position].name
    better = sum(row.gain(position) > 0 for row in changed)
    explanation = (
        f"{name} has fewer errors (missed boxes and wrong detections) in {better:,} images and more in "
        f"{len(changed) - better:,} of {len(comparison.images):,}."
    )
    return _table(f"Images with other results by {name}", explanation, ["image", "boxes", "fewer errors"], rows)


def _table(title: str, explanation: str, heads: list[str], rows: list[list[Any]]) -> dict[str, Any]:
    return {
        "title": title,
        "explanation": explanation,
        "heads": [{"title": head, "kind": _KINDS.get(head, "share")} for head in heads],
        "rows": rows,
    }


def _difference(difference: Difference | None) -> list[Any]:
    if difference is None:
        return [None, "", None]
    share = difference.share_better
    return [difference.value, _range(difference.interval, "+.3f"), None if np.isnan(share) else share]


def _column(title: str, kind: str, values: Iterable[Any]) -> dict[str, Any]:
    plain = [finite_or_none(value) if isinstance(value, float) else value for value in values]
    return {"title": title, "kind": kind, "values": plain}


def _elsewhere(each: ClassThreshold, name: str) -> str:
    return _range(each.figures[name].interval) if each.boxes else ""


def _range(interval: Interval, style: str = ".3f") -> str:
    return "" if np.isnan(interval.low) else f"{interval.low:{style}} … {interval.high:{style}}"


def finite_or_none(value: float) -> float | None:
    """A number of a metric for strict JSON.

    Args:
        value: The number; -1 and nan stand for none.

    Returns:
        It, rounded, or `None`.
    """
    return round(float(value), 6) if np.isfinite(value) and value >= 0 else None
