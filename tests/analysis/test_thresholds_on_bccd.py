"""Thresholds that are chosen on one half of BCCD's validation images hold on the other, within the intervals stated.

`val_matches.npz` has the detections that score above 0.2 of a detector with ResNet-50 (14 epochs, 240 × 320 pixels) on
the 87 images, matched at IoU 0.5.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from keras_retinanet.analysis.goals import parse_goal
from keras_retinanet.analysis.thresholds import choose_thresholds
from keras_retinanet.evaluation.matching import RIGHT, Matches

STORED = Path(__file__).resolve().parents[1] / "fixtures" / "bccd" / "val_matches.npz"


def select(stored: Any, images: np.ndarray) -> tuple[Matches, np.ndarray]:
    """The detections and boxes of some images."""
    positions = np.full(len(stored["num_boxes"]), -1)
    positions[images] = np.arange(len(images))
    image = positions[stored["image"]]
    label, score, verdict = (stored[name][image >= 0] for name in ("label", "score", "verdict"))
    columns = image[image >= 0], label.astype(int), score.astype(float), verdict.astype(int), np.zeros(len(label))
    return Matches(*columns), stored["num_boxes"][images].astype(int)


def test_thresholds_of_one_half_hold_on_the_other():
    stored = dict(np.load(STORED))
    names, random = stored["class_names"].tolist(), np.random.default_rng(1)
    assert names == ["Platelets", "RBC", "WBC"]
    held = []
    for goal in map(parse_goal, ("f1", "precision=0.9", "recall=0.9")):
        for _ in range(8):
            order = random.permutation(87)
            choice = choose_thresholds(*select(stored, order[:43]), names, goal, floor=0.2, replicates=200)
            others, boxes = select(stored, order[43:])
            for label, each in enumerate(choice.classes):
                kept = (others.label == label) & (others.score > each.threshold)
                right = np.sum(others.verdict[kept] == RIGHT)
                found = np.sum(others.verdict[kept] >= 0)
                figures = goal.figures(right, found, boxes[:, label].sum())
                ends = [each.figures[name].interval for name in figures]
                held += [low <= value <= high for (low, high), value in zip(ends, figures.values(), strict=True)]
    assert len(held) == 3 * 8 * 3 * 3
    assert 0.88 < np.mean(held) < 1  # of 95 %; the halves of a few images are not independent
