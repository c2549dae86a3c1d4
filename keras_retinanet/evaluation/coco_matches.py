"""COCO's verdict on each detection at every IoU threshold, kept by image so that images can be resampled.

`coco_engine` computes COCO's numbers faster, but keeps no verdicts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from keras_retinanet.evaluation.coco_engine import IOU_THRESHOLDS, MAX_DETECTIONS
from keras_retinanet.evaluation.matching import IGNORED, RIGHT, overlap_matrix
from keras_retinanet.schema import Detections, Sample

Array = NDArray[Any]


class CocoMatches(NamedTuple):
    """The detections that COCO counts, best first in each image; `D` of them.

    Attributes:
        image: `(D,)` position of the image.
        label: `(D,)`.
        score: `(D,)` float64.
        verdict: `(T, D)` int8 at `T` IoU thresholds: `RIGHT`, `WRONG` or `IGNORED`.
        num_boxes: `(I, K)` boxes to find in each image.
    """

    image: Array
    label: Array
    score: Array
    verdict: Array
    num_boxes: Array

    def of_class(self, label: int) -> tuple[Array, Array]:
        """The detections of a class, best first; of equal scores, those of earlier images come first.

        Args:
            label: int.

        Returns:
            Positions of their images `(D,)` and verdicts `(T, D)`.
        """
        chosen = np.flatnonzero(self.label == label)
        chosen = chosen[np.argsort(-self.score[chosen], kind="stable")]
        return self.image[chosen], self.verdict[:, chosen]


def match_by_coco_at(
    pairs: Sequence[tuple[Sample, Detections]],
    num_classes: int,
    *,
    iou_thresholds: Sequence[float] = IOU_THRESHOLDS,
    max_detections: int = MAX_DETECTIONS[-1],
) -> CocoMatches:
    """Matches the detections of all images by COCO's rule, at all IoU thresholds.

    Args:
        pairs: Annotations and detections of each image.
        num_classes: int, `K`.
        iou_thresholds: `T` floats.
        max_detections: Only the best so many of each class in an image count.

    Returns:
        One column per detection that counts.
    """
    thresholds = np.asarray(iou_thresholds, np.float64)
    parts = [_match_image(sample, found, thresholds, max_detections) for sample, found in pairs]
    num_boxes = np.zeros((len(pairs), num_classes), np.int64)
    for row, (sample, _) in enumerate(pairs):
        labels = np.asarray(sample["labels"], np.int64)[~np.asarray(sample["ignore"], bool)]
        num_boxes[row] = np.bincount(labels, minlength=num_classes)
    image = np.repeat(np.arange(len(parts)), [len(part[0]) for part in parts])
    label = np.concatenate([np.zeros(0, np.int64), *(part[0] for part in parts)])
    score = np.concatenate([np.zeros(0), *(part[1] for part in parts)])
    verdict = np.concatenate([np.zeros((len(thresholds), 0), np.int8), *(part[2] for part in parts)], axis=1)
    return CocoMatches(image, label, score, verdict, num_boxes)


def _match_image(sample: Sample, found: Detections, thresholds: Array, limit: int) -> tuple[Array, Array, Array]:
    """Labels and scores `(D,)`, and verdicts `(T, D)`, of one image's detections, best first."""
    labels, scores = np.asarray(found["labels"], np.int64), np.asarray(found["scores"], np.float64)
    order = np.argsort(-scores, kind="stable")
    if len(order) > limit:
        order = order[_rank_in_class(labels[order]) < limit]
    labels, scores = labels[order], scores[order]
    truth, ignore = np.asarray(sample["labels"], np.int64), np.asarray(sample["ignore"], bool)
    verdict = np.zeros((len(thresholds), len(labels)), np.int8)
    if not len(truth) or not len(labels):
        return labels, scores, verdict
    overlaps = overlap_matrix(np.asarray(found["boxes"]).reshape(-1, 4)[order], sample["boxes"], ignore)
    overlaps[labels[:, None] != truth] = -1
    reach = overlaps[:, None] >= thresholds[:, None]  # (D, T, N)
    taken = np.zeros((len(thresholds), len(truth)), bool)
    levels = np.arange(len(thresholds))
    for row in np.flatnonzero(reach.any(axis=(1, 2))):
        free = np.where(reach[row] & ~taken & ~ignore, overlaps[row], -1)  # (T, N)
        best = len(truth) - 1 - free[:, ::-1].argmax(axis=1)  # of equal overlaps the last, as in pycocotools
        is_right = free[levels, best] > 0
        taken[levels[is_right], best[is_right]] = True
        is_ignored = (reach[row] & ignore).any(axis=1)
        verdict[:, row] = np.where(is_right, RIGHT, np.where(is_ignored, IGNORED, 0))
    return labels, scores, verdict


def _rank_in_class(labels: Array) -> Array:
    """`(D,)` number of earlier detections with the same label."""
    order = np.argsort(labels, kind="stable")
    grouped = labels[order]
    starts = np.flatnonzero(np.concatenate([[True], grouped[1:] != grouped[:-1]]))
    rank = np.arange(len(labels)) - np.repeat(starts, np.diff([*starts, len(labels)]))
    ranks = np.empty_like(rank)
    ranks[order] = rank
    return ranks
