"""The bootstrap over images: detections are matched once, and the results of each image are resampled.

A replicate is a set of as many images, drawn with replacement; an image that is drawn twice counts as two. AP of a
replicate is exactly the AP that COCO defines for that set.

Reference: Efron and Tibshirani, "An Introduction to the Bootstrap", chapters 13 and 14.
"""

from __future__ import annotations

from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from keras_retinanet.evaluation.coco_matches import CocoMatches
from keras_retinanet.evaluation.matching import IGNORED, RIGHT

Array = NDArray[Any]

CONFIDENCE = 0.95
"""Share of the replicates inside an interval."""
_RECALLS = np.linspace(0, 1, 101)  # with pycocotools' rounding
_NORMAL = NormalDist()
_CELLS = 4_000_000  # detections × replicates held at a time


class Interval(NamedTuple):
    """The range of a number over resampled images.

    Attributes:
        low: Lower end.
        high: Upper end; both nan if no replicate has the number.
    """

    low: float
    high: float


def draw_counts(num_images: int, replicates: int, seed: int = 0) -> Array:
    """Draws sets of images with replacement.

    Args:
        num_images: int, `I`.
        replicates: int, `R`.
        seed: Seed of the draw.

    Returns:
        `(R, I)` int32: how often each image is in each set; rows sum to `I`.
    """
    random = np.random.default_rng(seed)
    drawn = random.integers(0, max(num_images, 1), (replicates, num_images))
    counts = np.zeros((replicates, num_images), np.int32)
    np.add.at(counts, (np.arange(replicates)[:, None], drawn), 1)
    return counts


def interval(values: Array, observed: float | None = None, confidence: float = CONFIDENCE) -> Interval:
    """The interval of a number from its replicates.

    Args:
        values: `(R,)`; nan where a replicate does not have the number.
        observed: The number on the images as they are. With it, the interval is corrected for bias: a set with copies
            of images is easier or harder than one without (Efron's BC interval). Defaults to the percentile interval.
        confidence: Share of the replicates inside.

    Returns:
        Its ends.
    """
    present = values[~np.isnan(values)]
    if not len(present) or (observed is not None and np.isnan(observed)):
        return Interval(np.nan, np.nan)
    ends = np.array([(1 - confidence) / 2, (1 + confidence) / 2])
    if observed is not None:
        below = np.mean(present < observed) + np.mean(present == observed) / 2
        shift = 2 * _NORMAL.inv_cdf(min(max(float(below), 1 / (2 * len(present))), 1 - 1 / (2 * len(present))))
        ends = np.array([_NORMAL.cdf(shift + _NORMAL.inv_cdf(end)) for end in ends.tolist()])
    low, high = np.quantile(present, ends)
    return Interval(float(low), float(high))


def resampled_ap(matches: CocoMatches, counts: Array) -> Array:
    """COCO's AP of each class at each IoU threshold in resampled sets of images.

    Copies of an image are placed side by side: only detections of one image and class with equal scores could come in
    another order in a set that lists the copies elsewhere.

    Args:
        matches: The detections, matched once.
        counts: `(R, I)` from `draw_counts`, or any counts.

    Returns:
        `(R, K, T)` float64; nan where a set has no box of a class.
    """
    boxes = counts @ matches.num_boxes  # (R, K)
    by_image = np.ascontiguousarray(counts.T)  # (I, R)
    ap = np.full((*boxes.shape, len(matches.verdict)), np.nan)
    for label in np.flatnonzero(matches.num_boxes.any(axis=0)).tolist():
        image, verdict = matches.of_class(label)
        step = max(1, _CELLS // max(len(image), 1))
        for first in range(0, len(counts), step):
            part = slice(first, first + step)
            ap[part, label] = _class_ap(image, verdict, np.ascontiguousarray(by_image[:, part]), boxes[part, label])
    return ap


def mean_ap(ap: Array) -> Array:
    """The mean over the classes that have boxes, and over IoU thresholds.

    Args:
        ap: `(R, K, T)` from `resampled_ap`.

    Returns:
        `(R,)`, nan where a set has no box.
    """
    present = ~np.isnan(ap)
    count = present.sum(axis=(1, 2))
    return np.where(count, np.where(present, ap, 0).sum(axis=(1, 2)) / np.maximum(count, 1), np.nan)


def _class_ap(image: Array, verdict: Array, by_image: Array, boxes: Array) -> Array:
    """`(R, T)` AP of a class, whose detections `(D,)` are sorted, from the counts of images `(I, R)`."""
    rows = np.flatnonzero((verdict == RIGHT).any(axis=0))  # precision is highest at right detections: only they matter
    ap = np.zeros((len(boxes), len(verdict)))
    ap[boxes == 0] = np.nan
    if not len(rows):
        return ap
    every = by_image[image[: rows[-1] + 1]]  # (D, R)
    found = np.cumsum(np.add.reduceat(every, [0, *(rows[:-1] + 1)], axis=0), axis=0)  # up to each of the rows
    reached, offsets = _count_recalls(boxes)
    for level, verdicts in enumerate(verdict):
        right = np.flatnonzero(verdicts[rows] == RIGHT)
        if not len(right):
            continue
        hits = np.cumsum(every[rows[right]], axis=0)
        counted = found[right] - _count_ignored(every, verdicts[: len(every)] == IGNORED, rows[right])
        precision = hits / (counted + np.spacing(1))
        envelope = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
        points = reached[hits + offsets]
        gained = np.diff(points, axis=0, prepend=np.zeros((1, len(boxes)), points.dtype))
        sums = np.einsum("dr,dr->r", envelope, gained) / len(_RECALLS)
        ap[:, level] = np.where(boxes > 0, sums, np.nan)
    return ap


def _count_ignored(every: Array, is_ignored: Array, rows: Array) -> Array | int:
    """`(N, R)` ignored detections before each of the rows."""
    ignored = np.flatnonzero(is_ignored)
    if not len(ignored):
        return 0
    before = np.cumsum(every[ignored], axis=0)
    before = np.concatenate([np.zeros((1, before.shape[1]), before.dtype), before])
    counts: Array = before[np.searchsorted(ignored, rows)]
    return counts


def _count_recalls(boxes: Array) -> tuple[Array, Array]:
    """How many of COCO's 101 recalls a number of right detections reaches.

    Args:
        boxes: `(R,)` boxes to find.

    Returns:
        A table `(M,)`, and where the row of each replicate begins in it `(R,)`.
    """
    sizes = np.unique(boxes)
    starts = np.concatenate([[0], np.cumsum(sizes + 1)])
    rows = [np.searchsorted(_RECALLS, np.arange(size + 1) / max(size, 1), "right") for size in sizes.tolist()]
    return np.concatenate(rows).astype(np.int16), starts[np.searchsorted(sizes, boxes)]
