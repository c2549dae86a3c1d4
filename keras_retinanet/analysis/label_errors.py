"""Annotations that look wrong: boxes that are missing, have the wrong class, or are misplaced."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from keras_retinanet.analysis.matches import Matches
from keras_retinanet.analysis.tide import KINDS, TideErrors

Array = NDArray[Any]
LabelErrorKind = Literal["missing", "wrong_class", "misplaced"]
Box = tuple[float, float, float, float]
_KINDS: dict[str, LabelErrorKind] = {"Bkg": "missing", "Cls": "wrong_class", "Loc": "misplaced"}


@dataclass(frozen=True)
class LabelError:
    """A suggestion to change an annotation.

    Attributes:
        kind: What looks wrong.
        image: Path of the image.
        image_id: Its id.
        row: Position of the box among the annotations of the image; -1 for a missing one.
        label: Annotated class; -1 for a missing box.
        box: Annotated box in pixels; `None` for a missing one.
        suggested_label: Class that the detector found.
        suggested_box: Box that the detector found.
        score: Score of that detection.
        overlap: IoU of both boxes; 0 for a missing one.
        rank: How likely the annotation is wrong, comparable between kinds; the list is sorted by it.
    """

    kind: LabelErrorKind
    image: str
    image_id: int | str
    row: int
    label: int
    box: Box | None
    suggested_label: int
    suggested_box: Box
    score: float
    overlap: float
    rank: float


def find_label_errors(matches: Matches, errors: TideErrors, most: int = 1000) -> tuple[LabelError, ...]:
    """Lists the annotations that confident detections contradict.

    The detections must come from models that were not trained on these images.

    Args:
        matches: The images.
        errors: The errors of the detections by kind.
        most: Length of the list.

    Returns:
        Suggestions, the most likely first.
    """
    found, truth, overlaps = matches.found, matches.truth, matches.overlaps
    listed = [row for row in np.flatnonzero(errors.kind >= 0).tolist() if KINDS[errors.kind[row]] in _KINDS]
    listed.sort(key=lambda row: -found.score[row])
    suggestions = []
    for row in listed[:most]:
        kind = _KINDS[KINDS[errors.kind[row]]]
        sample = matches.samples[found.image[row]]
        pairs = np.flatnonzero((overlaps.found == row) & (overlaps.is_class == (kind == "misplaced")))
        target = -1 if kind == "missing" else int(overlaps.truth[pairs[overlaps.iou[pairs].argmax()]])
        x1, y1, x2, y2 = found.box[row].tolist()
        suggestions.append(
            LabelError(
                kind,
                sample["image"],
                sample["image_id"],
                -1 if target < 0 else int(truth.row[target]),
                -1 if target < 0 else int(truth.label[target]),
                None if target < 0 else tuple(truth.box[target].tolist()),
                int(found.label[row]),
                (x1, y1, x2, y2),
                float(found.score[row]),
                0.0 if target < 0 else float(overlaps.iou[pairs].max()),
                float(found.score[row]),
            )
        )
    return tuple(suggestions)
