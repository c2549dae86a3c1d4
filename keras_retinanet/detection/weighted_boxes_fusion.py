"""Weighted boxes fusion: boxes of several looks at one image become their mean, weighted by their scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_retinanet.box_overlap import iou
from keras_retinanet.schema import Detections

FUSION_IOU = 0.55
"""IoU above which two boxes are one object: the paper's value."""


def fuse_boxes(views: Sequence[Detections], iou_threshold: float = FUSION_IOU) -> Detections:
    """Fuses the detections of several views of an image.

    From the best to the worst, each box joins the cluster of its class whose fused box it overlaps most, if their IoU
    is above the threshold; otherwise it begins a cluster. A fused box is the mean of its T boxes weighted by their
    scores, and its score their mean times `min(T, N) / N` for N views: what only one view shows is less certain.

    Args:
        views: Detections of each view, in pixels of the image.
        iou_threshold: IoU above which two boxes are one object. Defaults to 0.55.

    Returns:
        The fused detections, best first.

    Reference:
        Solovyev et al. 2021, Weighted boxes fusion, §3; equal to `weighted_boxes_fusion` of ensemble-boxes 1.0.9 with
        its defaults.
    """
    boxes = np.concatenate([np.asarray(view["boxes"], np.float64).reshape(-1, 4) for view in views])
    scores = np.concatenate([np.asarray(view["scores"], np.float64) for view in views])
    labels = np.concatenate([np.asarray(view["labels"], np.int32) for view in views])
    parts = [
        (*_fuse_class(boxes[labels == label], scores[labels == label], len(views), iou_threshold), label)
        for label in np.unique(labels)
    ]
    fused = np.concatenate([np.zeros((0, 4)), *(part[0] for part in parts)])
    fused_scores = np.concatenate([np.zeros(0), *(part[1] for part in parts)])
    fused_labels = np.repeat([part[2] for part in parts], [len(part[1]) for part in parts]) if parts else np.zeros(0)
    order = np.argsort(-fused_scores, kind="stable")
    return {
        "boxes": fused[order].astype(np.float32),
        "scores": fused_scores[order].astype(np.float32),
        "labels": fused_labels[order].astype(np.int32),
    }


def _fuse_class(boxes: Any, scores: Any, views: int, iou_threshold: float) -> tuple[Any, Any]:
    """Boxes `(M, 4)` and scores `(M,)` of the clusters of one class."""
    order = np.argsort(-scores, kind="stable")
    fused, weighted = np.zeros((len(boxes), 4)), np.zeros((len(boxes), 4))
    sums, counts, used = np.zeros(len(boxes)), np.zeros(len(boxes), int), 0
    for box, score in zip(boxes[order], scores[order], strict=True):
        overlaps = iou(fused[:used], box)
        best = int(np.argmax(overlaps)) if used else -1
        if best < 0 or overlaps[best] <= iou_threshold:
            best, used = used, used + 1
        weighted[best] += score * box
        sums[best] += score
        counts[best] += 1
        fused[best] = weighted[best] / max(sums[best], 1e-12)
    counts, sums = counts[:used], sums[:used]
    return fused[:used], sums / counts * np.minimum(counts, views) / views
