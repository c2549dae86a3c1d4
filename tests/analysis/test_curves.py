"""Precision, recall and F1 against the score."""

import numpy as np
import pytest

from keras_retinanet.analysis.curves import compute_curves
from keras_retinanet.analysis.matches import match
from keras_retinanet.evaluation import coco, f1


def test_curves_by_hand(sample, found):
    boxes = (0, 0, 10, 10), (20, 0, 30, 10), (200, 200, 210, 210)
    truth = sample(*boxes[:2], labels=[0, 0])
    curves = compute_curves(match([truth], [found(boxes[0], boxes[2], boxes[1], scores=[0.9, 0.5, 0.3])], "ab"), 11)
    at = {round(threshold, 1): k for k, threshold in enumerate(curves.thresholds.tolist())}
    assert curves.precision[0, [at[0.0], at[0.3], at[0.6]]] == pytest.approx([2 / 3, 1 / 2, 1])
    assert curves.recall[0, [at[0.0], at[0.3], at[0.6]]] == pytest.approx([1, 0.5, 0.5])
    assert np.isnan(curves.precision[0, at[0.9]])
    assert curves.num_boxes.tolist() == [2, 0, 2]
    assert curves.counted[[0, 2]][:, [at[0.0], at[0.3], at[0.6], at[0.9]]].tolist() == [[3, 2, 1, 0]] * 2
    assert curves.hits[0, [at[0.0], at[0.3], at[0.6], at[0.9]]].tolist() == [2, 1, 1, 0]
    assert curves.recall[0, at[0.9]] == 0
    assert curves.best_f1[0] == pytest.approx(0.8)
    assert curves.best_threshold[0] == 0
    assert np.isnan(curves.f1[1]).all()
    assert np.isnan(curves.best_threshold[1])
    np.testing.assert_array_equal(curves.recall[2], curves.recall[0])  # all classes together
    assert curves.precision_at_recall[0, [0, 50, 51, 100]] == pytest.approx([1, 1, 2 / 3, 2 / 3])


def test_agree_with_the_metrics(make_set):
    samples, detections = make_set(8)
    curves = compute_curves(match(samples, detections, "abc"), 1001)
    ap50 = coco.evaluate(samples, detections, "abc").per_class["AP50"]
    assert curves.precision_at_recall[:3].mean(axis=1) == pytest.approx(ap50)
    best = f1.evaluate(samples, detections, "abc").per_class["F1"]
    assert np.all(curves.best_f1[:3] <= best + 1e-12)
    assert curves.best_f1[:3] == pytest.approx(best, abs=0.02)
