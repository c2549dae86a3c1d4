from __future__ import annotations

import math

import numpy as np

from keras_retinanet.losses import ClassTargets
from keras_retinanet.losses.softmax import softmax_cross_entropy, softmax_values

LOGITS = np.array([[[1.0, -2.0, 0.5], [0.5, 0.0, 3.0], [3.0, 3.0, 3.0]]], np.float32)
TARGETS = ClassTargets(np.array([[1, -1, 0]], np.int32), np.array([[1, 0, -1]], np.int32))


def negative_log(row: int, column: int) -> float:
    powers = [math.exp(x) for x in LOGITS[0, row]]
    return -math.log(powers[column] / sum(powers))


def test_worked_by_hand():
    """An object of class 1, background, and an ignored anchor; the last output is the background."""
    expected = [negative_log(0, 1), negative_log(1, 2), 0.0]
    np.testing.assert_allclose(softmax_values(LOGITS, TARGETS), [expected], rtol=1e-6)
    np.testing.assert_allclose(softmax_cross_entropy(LOGITS, TARGETS), sum(expected), rtol=1e-6)


def test_weights_of_classes_leave_the_background_alone():
    found = softmax_cross_entropy(LOGITS, TARGETS, class_weights=(5.0, 3.0))
    np.testing.assert_allclose(found, 3 * negative_log(0, 1) + negative_log(1, 2), rtol=1e-6)


def test_gradient_is_that_of_differences(gradient):
    slope = gradient(lambda x: softmax_cross_entropy(x, TARGETS), LOGITS)
    assert np.all(slope[0, 2] == 0)
    for place in np.ndindex(2, 3):
        step = np.zeros_like(LOGITS)
        step[(0, *place)] = 1e-2
        values = [float(softmax_cross_entropy(LOGITS + sign * step, TARGETS)) for sign in (1, -1)]
        np.testing.assert_allclose(slope[(0, *place)], (values[0] - values[1]) / 2e-2, atol=2e-4)
