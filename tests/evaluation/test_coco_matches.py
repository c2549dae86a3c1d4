"""COCO's verdicts, by hand; that they give COCO's AP is tested with the bootstrap."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_retinanet.evaluation.coco_matches import match_by_coco_at


def image(number: int, boxes: Any, found: Any, *, labels: Any = None, ignore: Any = None) -> tuple[Any, Any]:
    """Annotations and detections, whose scores fall from 0.9 by 0.1."""
    boxes, found = np.array(boxes, float).reshape(-1, 4), np.array(found, float).reshape(-1, 4)
    sample = {"image": f"{number}.png", "image_id": number, "boxes": boxes, "labels": labels or [0] * len(boxes)}
    scores = [0.9 - 0.1 * k for k in range(len(found))]
    detections = {"image_id": number, "boxes": found, "scores": scores, "labels": [0] * len(found)}
    return sample | {"ignore": ignore or [False] * len(boxes)}, detections


def test_verdicts_at_each_threshold():
    """IoU .8, then .6 with the same box: right only where the first is not. The third box is inside the crowd."""
    pair = image(
        0,
        [[0, 0, 10, 10], [50, 0, 90, 10]],
        [[0, 0, 8, 10], [0, 0, 10, 6], [60, 0, 64, 10], [20, 20, 30, 30]],
        ignore=[False, True],
    )
    matches = match_by_coco_at([pair], 1, iou_thresholds=(0.5, 0.7, 0.9))
    assert matches.verdict.tolist() == [[1, 0, -1, 0], [1, 0, -1, 0], [0, 0, -1, 0]]
    assert matches.num_boxes.tolist() == [[1]]
    loose = match_by_coco_at([(pair[0], {**pair[1], "scores": [0.1, 0.9, 0.5, 0.5]})], 1, iou_thresholds=(0.5, 0.7))
    assert loose.score.tolist() == [0.9, 0.5, 0.5, 0.1]
    assert loose.verdict.tolist() == [[1, -1, 0, 0], [0, -1, 0, 1]]


def test_the_limit_counts_detections_of_each_class():
    sample, found = image(0, [], [[0, 0, 9, 9]] * 5)
    matches = match_by_coco_at([(sample, {**found, "labels": [1, 1, 0, 1, 0]})], 2, max_detections=2)
    assert matches.label.tolist() == [1, 1, 0, 0]
    assert matches.verdict.shape == (10, 4)
    assert not matches.verdict.any()


def test_detections_of_a_class_best_first():
    pairs = [image(0, [], [[0, 0, 9, 9]] * 2), image(1, [[0, 0, 9, 9]], [[0, 0, 9, 9]])]
    positions, verdict = match_by_coco_at(pairs, 1, iou_thresholds=(0.5,)).of_class(0)
    assert positions.tolist() == [0, 1, 0]
    assert verdict.tolist() == [[0, 1, 0]]
