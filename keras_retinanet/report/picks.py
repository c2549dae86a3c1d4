"""What the galleries show: the worst errors and likely label errors of an analysis, and images chosen by chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_retinanet.analysis import Analysis
from keras_retinanet.analysis.label_errors import LabelError
from keras_retinanet.analysis.worst_images import BoxError
from keras_retinanet.report.galleries import MAX_ITEMS, Gallery, Pick
from keras_retinanet.schema import Detections, Sample


def pick_galleries(
    analysis: Analysis | None, samples: Sequence[Sample], found: Mapping[int | str, Detections]
) -> list[Gallery]:
    """Chooses the pictures of a report.

    Args:
        analysis: The analysis; without one, only images by chance are shown.
        samples: The annotated images.
        found: Their detections by image id.

    Returns:
        The galleries.
    """
    if analysis is None:
        return [pick_random(samples)]
    names, worst = analysis.class_names, analysis.worst
    place = {sample["image_id"]: row for row, sample in enumerate(samples)}

    def pick(error: BoxError | LabelError, truth: Any, detection: Any, caption: str) -> Pick:
        row = place[error.image_id]
        entry = found.get(error.image_id)
        return Pick(row, caption, _find(samples[row], truth), _find(entry, detection) if entry else None)

    return [
        Gallery(
            "Worst misses",
            "Annotated boxes that no detection is near, the largest first.",
            [pick(error, error.box, None, _of_miss(error, names)) for error in worst.misses[:MAX_ITEMS]],
        ),
        Gallery(
            "Confident errors",
            "Wrong detections, the highest scores first. Some may be right, and the annotation wrong.",
            [
                pick(error, error.other_box, error.box, _of_detection(error, names))
                for error in worst.false_positives[:MAX_ITEMS]
            ],
        ),
        Gallery(
            "Likely label errors",
            "Annotations that confident detections contradict, the most likely first. Look before changing them.",
            [
                pick(error, error.box, error.suggested_box, _of_label(error, names))
                for error in analysis.label_errors[:MAX_ITEMS]
            ],
        ),
        Gallery(
            "Most errors",
            f"Images with the most missed boxes and wrong detections at scores above {worst.score_threshold:g}.",
            [
                Pick(place[image.image_id], f"{image.num_missed} missed, {image.num_wrong} wrong")
                for image in worst.images[:MAX_ITEMS]
            ],
        ),
        pick_random(samples),
    ]


def pick_random(samples: Sequence[Sample], count: int = MAX_ITEMS) -> Gallery:
    """Chooses images at random, the same ones for the same number of images.

    Args:
        samples: The annotated images.
        count: Number of images. Defaults to `MAX_ITEMS`.

    Returns:
        The gallery.
    """
    chosen = np.random.default_rng(0).permutation(len(samples))[:count].tolist()
    picks = [Pick(row, f"{len(samples[row]['labels'])} annotated") for row in chosen]
    return Gallery("Random images", "Chosen by chance: what the detector usually does.", picks)


def _find(side: Any, box: Any) -> int | None:
    """Position of a box among those of a sample or of detections."""
    if box is None or not len(side["boxes"]):
        return None
    gaps = np.abs(np.asarray(side["boxes"], np.float64).reshape(-1, 4) - np.asarray(box)).max(axis=1)
    return int(gaps.argmin())


def _of_miss(error: BoxError, names: Sequence[str]) -> str:
    near = f"; nearest: {names[error.other_label]} {error.other_score:.2f}" if error.other_box is not None else ""
    return f"missed {names[error.label]}{near}"


def _of_detection(error: BoxError, names: Sequence[str]) -> str:
    what = {
        "Cls": f"annotated as {names[error.other_label]}",
        "Loc": f"loose box, IoU {error.overlap:.2f}",
        "Dupe": "found twice",
        "Bkg": "nothing annotated",
    }
    return f"{names[error.label]} {error.score:.2f}: {what.get(error.kind, 'wrong class and loose box')}"


def _of_label(error: LabelError, names: Sequence[str]) -> str:
    suggested = f"{names[error.suggested_label]} {error.score:.2f}"
    if error.kind == "missing":
        return f"not annotated? {suggested}"
    if error.kind == "wrong_class":
        return f"annotated as {names[error.label]}; {suggested}?"
    return f"misplaced? {suggested}, IoU {error.overlap:.2f}"
