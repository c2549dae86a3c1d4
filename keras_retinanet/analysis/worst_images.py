"""The worst misses, the most confident wrong detections, and the images with the most errors, as records to draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_retinanet.analysis.matches import Matches
from keras_retinanet.analysis.tide import KINDS, TideErrors

Array = NDArray[Any]
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class BoxError:
    """A wrong detection or a box that was not found, with what overlaps it most on the other side.

    Attributes:
        image: Path of the image.
        image_id: Its id.
        kind: One of `tide.KINDS`; `"Miss"` for a box.
        label: Class of the detection; of the box for a miss.
        box: It, in pixels.
        score: Score of the detection; nan for a miss.
        overlap: Largest IoU with an annotated box (of a miss: with a detection) of any class; 0 without one.
        other_label: Class of that; -1 without one.
        other_box: That; `None` without one.
        other_score: Score of that where it is a detection, else nan.
    """

    image: str
    image_id: int | str
    kind: str
    label: int
    box: Box
    score: float
    overlap: float
    other_label: int
    other_box: Box | None
    other_score: float


@dataclass(frozen=True)
class ImageErrors:
    """An image with errors.

    Attributes:
        image: Path of the image.
        image_id: Its id.
        num_boxes: Boxes annotated, ignore regions left out.
        num_missed: Boxes not found above the score threshold.
        num_wrong: Wrong detections above the score threshold.
    """

    image: str
    image_id: int | str
    num_boxes: int
    num_missed: int
    num_wrong: int


@dataclass(frozen=True)
class WorstImages:
    """Where to look.

    Attributes:
        misses: Boxes that no detection is near, the largest share of the image first.
        false_positives: Wrong detections, the most confident first.
        images: Images with the most errors first.
        score_threshold: Of `images`.
    """

    misses: tuple[BoxError, ...]
    false_positives: tuple[BoxError, ...]
    images: tuple[ImageErrors, ...]
    score_threshold: float


def find_worst(matches: Matches, errors: TideErrors, score_threshold: float = 0.3, most: int = 50) -> WorstImages:
    """Picks the worst errors.

    Args:
        matches: The images.
        errors: Their errors by kind.
        score_threshold: Detections that score above it count for the list of images.
        most: Length of each list.

    Returns:
        The records.
    """
    found, truth = matches.found, matches.truth
    wrong = np.flatnonzero(errors.kind >= 0)
    wrong = wrong[np.argsort(-found.score[wrong], kind="stable")][:most]
    missed = np.flatnonzero(errors.is_missed)
    sides = truth.box[missed, 2:] - truth.box[missed, :2]
    missed = missed[np.argsort(-sides.prod(axis=1), kind="stable")][:most]
    return WorstImages(
        tuple(_describe(matches, row, "Miss") for row in missed.tolist()),
        tuple(_describe(matches, row, KINDS[errors.kind[row]]) for row in wrong.tolist()),
        tuple(_count_errors(matches, score_threshold, most)),
        score_threshold,
    )


def _describe(matches: Matches, row: int, kind: str) -> BoxError:
    found, truth, overlaps = matches.found, matches.truth, matches.overlaps
    is_miss = kind == "Miss"
    own: Any = truth if is_miss else found
    pairs = np.flatnonzero((overlaps.truth if is_miss else overlaps.found) == row)
    if not is_miss:
        pairs = pairs[~truth.ignore[overlaps.truth[pairs]]]
    sample = matches.samples[own.image[row]]
    best = pairs[overlaps.iou[pairs].argmax()] if len(pairs) else -1
    other = -1 if best < 0 else int((overlaps.found if is_miss else overlaps.truth)[best])
    opposite: Any = found if is_miss else truth
    return BoxError(
        image=sample["image"],
        image_id=sample["image_id"],
        kind=kind,
        label=int(own.label[row]),
        box=_as_box(own.box[row]),
        score=float("nan") if is_miss else float(found.score[row]),
        overlap=float(overlaps.iou[best]) if other >= 0 else 0.0,
        other_label=int(opposite.label[other]) if other >= 0 else -1,
        other_box=_as_box(opposite.box[other]) if other >= 0 else None,
        other_score=float(found.score[other]) if is_miss and other >= 0 else float("nan"),
    )


def _as_box(row: Array) -> Box:
    x1, y1, x2, y2 = row.tolist()
    return x1, y1, x2, y2


def _count_errors(matches: Matches, score_threshold: float, most: int) -> Sequence[ImageErrors]:
    found, truth, count = matches.found, matches.truth, len(matches.samples)
    is_kept = found.score > score_threshold
    boxes = np.bincount(truth.image[~truth.ignore], minlength=count)
    right = np.bincount(found.image[is_kept & (matches.verdict == 1)], minlength=count)
    wrong = np.bincount(found.image[is_kept & (matches.verdict == 0)], minlength=count)
    total = boxes - right + wrong
    return [
        ImageErrors(
            matches.samples[k]["image"],
            matches.samples[k]["image_id"],
            int(boxes[k]),
            int(boxes[k] - right[k]),
            int(wrong[k]),
        )
        for k in np.argsort(-total, kind="stable")[:most].tolist()
        if total[k]
    ]
