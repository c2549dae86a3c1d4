"""A comparison of models as text and as plain values for JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from keras_retinanet.analysis.comparison import ComparedModel, Comparison, Difference, ImageCounts
from keras_retinanet.analysis.json_values import to_json
from keras_retinanet.evaluation.metric import EvaluationResult
from keras_retinanet.evaluation.report import align_columns, format_number

_SHOWN = 5  # images in the text; the file has all


def comparison_text(comparison: Comparison) -> str:
    """Formats the numbers of all models side by side, then each model's differences from the first.

    Args:
        comparison: The comparison.

    Returns:
        Tables; differences are percentage points with their standard deviation.
    """
    models = comparison.models
    parts = [side_by_side([model.name for model in models], [model.result for model in models])]
    parts += [_describe_model(comparison, position) for position in range(1, len(models))]
    return "\n\n".join(parts + ["\n".join(f"note: {note}" for note in comparison.notes)] * bool(comparison.notes))


def side_by_side(names: Sequence[str], results: Sequence[EvaluationResult]) -> str:
    """Formats the numbers over all classes of several models.

    Args:
        names: Name of each model.
        results: Its numbers.

    Returns:
        A table with a column per model.
    """
    rows = [("number", *names, "meaning")]
    for name, caption in results[0].captions.items():
        values = [result.stats.get(name, math.nan) for result in results]
        rows.append((name, *map(format_number, values), caption))
    return align_columns(rows, "<" + ">" * len(names) + "<")


def _score(model: ComparedModel) -> str:
    return "none" if math.isnan(model.score) else f"{model.score:.3f}"


def _describe_model(comparison: Comparison, position: int) -> str:
    """A model against the first: differences of all numbers and classes, and the images that changed most."""
    first, model = comparison.models[0], comparison.models[position]
    title = (
        f"{model.name} against {first.name}: difference in percentage points ± standard deviation, "
        f"from {comparison.replicates:,} resamplings of the {len(comparison.images):,} images"
    )
    rows = [("", "difference", "95 % of resamplings", "")]
    rows += [_difference_row(name, each) for name, each in comparison.differences[position - 1].items()]
    by_class = comparison.class_differences[position - 1].items()
    rows += [_difference_row(name, each) for name, each in by_class if each is not None]
    changed = comparison.changed_images(position)
    better = [counts for counts in changed if counts.gain(position) > 0]
    worse = changed[len(better) :][::-1]
    lines = [
        f"images: {len(better)} with fewer errors, {len(worse)} with more, {len(comparison.images) - len(changed)} "
        f"with as many (IoU 0.5, score from {_score(first)} and {_score(model)}, where F1 is best)"
    ]
    lines += [_describe_image(counts, position) for counts in (*better[:_SHOWN], *worse[:_SHOWN])]
    return "\n".join([title, align_columns(rows, "<><<"), *lines])


def _difference_row(name: str, difference: Difference) -> tuple[str, str, str, str]:
    low, high = difference.interval
    value = f"{100 * difference.value:+.1f} ± {100 * difference.deviation:.1f}"
    verdict = f"better in {100 * difference.share_better:.0f} %, worse in {100 * difference.share_worse:.0f} %"
    return name, value, f"{100 * low:+.1f} … {100 * high:+.1f}", verdict


def _describe_image(counts: ImageCounts, position: int) -> str:
    before, after = counts.errors[0], counts.errors[position]
    found = f"right {counts.right[0]} → {counts.right[position]}, wrong {counts.wrong[0]} → {counts.wrong[position]}"
    return f"  {counts.image}: {before} → {after} errors ({counts.boxes} boxes: {found})"


def to_dict(comparison: Comparison) -> dict[str, Any]:
    """Converts a comparison to plain values for strict JSON.

    Args:
        comparison: The comparison.

    Returns:
        `{"models", "replicates", "seed", "notes"}`; each model has `"name"`, `"stats"`, `"intervals"`, `"score"`; from
        the second on also `"differences"`, `"class_differences"`, and `"images"` that changed, most improved first.
    """
    models = []
    for position, model in enumerate(comparison.models):
        entry: dict[str, Any] = {
            "name": model.name,
            "score": model.score,
            "stats": model.result.stats,
            "intervals": model.intervals,
        }
        if position:
            entry["differences"] = comparison.differences[position - 1]
            entry["class_differences"] = comparison.class_differences[position - 1]
            entry["images"] = [
                {"image": row.image, "image_id": row.image_id, "boxes": row.boxes, "fewer_errors": row.gain(position),
                 "right": [row.right[0], row.right[position]], "wrong": [row.wrong[0], row.wrong[position]]}
                for row in comparison.changed_images(position)
            ]  # fmt: skip
        models.append(entry)
    content = {"models": models, "replicates": comparison.replicates, "seed": comparison.seed}
    plain: dict[str, Any] = to_json({**content, "notes": list(comparison.notes)})
    return plain
