"""Fusion worked by hand, and against ensemble-boxes where it is installed."""

from __future__ import annotations

import numpy as np
import pytest

from keras_retinanet.detection.weighted_boxes_fusion import fuse_boxes


def view(*rows):
    """Detections from rows (x1, y1, x2, y2, score, label)."""
    rows = np.array(rows, float).reshape(-1, 6)
    return {"boxes": rows[:, :4].astype(np.float32), "scores": rows[:, 4], "labels": rows[:, 5].astype(int)}


def test_boxes_of_one_object_become_their_weighted_mean():
    """Equation 1 and 2: x = (.8 · 0 + .4 · 3) / 1.2 = 1, score (.8 + .4) / 2; found by two of two views."""
    fused = fuse_boxes([view((0, 0, 30, 30, 0.8, 1)), view((3, 0, 33, 30, 0.4, 1))])
    np.testing.assert_allclose(fused["boxes"], [[1, 0, 31, 30]], rtol=1e-6)
    np.testing.assert_allclose(fused["scores"], [0.6], rtol=1e-6)
    assert fused["labels"].tolist() == [1]


def test_what_few_views_show_is_less_certain():
    """Equation 3: of three views one shows a box (.9 / 3), two show another (.6 · 2 / 3); classes do not mix."""
    fused = fuse_boxes(
        [
            view((0, 0, 9, 9, 0.9, 0)),
            view((50, 50, 60, 60, 0.6, 0)),
            view((50, 50, 60, 60, 0.6, 0), (0, 0, 9, 9, 0.3, 1)),
        ]
    )
    np.testing.assert_allclose(fused["scores"], [0.4, 0.3, 0.1], rtol=1e-6)
    assert fused["labels"].tolist() == [0, 0, 1]


def test_a_cluster_is_compared_by_its_fused_box_and_its_score_never_grows():
    """Two boxes of one view and one of the other: min(3, 2) / 2 = 1. IoU .55 itself is not enough."""
    fused = fuse_boxes([view((0, 0, 10, 10, 0.9, 0), (0, 0, 10, 10, 0.6, 0)), view((0, 0, 10, 10, 0.3, 0))])
    np.testing.assert_allclose(fused["scores"], [0.6], rtol=1e-6)
    assert len(fuse_boxes([view((0, 0, 10, 20, 0.9, 0)), view((0, 0, 10, 11, 0.6, 0))])["scores"]) == 2
    assert fuse_boxes([view(), view()])["boxes"].shape == (0, 4)


def test_equals_ensemble_boxes():
    ensemble_boxes = pytest.importorskip("ensemble_boxes", reason="ensemble-boxes is not installed")
    rng = np.random.default_rng(0)
    views = []
    for _ in range(4):
        corner = np.repeat(rng.uniform(0, 700, (12, 2)), 5, axis=0) if not views else views[0]["boxes"][:, :2]
        boxes = np.concatenate(
            [corner + rng.normal(0, 6, corner.shape), corner + 100 + rng.normal(0, 6, corner.shape)], 1
        )
        boxes = np.clip(boxes, 0, 1000)
        views.append({"boxes": boxes, "scores": rng.uniform(0.05, 1, 60), "labels": rng.integers(0, 2, 60)})
    boxes, scores, labels = ensemble_boxes.weighted_boxes_fusion(
        [v["boxes"] / 1000 for v in views], [v["scores"] for v in views], [v["labels"] for v in views], iou_thr=0.55
    )
    fused = fuse_boxes(views)
    assert len(fused["scores"]) == len(scores) > 20
    np.testing.assert_allclose(fused["scores"], scores, rtol=1e-5)
    np.testing.assert_allclose(fused["boxes"], boxes * 1000, atol=2e-2)
    np.testing.assert_array_equal(fused["labels"], labels)
