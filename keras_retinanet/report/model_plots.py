"""Plots that show several models side by side: curves over score and recall, and AP lost to each kind of error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_retinanet.analysis.curves import ScoreCurves, compute_curves
from keras_retinanet.analysis.matches import match
from keras_retinanet.analysis.tide import CAPTIONS, KINDS, TideErrors, find_errors
from keras_retinanet.report.sections import KIND_NAMES
from keras_retinanet.report.subject import IOU, choose_images
from keras_retinanet.schema import Detections, Sample


def describe_models(
    names: Sequence[str],
    samples: Sequence[Sample],
    detections: Sequence[Sequence[Detections]],
    class_names: Sequence[str],
) -> dict[str, Any]:
    """Analyses each model and converts the results to what the page draws.

    Args:
        names: Name of each model.
        samples: The annotated images; of many, some are chosen by chance.
        detections: The detections of each model.
        class_names: Names of the labels `0 … K-1`.

    Returns:
        `iou`, `recalls`, `thresholds`; `models` with `name` and, for all classes and then each, `precision` by recall
        and `f1` by threshold; `errors` with the AP that each kind costs each model, the costliest first.
    """
    chosen = choose_images(len(samples))
    kept = [samples[k] for k in chosen]
    ids = {sample["image_id"] for sample in kept}
    curves, errors = [], []
    for found in detections:
        matches = match(kept, [entry for entry in found if entry["image_id"] in ids], class_names, IOU)
        curves.append(compute_curves(matches))
        errors.append(find_errors(matches))
    return {
        "iou": IOU,
        "recalls": curves[0].recalls.round(4).tolist(),
        "thresholds": curves[0].thresholds.round(4).tolist(),
        "models": [{"name": name, "groups": _describe_curves(own)} for name, own in zip(names, curves, strict=True)],
        "errors": _describe_errors(errors),
    }


def _describe_curves(curves: ScoreCurves) -> list[dict[str, Any]]:
    last = len(curves.num_boxes) - 1
    return [
        {
            "precision": curves.precision_at_recall[row].round(4).tolist() if curves.num_boxes[row] else None,
            "f1": curves.f1[row].round(4).tolist() if curves.num_boxes[row] else None,
        }
        for row in (last, *range(last))
    ]


def _describe_errors(errors: Sequence[TideErrors]) -> list[dict[str, Any]]:
    rows = [
        {
            "name": KIND_NAMES[kind],
            "meaning": f"{CAPTIONS[kind]} (TIDE's {kind})",
            "values": [round(own.delta_ap[kind], 5) for own in errors],
            "counts": [own.counts[kind] for own in errors],
        }
        for kind in KINDS
    ]
    return sorted(rows, key=lambda row: -float(np.max(row["values"])))
