"""How much detections contradict each annotation, and how often such detections are right.

A detector that was not trained on an image contradicts its annotations in three ways: it finds an object where nothing
is annotated, another class in a box, or the same class in another place. Each contradiction gets the share of equally
confident detections of its kind that the annotations confirm: scores, margins between classes and overlaps become one
scale, the detector's own reliability, measured on the same images.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_retinanet.analysis.matches import Matches, best_overlaps
from keras_retinanet.box_overlap import iou
from keras_retinanet.evaluation.matching import RIGHT, WRONG

Array = NDArray[Any]

FREE_OVERLAP = 0.3
"""Largest overlap of a missing box with annotated ones."""
FITTING_OVERLAP = 0.6
"""Overlap from which an annotated box is well placed."""
_DUPLICATE_OVERLAP = 0.5
_MIN_BIN, _MAX_BINS = 20, 20


@dataclass(frozen=True)
class Claims:
    """Contradictions of one kind.

    Attributes:
        found: `(C,)` int64: the detection that contradicts.
        truth: `(C,)` int64: the annotated box, -1 where none is.
        reliability: `(C,)` float64 in 0 … 1: share of such detections that is right.
        evidence: `(C,)` float64: the detector's confidence, which orders claims of equal reliability.
    """

    found: Array
    truth: Array
    reliability: Array
    evidence: Array


def reliability_of(evidence: Array, is_confirmed: Array) -> Array:
    """The share of detections that is confirmed, as a rising function of the evidence.

    Args:
        evidence: `(D,)` floats.
        is_confirmed: `(D,)` bool.

    Returns:
        `(D,)` float64 shares; one contradiction is added to each bin of equally many detections, so that few
        detections are never reliable.
    """
    if not len(evidence):
        return np.zeros(0)
    order = np.argsort(evidence, kind="stable")
    bins = np.array_split(order, min(_MAX_BINS, max(1, len(order) // _MIN_BIN)))
    shares = np.maximum.accumulate([is_confirmed[rows].sum() / (len(rows) + 1) for rows in bins])
    return np.interp(evidence, [evidence[rows].mean() for rows in bins], shares)


def claim_missing(matches: Matches) -> Claims:
    """Detections where nothing is annotated, ranked by the precision of their class at their score.

    Args:
        matches: The images.

    Returns:
        One claim per detection that overlaps annotated boxes by less than `FREE_OVERLAP` and no better detection by
        half.
    """
    found, overlaps = matches.found, matches.overlaps
    best, _ = best_overlaps(overlaps, np.ones(len(overlaps.iou), bool), len(found.label))
    is_claim = (matches.verdict == WRONG) & (best < FREE_OVERLAP) & ~find_duplicates(matches)
    reliability = np.zeros(len(found.label))
    for k in range(len(matches.class_names)):
        rows = np.flatnonzero((found.label == k) & (is_claim | (matches.verdict == RIGHT)))
        reliability[rows] = reliability_of(found.score[rows], matches.verdict[rows] == RIGHT)
    claims = np.flatnonzero(is_claim)
    return Claims(claims, np.full(len(claims), -1), reliability[claims], found.score[claims])


def claim_wrong_class(matches: Matches) -> Claims:
    """Boxes in which the detector finds another class, ranked by how often it is right at this margin between classes.

    The margin is the higher of the scores of the annotated and of the best other class, times one minus the lower.

    Args:
        matches: The images.

    Returns:
        One claim per box that another class fits better.
    """
    overlaps, count = matches.overlaps, len(matches.truth.label)
    is_near = (overlaps.iou >= matches.iou_threshold) & ~matches.truth.ignore[overlaps.truth]
    own, _ = _best_scores(matches, is_near & overlaps.is_class)
    other, detection = _best_scores(matches, is_near & ~overlaps.is_class)
    margin = np.maximum(own, other) * (1 - np.minimum(own, other))
    has_any = np.maximum(own, other) > 0
    reliability = np.zeros(count)
    reliability[has_any] = reliability_of(margin[has_any], own[has_any] >= other[has_any])
    claims = np.flatnonzero(other > own)
    return Claims(detection[claims], claims, reliability[claims], margin[claims])


def claim_misplaced(matches: Matches) -> Claims:
    """Boxes that the detector finds elsewhere, ranked by how well its boxes of this class fit otherwise.

    Each box is compared with the best detection of its class that overlaps no other box more. The rank is the product
    of three shares: of detections with this score whose box fits, of boxes of the class that fit better than this one,
    and one minus the score of a detection that fits it.

    Args:
        matches: The images.

    Returns:
        One claim per box that the detection overlaps by less than `FITTING_OVERLAP`.
    """
    overlaps, found, truth = matches.overlaps, matches.found, matches.truth
    same = overlaps.is_class & ~truth.ignore[overlaps.truth]
    overlap_of, box_of = best_overlaps(overlaps, same, len(found.label))
    usable = np.flatnonzero((box_of >= 0) & ~find_duplicates(matches))  # best first within each image
    box, first = np.unique(box_of[usable], return_index=True)
    detection = usable[first]
    overlap, score = overlap_of[detection], found.score[detection]
    fitting, _ = _best_scores(matches, same & (overlaps.iou >= FITTING_OVERLAP))
    reliability, share = np.zeros(len(box)), np.zeros(len(box))
    for k in range(len(matches.class_names)):
        rows = np.flatnonzero(truth.label[box] == k)
        is_confirmed = (overlap[rows] >= FITTING_OVERLAP) | (fitting[box[rows]] >= score[rows])
        reliability[rows] = reliability_of(score[rows], is_confirmed)
        better = np.sort(overlap[rows])
        share[rows] = 1 - np.searchsorted(better, overlap[rows], side="right") / (len(rows) + 1)
    rank = reliability * share * (1 - fitting[box])
    claims = overlap < FITTING_OVERLAP
    return Claims(detection[claims], box[claims], rank[claims], score[claims])


def find_duplicates(matches: Matches) -> Array:
    """Finds detections that overlap a better one of the same image by half or more, whatever the classes.

    Args:
        matches: The images.

    Returns:
        `(D,)` bool.
    """
    found = matches.found
    is_duplicate = np.zeros(len(found.label), bool)
    ends = np.searchsorted(found.image, np.arange(len(matches.samples) + 1))
    for start, end in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True):
        boxes = found.box[start:end]
        overlaps = np.tril(iou(boxes[:, None], boxes[None]), -1)
        is_duplicate[start:end] = (overlaps >= _DUPLICATE_OVERLAP).any(axis=1)
    return is_duplicate


def _best_scores(matches: Matches, is_chosen: Array) -> tuple[Array, Array]:
    """`(N,)` highest score of the chosen pairs of each annotated box, 0 without one, and the detection or -1."""
    pairs = np.flatnonzero(is_chosen)
    box, detection = matches.overlaps.truth[pairs], matches.overlaps.found[pairs]
    order = np.lexsort((detection, -matches.found.score[detection], box))
    boxes, first = np.unique(box[order], return_index=True)
    scores, best = np.zeros(len(matches.truth.label)), np.full(len(matches.truth.label), -1)
    best[boxes] = detection[order][first]
    scores[boxes] = matches.found.score[best[boxes]]
    return scores, best
