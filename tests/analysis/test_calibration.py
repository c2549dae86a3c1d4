"""Scores against the share that is right."""

import numpy as np
import pytest

from keras_retinanet.analysis.calibration import calibrate
from keras_retinanet.analysis.matches import match


def test_errors_by_hand(sample, found):
    good, bad = [(20 * k, 0, 20 * k + 10, 10) for k in range(3)], (200, 200, 210, 210)
    detections = found(good[0], good[1], bad, good[2], scores=[0.9, 0.8, 0.75, 0.2])
    calibration = calibrate(match([sample(*good)], [detections], "ab"), num_bins=2)
    assert calibration.counts.tolist() == [1, 3]
    assert calibration.mean_score == pytest.approx([0.2, 2.45 / 3])
    assert calibration.precision == pytest.approx([1, 2 / 3])
    assert calibration.expected_error == pytest.approx((0.8 * 1 + 0.15 * 3) / 4)
    assert calibration.largest_error == pytest.approx(0.8)
    assert calibration.class_errors[0] == calibration.expected_error
    assert np.isnan(calibration.class_errors[1])
    above = calibrate(match([sample(*good)], [detections], "ab"), score_threshold=0.5, num_bins=2)
    assert above.counts.tolist() == [0, 3]
    assert above.expected_error == pytest.approx(0.15)


def test_a_bin_holds_its_upper_edge(sample, found):
    boxes = [(20 * k, 0, 20 * k + 10, 10) for k in range(3)]
    calibration = calibrate(match([sample(*boxes)], [found(*boxes, scores=[1, 0.5, 0])], "a"), -1, 2)
    assert calibration.counts.tolist() == [2, 1]


def test_no_detections(sample):
    calibration = calibrate(match([sample((0, 0, 1, 1))], [], "a"))
    assert np.isnan(calibration.expected_error)
    assert np.isnan(calibration.largest_error)
