"""Which detections are right: the two rules that metrics other than COCO's own share.

COCO (also LRP and F1): each detection, best first, takes the free box that it overlaps most; ignore regions come last
and take any number. VOC (also fizyr and Open Images): each detection is compared with the one box that it overlaps
most, and is wrong where that is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from keras_retinanet.box_overlap import areas, intersections, iou
from keras_retinanet.evaluation.metric import MetricSettings, keep_counted
from keras_retinanet.schema import Detections, Sample

Array = NDArray[Any]
Rule = Callable[[Array, Array, float], Array]
"""`(overlaps (D, N), ignore (N,), IoU threshold) → (D,)` matched boxes, see `match_by_coco`."""
RIGHT, WRONG, IGNORED = 1, 0, -1
"""Verdicts."""


class Matches(NamedTuple):
    """All detections that count, in the order of the images; best first in each.

    Attributes:
        image: `(D,)` position of the image.
        label: `(D,)`.
        score: `(D,)`.
        verdict: `(D,)` `RIGHT`, `WRONG` or `IGNORED`.
        overlap: `(D,)` IoU with the matched box; 0 without one.
    """

    image: Array
    label: Array
    score: Array
    verdict: Array
    overlap: Array

    def of_class(self, label: int) -> Matches:
        """The detections of a class that are right or wrong, best first.

        Args:
            label: int.

        Returns:
            They; of equal scores, those of earlier images come first.
        """
        return self.at(self.label == label)

    def at(self, is_chosen: Array) -> Matches:
        """The chosen detections that are right or wrong, best first.

        Args:
            is_chosen: `(D,)` bool.

        Returns:
            They; of equal scores, those of earlier images come first.
        """
        kept = np.flatnonzero(is_chosen & (self.verdict != IGNORED))
        kept = kept[np.argsort(-self.score[kept], kind="stable")]
        return Matches(*(column[kept] for column in self))

    def repeat(self, counts: Array) -> Matches:
        """The detections of a resampled set of images, in the same order.

        Args:
            counts: `(I,)` how often each image is in the set.

        Returns:
            Each detection as often as its image; copies follow each other.
        """
        rows = np.repeat(np.arange(len(self.image)), counts[self.image])
        return Matches(*(column[rows] for column in self))


def match_images(
    pairs: Sequence[tuple[Sample, Detections]],
    rule: Rule,
    iou_threshold: float,
    settings: MetricSettings | None = None,
) -> Matches:
    """Matches the detections of all images.

    Args:
        pairs: Annotations and detections of each image.
        rule: `match_by_coco` or `match_by_voc`.
        iou_threshold: IoU from which a detection is right.
        settings: Score threshold and limit on the detections of an image. Defaults to none: all count.

    Returns:
        One row per detection that counts.
    """
    limits = settings or MetricSettings()
    counted = ((sample, keep_counted(found, limits.score_threshold, limits.max_detections)) for sample, found in pairs)
    parts = [_match_image(sample, found, rule, iou_threshold) for sample, found in counted]
    columns = [np.concatenate([np.zeros(0), *column]) for column in zip(*parts, strict=True)] or [np.zeros(0)] * 4
    image = np.repeat(np.arange(len(parts)), [len(part[0]) for part in parts])
    label, score, verdict, overlap = columns
    return Matches(image, label.astype(np.int64), score, verdict.astype(np.int64), overlap)


def _match_image(sample: Sample, found: Detections, rule: Rule, threshold: float) -> tuple[Array, ...]:
    """Label, score, verdict and overlap of one image's detections."""
    labels, scores = np.asarray(found["labels"], np.int64), np.asarray(found["scores"], np.float64)
    truth, ignore = np.asarray(sample["labels"], np.int64), np.asarray(sample["ignore"], bool)
    overlaps = overlap_matrix(found["boxes"], sample["boxes"], ignore if rule is match_by_coco else None)
    overlaps[labels[:, None] != truth] = -1
    matched = rule(overlaps, ignore, threshold)
    is_matched = matched >= 0
    is_ignored = np.zeros(len(labels), bool)
    is_ignored[is_matched] = ignore[matched[is_matched]]
    verdict = np.where(is_ignored, IGNORED, np.where(is_matched, RIGHT, WRONG))
    overlap = np.zeros(len(labels))
    overlap[is_matched] = overlaps[np.flatnonzero(is_matched), matched[is_matched]]
    return labels, scores, verdict, overlap


def overlap_matrix(found: Any, truth: Any, crowd: Array | None = None) -> Array:
    """Overlaps of all detections with all boxes of an image, in float64.

    Args:
        found: `(D, 4)` in pixels.
        truth: `(N, 4)` in pixels.
        crowd: `(N,)` bool: the overlap with these is the share of the detection inside. Defaults to none.

    Returns:
        `(D, N)` IoU.
    """
    left, right = (np.asarray(boxes, np.float64).reshape(-1, 4) for boxes in (found, truth))
    overlaps: Array = iou(left[:, None], right[None])
    if crowd is not None and crowd.any():
        inside = intersections(left[:, None], right[None, crowd]) / np.maximum(areas(left), 1e-12)[:, None]
        overlaps[:, crowd] = inside
    return overlaps


def match_by_coco(overlaps: Array, ignore: Array, threshold: float) -> Array:
    """COCO's rule: each detection, best first, takes the free box that it overlaps most.

    Args:
        overlaps: `(D, N)`, best detection first; -1 for boxes of other classes.
        ignore: `(N,)` bool: regions that take any number of detections that no box takes.
        threshold: Least overlap.

    Returns:
        `(D,)` position of the box or region that each detection takes, -1 for none.
    """
    matched = np.full(len(overlaps), -1)
    free = np.where(ignore, -1.0, overlaps)
    regions = np.where(ignore, overlaps, -1.0)
    last = overlaps.shape[1] - 1
    for row in np.flatnonzero((overlaps >= threshold).any(axis=1)):
        for candidates in (free, regions):
            best = last - candidates[row, ::-1].argmax()  # of equal overlaps the last, as in pycocotools
            if candidates[row, best] >= threshold:
                matched[row] = best
                if candidates is free:
                    free[:, best] = -1
                break
    return matched


def match_by_voc(overlaps: Array, ignore: Array, threshold: float) -> Array:
    """VOC's rule: a detection is right if the box that it overlaps most is free.

    Args:
        overlaps: `(D, N)`, best detection first; -1 for boxes of other classes.
        ignore: `(N,)` bool: boxes whose detections are neither right nor wrong.
        threshold: Least overlap.

    Returns:
        `(D,)` position of the box that each detection takes, -1 for none.
    """
    matched, taken = np.full(len(overlaps), -1), np.zeros(len(ignore), bool)
    for row in np.flatnonzero((overlaps >= threshold).any(axis=1)):
        best = overlaps[row].argmax()
        if ignore[best] or not taken[best]:
            matched[row] = best
            taken[best] = True
    return matched


def cuts(scores: Array) -> Array:
    """The numbers of detections that some score threshold keeps.

    Args:
        scores: `(D,)` descending.

    Returns:
        Ascending ints from 0 to `D`; detections of equal scores are kept together.
    """
    return np.concatenate([[0], np.flatnonzero(np.diff(scores)) + 1, [len(scores)] * bool(len(scores))]).astype(
        np.int64
    )
