"""TIDE: which kind of error costs how much AP.

Detections in ignore regions are not errors here; tidecv counts them, too. It considers the best 100 detections of an
image, this all.

Reference: Bolya et al., "TIDE: A General Toolbox for Identifying Object Detection Errors", ECCV 2020; numerics of
tidecv 1.0.1.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from keras_retinanet.analysis.matches import Matches, best_overlaps
from keras_retinanet.analysis.precision import average_precision
from keras_retinanet.evaluation.matching import RIGHT

Array = NDArray[Any]

KINDS: Final = ("Cls", "Loc", "Both", "Dupe", "Bkg", "Miss")
_RECALLS = np.arange(101) / 100  # not COCO's, which are rounded otherwise
CAPTIONS = {
    "Cls": "right place, wrong class",
    "Loc": "right class, loose box",
    "Both": "wrong class and loose box",
    "Dupe": "second detection of a box",
    "Bkg": "nothing is annotated there",
    "Miss": "box that no detection is near",
    "FalsePos": "all wrong detections",
    "FalseNeg": "all boxes not found",
}
"""TIDE's kinds of error, with their meaning; the last two contain the others."""


@dataclass(frozen=True)
class TideErrors:
    """The errors of a detector by kind.

    Attributes:
        ap: AP at the IoU threshold, mean over classes that have boxes or detections.
        delta_ap: For each of `CAPTIONS`, by how much AP rises if these errors are corrected.
        counts: Errors of each of `KINDS`.
        class_counts: `(K,)` errors of each class by kind: the class of the detection, or of the missed box.
        kind: `(D,)` int8: position in `KINDS` of each detection of `Matches.found`, -1 for right and ignored ones.
        is_missed: `(N,)` bool: annotated boxes counted as `Miss`.
        iou_threshold: IoU from which a detection is right.
        background_iou: Detections that overlap boxes at most this much are background.
    """

    ap: float
    delta_ap: dict[str, float]
    counts: dict[str, int]
    class_counts: dict[str, Array]
    kind: Array
    is_missed: Array
    iou_threshold: float
    background_iou: float


def find_errors(matches: Matches, background_iou: float = 0.1) -> TideErrors:
    """Sorts wrong detections and boxes that were not found by kind.

    Args:
        matches: Matched with `least_overlap` not above `background_iou`.
        background_iou: Detections that overlap boxes at most this much are background.

    Returns:
        The errors.
    """
    found, truth, num_classes = matches.found, matches.truth, len(matches.class_names)
    kind, target = _classify(matches, background_iou)
    is_lost = ~matches.is_found & ~truth.ignore
    is_usable = np.zeros(len(truth.label), bool)
    is_usable[target[target >= 0]] = True
    is_missed = is_lost & ~is_usable
    is_scored = (kind >= 0) | (matches.verdict == RIGHT)
    right = matches.verdict == RIGHT
    boxes, rest, matched = (truth.label[~truth.ignore & ~left_out] for left_out in (np.False_, is_missed, is_lost))
    mean_ap = functools.partial(_mean_ap, num_classes=num_classes)
    base = mean_ap(found.label, found.score, right, is_scored, boxes)
    delta = {}
    for k, name in enumerate(KINDS[:-1]):
        label, is_right, is_kept = _correct(matches, kind == k, target)
        delta[name] = max(mean_ap(label, found.score, is_right, is_kept & is_scored, boxes) - base, 0.0)
    delta["Miss"] = max(mean_ap(found.label, found.score, right, is_scored, rest) - base, 0.0)
    delta["FalsePos"] = mean_ap(found.label, right * 1.0, right, is_scored, boxes) - base
    delta["FalseNeg"] = mean_ap(found.label, found.score, right, is_scored, matched) - base
    rows = {name: np.bincount(found.label[kind == k], minlength=num_classes) for k, name in enumerate(KINDS[:-1])}
    rows["Miss"] = np.bincount(truth.label[is_missed], minlength=num_classes)
    counts = {name: int(row.sum()) for name, row in rows.items()}
    return TideErrors(base, delta, counts, rows, kind, is_missed, matches.iou_threshold, background_iou)


def _classify(matches: Matches, background_iou: float) -> tuple[Array, Array]:
    """`(D,)` kind of each wrong detection, -1 for others; `(D,)` the free box that correcting it would find, or -1."""
    overlaps, truth, count = matches.overlaps, matches.truth, len(matches.found.label)
    is_box = ~truth.ignore[overlaps.truth]
    same, same_box = best_overlaps(overlaps, is_box & overlaps.is_class, count)
    other, other_box = best_overlaps(overlaps, is_box & ~overlaps.is_class, count)
    used, _ = best_overlaps(overlaps, is_box & overlaps.is_class & matches.is_found[overlaps.truth], count)
    threshold = matches.iou_threshold
    has_boxes = np.bincount(truth.image[~truth.ignore], minlength=len(matches.samples))[matches.found.image] > 0
    conditions = [
        (same >= background_iou) & (same <= threshold),
        other >= threshold,
        used >= threshold,
        ~has_boxes | (np.maximum(same, other) <= background_iou),
    ]
    codes = [KINDS.index(name) for name in ("Loc", "Cls", "Dupe", "Bkg")]
    kind = np.select(conditions, codes, default=KINDS.index("Both")).astype(np.int8)
    kind[matches.verdict != 0] = -1
    target = np.where(kind == KINDS.index("Loc"), same_box, np.where(kind == KINDS.index("Cls"), other_box, -1))
    target[(target >= 0) & matches.is_found[target]] = -1
    return kind, target


def _correct(matches: Matches, is_corrected: Array, target: Array) -> tuple[Array, Array, Array]:
    """Labels, verdicts and whether they are kept, of all detections, with some errors corrected.

    Of the errors that aim at one box the best is made right, whatever its kind; the others are removed.
    """
    found = matches.found
    aims = np.flatnonzero(target >= 0)
    aims = aims[np.lexsort((-found.score[aims], target[aims]))]
    winners = aims[np.unique(target[aims], return_index=True)[1]]
    is_winner = np.zeros(len(target), bool)
    is_winner[winners] = True
    is_right = (matches.verdict == RIGHT) | (is_corrected & is_winner)
    label = np.where(is_corrected & is_winner, np.append(matches.truth.label, 0)[target], found.label)
    return label, is_right, ~is_corrected | is_winner


def _mean_ap(label: Array, score: Array, is_right: Array, is_kept: Array, box_labels: Array, num_classes: int) -> float:
    """Mean AP over the classes that have boxes or detections; 0 for a class without boxes."""
    num_boxes = np.bincount(box_labels, minlength=num_classes)
    values = []
    for k in range(num_classes):
        rows = np.flatnonzero(is_kept & (label == k))
        if num_boxes[k] or len(rows):
            values.append(
                average_precision(score[rows], is_right[rows], num_boxes[k], _RECALLS) if num_boxes[k] else 0.0
            )
    return float(np.mean(values)) if values else 0.0
