import numpy as np
import pytest

from keras_retinanet.evaluation import average_precision

RECALL, PRECISION = np.array([0.1, 0.2, 0.2, 0.5, 0.7]), np.array([1.0, 1.0, 0.67, 0.8, 0.6])


def test_area_under_the_curve_by_hand():
    # Envelope: 1 up to recall 0.2, then 0.8 up to 0.5, then 0.6 up to 0.7.
    area = average_precision.area_under_curve
    assert area(RECALL, PRECISION) == pytest.approx(0.2 + 0.3 * 0.8 + 0.2 * 0.6)
    assert area(np.zeros(0), np.zeros(0)) == 0
    assert area(np.array([0.5, 1.0]), np.array([1.0, 1.0])) == 1


def test_area_under_the_curve_equals_fizyr(shared):
    golden = np.load(shared("reference/fizyr_golden/ap_golden.npz"))
    for index in range(3):
        ap = average_precision.area_under_curve(golden[f"r{index}"], golden[f"p{index}"])
        assert ap == pytest.approx(float(golden[f"ap{index}"]), abs=1e-12)


def test_eleven_points_by_hand():
    # Recalls 0, .1, .2: 1; .3, .4, .5: .8; .6, .7: .6; .8, .9, 1: 0.
    points = average_precision.mean_of_eleven_points
    assert points(RECALL, PRECISION) == pytest.approx((3 * 1 + 3 * 0.8 + 2 * 0.6) / 11)
    assert points(np.zeros(0), np.zeros(0)) == 0
    assert points(np.array([3 / 10]), np.array([1.0])) == pytest.approx(4 / 11)  # 0.1 * 3 is above 3 / 10 in floats
