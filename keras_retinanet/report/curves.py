"""Right and wrong detections at every score threshold, of all classes and of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_retinanet.evaluation.detections import pair_detections
from keras_retinanet.evaluation.matching import Matches, match_by_coco, match_images
from keras_retinanet.evaluation.metric import count_all_boxes
from keras_retinanet.schema import Detections, Sample

Array = NDArray[Any]
IOUS = (0.5, 0.75)
"""IoU from which a detection is right: the first in counts, each in a curve of precision against recall."""
THRESHOLDS = np.arange(101) / 100
RECALLS = np.arange(101) / 100


def count_by_score(samples: Sequence[Sample], detections: Sequence[Detections], num_classes: int) -> dict[str, Any]:
    """Counts detections by score threshold, and computes precision by recall. Detections are matched by COCO's rule.

    Args:
        samples: Annotated images.
        detections: Their detections.
        num_classes: int, `K`.

    Returns:
        `thresholds`, `iou`, `precision` (its `recalls` and `ious`) and `groups`: of all classes, then of each, `boxes`,
        the numbers of `hits` and `wrong` detections that score above each threshold, and `precision` by recall.
    """
    pairs, num_boxes = pair_detections(samples, detections, num_classes), count_all_boxes(samples, num_classes)
    matches = [match_images(pairs, match_by_coco, iou) for iou in IOUS]
    own = [_sorted_by_class(found, num_classes) for found in matches]
    everything = [found.at(np.ones(len(found.label), bool)) for found in matches]
    groups = [_describe_group(everything, int(num_boxes.sum()))]
    groups += [_describe_group(columns, int(num_boxes[k])) for k, columns in enumerate(zip(*own, strict=True))]
    precision = {"recalls": RECALLS.tolist(), "ious": list(IOUS)}
    return {"iou": IOUS[0], "thresholds": THRESHOLDS.tolist(), "precision": precision, "groups": groups}


def _sorted_by_class(found: Matches, num_classes: int) -> list[Matches]:
    return [found.of_class(k) for k in range(num_classes)]


def _describe_group(matches: Sequence[Matches], num_boxes: int) -> dict[str, Any]:
    best_first = matches[0]
    rising = -best_first.score.astype(np.float64)
    kept = np.searchsorted(rising, -THRESHOLDS, side="left")
    hits = np.concatenate([[0], np.cumsum(best_first.verdict)])[kept]
    curves = [precision_by_recall(found.verdict, num_boxes) for found in matches]
    return {
        "boxes": num_boxes,
        "hits": hits.tolist(),
        "wrong": (kept - hits).tolist(),
        "precision": [[None if np.isnan(value) else round(value, 4) for value in curve.tolist()] for curve in curves],
    }


def precision_by_recall(verdict: Array, num_boxes: int) -> Array:
    """The highest precision at each recall or more, as COCO defines it.

    Args:
        verdict: `(D,)` 1 for right detections and 0 for wrong ones, best first.
        num_boxes: Boxes to find.

    Returns:
        `(101,)` at recall 0, 0.01 … 1; 0 where it is not reached, nan without boxes.
    """
    if not num_boxes:
        return np.full(len(RECALLS), np.nan)
    hits = np.cumsum(verdict)
    precision = np.append(np.maximum.accumulate((hits / np.arange(1, len(hits) + 1))[::-1])[::-1], 0.0)
    return precision[np.searchsorted(hits / num_boxes, RECALLS - 1e-12)]
