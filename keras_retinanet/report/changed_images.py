"""Pictures of a comparison: images that a model does better or worse on than the first, by both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_retinanet.analysis.comparison import Comparison, ImageCounts
from keras_retinanet.report.galleries import MAX_ITEMS, Gallery, Pick, draw_galleries
from keras_retinanet.report.pictures import Pictures
from keras_retinanet.schema import Detections, Sample


def draw_changes(
    comparison: Comparison, samples: Sequence[Sample], compared: Sequence[Sequence[Detections]], pictures: Pictures
) -> list[dict[str, Any]]:
    """Draws each image twice, by the first model and then by the other, with the detections that are counted.

    Args:
        comparison: The comparison.
        samples: The annotated images.
        compared: The detections of each model.
        pictures: Receives the pictures.

    Returns:
        Galleries for the page; those without a picture are left out.
    """
    place = {sample["image_id"]: row for row, sample in enumerate(samples)}
    counted = [
        {entry["image_id"]: _keep(entry, model.score) for entry in found}
        for model, found in zip(comparison.models, compared, strict=True)
    ]
    drawn: list[dict[str, Any]] = []
    for position in range(1, len(comparison.models)):
        changed = comparison.changed_images(position)
        for title, explanation, rows in (
            ("Better", "fewer", [row for row in changed if row.gain(position) > 0]),
            ("Worse", "more", [row for row in reversed(changed) if row.gain(position) < 0]),
        ):
            words = (
                f"{title} by {comparison.models[position].name}",
                f"Images with {explanation} errors (missed boxes and wrong detections) than by "
                f"{comparison.models[0].name}, which comes first in each pair; the largest change first.",
            )
            pair = [
                draw_galleries(
                    [Gallery(*words, _pick(comparison, model, rows[: MAX_ITEMS // 2], place))],
                    samples, counted[model], pictures,
                )
                for model in (0, position)
            ]  # fmt: skip
            for before, after in zip(*pair, strict=True):
                items = [item for both in zip(before["items"], after["items"], strict=True) for item in both]
                drawn.append({**before, "items": items})
    return drawn


def _pick(
    comparison: Comparison, model: int, rows: Sequence[ImageCounts], place: Mapping[int | str, int]
) -> list[Pick]:
    name = comparison.models[model].name
    return [
        Pick(place[row.image_id], f"{name}: {row.boxes - row.right[model]} missed, {row.wrong[model]} wrong")
        for row in rows
    ]


def _keep(entry: Detections, score: float) -> Detections:
    is_kept = np.asarray(entry["scores"], np.float64) >= score
    return {
        "image_id": entry["image_id"],
        "boxes": np.asarray(entry["boxes"]).reshape(-1, 4)[is_kept],
        "scores": np.asarray(entry["scores"])[is_kept],
        "labels": np.asarray(entry["labels"])[is_kept],
    }
