"""Annotations that look wrong: boxes that are missing, have the wrong class, or are misplaced.

Reference: the three kinds are those of Tkachenko et al., "ObjectLab: Automated Diagnosis of Mislabeled Images in Object
Detection Data", 2023; the ranking is our own, see `label_evidence`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from keras_retinanet.analysis.label_evidence import claim_misplaced, claim_missing, claim_wrong_class
from keras_retinanet.analysis.matches import Matches

Array = NDArray[Any]
LabelErrorKind = Literal["missing", "wrong_class", "misplaced"]
Box = tuple[float, float, float, float]


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
        rank: Share of equally confident detections that the annotations confirm, 0 … 1; the list is sorted by it.
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


def find_label_errors(matches: Matches, most: int = 1000) -> tuple[LabelError, ...]:
    """Lists the annotations that reliable detections contradict, each once.

    The detections must come from models that were not trained on these images.

    Args:
        matches: The images.
        most: Length of the list.

    Returns:
        Suggestions, the most likely first.
    """
    kinds: tuple[LabelErrorKind, ...] = ("missing", "wrong_class", "misplaced")
    claims = claim_missing(matches), claim_wrong_class(matches), claim_misplaced(matches)
    kind = np.repeat(np.arange(3), [len(part.found) for part in claims])
    found = np.concatenate([part.found for part in claims])
    truth = np.concatenate([part.truth for part in claims])
    rank = np.concatenate([part.reliability for part in claims])
    evidence = np.concatenate([part.evidence for part in claims])
    used_found: set[int] = set()
    used_truth: set[int] = set()
    listed: list[LabelError] = []
    for k in np.lexsort((found, -evidence, -rank)).tolist():
        detection, box = int(found[k]), int(truth[k])
        if len(listed) == most or rank[k] <= 0:
            break
        if detection in used_found or box in used_truth:
            continue
        used_found.add(detection)
        used_truth |= {box} - {-1}
        listed.append(_describe(matches, kinds[kind[k]], detection, box, float(rank[k])))
    return tuple(listed)


def _describe(matches: Matches, kind: LabelErrorKind, detection: int, box: int, rank: float) -> LabelError:
    found, truth, overlaps = matches.found, matches.truth, matches.overlaps
    sample = matches.samples[found.image[detection]]
    overlap = 0.0
    if box >= 0:
        start, end = np.searchsorted(overlaps.found, [detection, detection + 1])
        overlap = float(overlaps.iou[start:end][overlaps.truth[start:end] == box].max())
    return LabelError(
        kind=kind,
        image=sample["image"],
        image_id=sample["image_id"],
        row=int(truth.row[box]) if box >= 0 else -1,
        label=int(truth.label[box]) if box >= 0 else -1,
        box=_as_box(truth.box[box]) if box >= 0 else None,
        suggested_label=int(found.label[detection]),
        suggested_box=_as_box(found.box[detection]),
        score=float(found.score[detection]),
        overlap=overlap,
        rank=rank,
    )


def _as_box(row: Array) -> Box:
    x1, y1, x2, y2 = row.tolist()
    return x1, y1, x2, y2
