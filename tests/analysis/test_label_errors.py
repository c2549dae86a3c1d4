"""Annotations that look wrong."""

import numpy as np
import pytest

from keras_retinanet.analysis.label_errors import find_label_errors
from keras_retinanet.analysis.matches import match


def test_each_kind(sample, found):
    right, renamed, moved, missing = (0, 0, 50, 50), (100, 0, 150, 50), (200, 0, 250, 50), (0, 200, 50, 250)
    truth = sample(right, renamed, moved, labels=[0, 1, 0])
    detections = found(right, renamed, (200, 20, 250, 70), missing, scores=[0.9, 0.8, 0.7, 0.6])
    suggestions = find_label_errors(match([truth], [detections], "ab"))
    by_kind = {entry.kind: entry for entry in suggestions}
    assert len(suggestions) == len(by_kind) == 3
    renaming = by_kind["wrong_class"]
    assert (renaming.row, renaming.label, renaming.suggested_label) == (1, 1, 0)
    assert renaming.rank == pytest.approx(1 / 3)  # of two classes found one is confirmed, and one contradiction added
    assert by_kind["missing"].rank == pytest.approx(1 / 3)
    move = by_kind["misplaced"]
    assert (move.row, move.suggested_box) == (2, (200, 20, 250, 70))
    assert move.overlap == pytest.approx(3 / 7)
    assert move.rank == pytest.approx(1 / 3 * 2 / 3)  # of two boxes, the other fits better
    assert (by_kind["missing"].row, by_kind["missing"].box, by_kind["missing"].suggested_box) == (-1, None, missing)
    assert [entry.kind for entry in suggestions] == ["wrong_class", "missing", "misplaced"]
    assert len(find_label_errors(match([truth], [detections], "ab"), most=1)) == 1


def test_ignore_regions_and_duplicates_suggest_nothing(sample, found):
    truth = sample((0, 0, 50, 50), (100, 0, 200, 100), labels=[0, 0], ignore=[False, True])
    boxes = (0, 0, 50, 50), (0, 0, 50, 40), (110, 10, 150, 50), (120, 10, 160, 50)
    detections = found(*boxes, scores=[0.9, 0.8, 0.7, 0.6], labels=[0, 1, 0, 1])
    assert find_label_errors(match([truth], [detections], "ab")) == ()


def plant(samples, rng):
    """Every tenth box is removed, renamed or moved, in turn; returns what must be found."""
    planted, faults, count = [], [], 0
    for entry in samples:
        boxes, labels, kept = entry["boxes"].copy(), entry["labels"].copy(), np.ones(len(entry["boxes"]), bool)
        for row in range(len(boxes)):
            count += 1
            if count % 10 == 0:
                kind = ("missing", "wrong_class", "misplaced")[count // 10 % 3]
                side = boxes[row, 2:] - boxes[row, :2]
                faults.append((kind, entry["image_id"], tuple(boxes[row].tolist())))
                kept[row] = kind != "missing"
                labels[row] = (labels[row] + (kind == "wrong_class")) % 3
                boxes[row] += np.tile(side * rng.choice([-0.4, 0.4]), 2) * (kind == "misplaced") * [1, 0, 1, 0]
        planted.append({**entry, "boxes": boxes[kept], "labels": labels[kept], "ignore": np.zeros(kept.sum(), bool)})
    return planted, faults


def test_planted_errors_come_first():
    """A detector that finds 95 % of the objects, 5 % of them as another class, and sees as many that are not there."""
    rng = np.random.default_rng(0)
    samples, detections = [], []
    for image_id in range(120):
        cells = rng.permutation(16)[:6]
        corners = np.stack([cells % 4, cells // 4], axis=1) * 100 + rng.uniform(5, 30, (6, 2))
        boxes = np.concatenate([corners, corners + rng.uniform(40, 60, (6, 2))], axis=1)
        labels = rng.integers(0, 3, 6)
        samples.append({"image": f"{image_id}.jpg", "image_id": image_id, "boxes": boxes, "labels": labels})
        seen = rng.uniform(size=6) < 0.95
        wrong = rng.uniform(size=6) < 0.05
        corner = rng.uniform(400, 480, 2)
        nothing = np.concatenate([corner, corner + 30])[None]
        scores = np.append(rng.beta(8, 2, seen.sum()) * np.where(wrong[seen], 0.6, 1), rng.beta(2, 6))
        best = np.argsort(-scores)
        found = np.concatenate([boxes[seen] + rng.normal(0, 2, (seen.sum(), 4)), nothing])
        classes = np.append(np.where(wrong, (labels + 1) % 3, labels)[seen], 0)
        detections.append({"image_id": image_id, "boxes": found[best], "scores": scores[best], "labels": classes[best]})
    planted, faults = plant(samples, rng)
    listed = find_label_errors(match(planted, detections, "abc"), most=2 * len(faults))
    found = {(entry.kind, entry.image_id) for entry in listed}
    recall = {
        kind: np.mean([(kind, image_id) in found for other, image_id, _ in faults if other == kind])
        for kind in ("missing", "wrong_class", "misplaced")
    }
    assert len(faults) == 72
    assert min(recall.values()) > 0.85  # by chance: 144 of 720 boxes, 0.2
    assert np.mean([entry.rank for entry in listed[:36]]) > np.mean([entry.rank for entry in listed[36:]])
