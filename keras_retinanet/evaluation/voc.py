"""Average precision at one IoU threshold, as in Pascal VOC 2010 and fizyr/keras-retinanet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from faster_coco_eval.core import mask
from numpy.typing import NDArray

from keras_retinanet.evaluation.detections import pair_detections
from keras_retinanet.evaluation.metric import EvaluationResult, count_boxes
from keras_retinanet.schema import Detections, Sample

Array = NDArray[Any]


STATS = {
    "mAP": "mean AP of the classes that have boxes",
    "weighted_mAP": "mean AP weighted by the number of boxes",
}
"""The numbers over all classes, with their meaning."""


def average_precision(recall: Array, precision: Array) -> float:
    """Computes the area under the precision-recall curve, with the highest precision at this or any higher recall.

    Args:
        recall: `(D,)` floats, ascending: share of the boxes found by the best 1 … D detections.
        precision: `(D,)` floats: share of these detections that are right.

    Returns:
        AP in 0 … 1; 0 without detections.

    Reference: continuous interpolation of VOC 2010, not the 11 points of VOC 2007; numerics of fizyr's `_compute_ap`.
    """
    recall = np.concatenate([[0.0], recall, [1.0]])
    precision = np.concatenate([[0.0], precision, [0.0]])
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(recall) * envelope[1:]))


def evaluate(
    samples: Sequence[Sample],
    detections: Sequence[Detections],
    class_names: Sequence[str],
    *,
    iou_threshold: float = 0.5,
    score_threshold: float = 0.05,
    max_detections: int = 100,
) -> EvaluationResult:
    """Computes the mean over classes of the average precision at one IoU threshold.

    Each detection, best first, is compared with the box of its class that it overlaps most: it is right if the IoU is
    at or above the threshold and no earlier detection matched the box, otherwise wrong. A detection that matches an
    `ignore` box is neither.

    Args:
        samples: Annotated images.
        detections: Detections with boxes in pixels of the image files; images without any may be left out.
        class_names: Names of the labels `0 … K-1`.
        iou_threshold: float in 0 … 1.
        score_threshold: Only detections that score above it count.
        max_detections: Only the best of each image count, over all classes.

    Returns:
        `stats` has `"mAP"` (mean over classes that have boxes), `"weighted_mAP"` (weighted by their number of boxes),
        both -1 where there are no boxes at all; `per_class` has `"AP"`, nan for a class without boxes (fizyr: 0).

    Raises:
        ValueError: Detections of an unknown image, or a label outside `0 … K-1`.
    """
    pairs = pair_detections(samples, detections, len(class_names))
    rows = [_match_image(*pair, iou_threshold, score_threshold, max_detections) for pair in pairs]
    table = np.concatenate(rows or [np.zeros((0, 3))])  # (D, 3) score, label, verdict
    num_boxes = np.zeros(len(class_names), np.int64)
    for sample in samples:
        num_boxes += count_boxes(np.asarray(sample["labels"]), np.asarray(sample["ignore"], bool), len(class_names))
    ap = np.array([_class_ap(table[table[:, 1] == k], num_boxes[k]) for k in range(len(class_names))])
    present = num_boxes > 0
    return EvaluationResult(
        stats={
            "mAP": float(ap[present].mean()) if present.any() else -1.0,
            "weighted_mAP": float(np.average(ap[present], weights=num_boxes[present])) if present.any() else -1.0,
        },
        captions=STATS,
        class_names=tuple(class_names),
        per_class={"AP": ap},
        num_boxes=num_boxes,
        num_images=len(pairs),
        num_detections=sum(len(entry["scores"]) for _, entry in pairs),
    )


def _match_image(sample: Sample, found: Detections, iou: float, score: float, limit: int) -> Array:
    """`(D, 3)` score, label and verdict (1 right, 0 wrong, -1 on an ignore box) of one image's detections."""
    scores, labels = np.asarray(found["scores"], np.float64), np.asarray(found["labels"], np.int64)
    chosen = np.argsort(-scores, kind="stable")
    chosen = chosen[scores[chosen] > score][:limit]
    table = np.stack([scores[chosen], labels[chosen], np.zeros(len(chosen))], axis=1)
    truth = np.asarray(sample["labels"])
    for k in np.intersect1d(labels[chosen], truth):
        mine, boxes = labels[chosen] == k, np.flatnonzero(truth == k)
        overlaps = _iou(np.asarray(found["boxes"])[chosen[mine]], np.asarray(sample["boxes"])[boxes])
        table[mine, 2] = _verdicts(overlaps, np.asarray(sample["ignore"], bool)[boxes], iou)
    return table


def _iou(found: Array, truth: Array) -> Array:
    """`(D, N)` overlaps of `(D, 4)` with `(N, 4)` boxes, in float64."""
    sides = []
    for boxes in (found, truth):
        x1, y1, x2, y2 = np.asarray(boxes, np.float64).reshape(-1, 4).T
        sides.append(np.stack([x1, y1, x2 - x1, y2 - y1], axis=1))
    return np.asarray(mask.iou(*sides, [0] * len(sides[1])))


def _verdicts(overlaps: Array, ignore: Array, iou_threshold: float) -> Array:
    """`(D,)` verdicts from `(D, N)` IoUs, best detection first."""
    verdicts, taken = np.zeros(len(overlaps)), np.zeros(len(ignore), bool)
    for row, best in enumerate(overlaps.argmax(axis=1)):
        if overlaps[row, best] < iou_threshold:
            continue
        verdicts[row] = -1 if ignore[best] else not taken[best]
        taken[best] = True
    return verdicts


def _class_ap(table: Array, num_boxes: int) -> float:
    """AP of one class from the `(D, 3)` rows of all its detections."""
    if not num_boxes:
        return float("nan")
    verdicts = table[np.argsort(-table[:, 0], kind="stable"), 2]
    verdicts = verdicts[verdicts >= 0]
    hits = np.cumsum(verdicts)
    return average_precision(hits / num_boxes, hits / np.arange(1, len(hits) + 1))
