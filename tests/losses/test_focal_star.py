from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from keras_retinanet.losses import ClassTargets
from keras_retinanet.losses.focal_star import focal_star

LOGITS = np.array([[[1.0, -2.0], [0.5, 0.0], [3.0, 3.0]]], np.float32)
TARGETS = ClassTargets(np.array([[1, 0, 0]], np.int32), np.array([[1, 0, -1]], np.int32))
"""An object of class 1, background, an ignored anchor."""


def minus_log_sigmoid(x: float) -> float:
    return math.log(1 + math.exp(-x))


def test_worked_by_hand() -> None:
    """`x_t` is -1, -0.5 and 0 for background, -2 for the object; `-log σ(2 x_t + 1) / 2` of each."""
    background = sum(minus_log_sigmoid(2 * x + 1) / 2 for x in (-1.0, -0.5, 0.0))
    own = minus_log_sigmoid(2 * -2.0 + 1) / 2
    found = focal_star(LOGITS, TARGETS, alpha=0.25, gamma=2.0, shift=1.0)
    np.testing.assert_allclose(found, 0.75 * background + 0.25 * own, rtol=1e-6)


def test_steepness_one_without_shift_is_the_balanced_cross_entropy() -> None:
    background, own = sum(map(minus_log_sigmoid, (-1.0, -0.5, 0.0))), minus_log_sigmoid(-2.0)
    found = focal_star(LOGITS, TARGETS, alpha=0.1, gamma=1.0, shift=0.0)
    np.testing.assert_allclose(found, 0.9 * background + 0.1 * own, rtol=1e-6)


def test_the_gradient_is_that_of_the_paper(gradient: Any) -> None:
    """Equation 11: `y (p_t* - 1)`; the object at `x_t` -2 and the background at `x_t` -0.5."""
    slope = gradient(lambda x: focal_star(x, TARGETS, alpha=0.5, gamma=4.0, shift=0.0), LOGITS)
    np.testing.assert_allclose(slope[0, 0, 1], 0.5 * (1 / (1 + math.exp(8)) - 1), rtol=1e-5)
    np.testing.assert_allclose(slope[0, 1, 0], -0.5 * (1 / (1 + math.exp(2)) - 1), rtol=1e-5)
    assert np.all(slope[0, 2] == 0)


def test_a_steepness_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match=r"--focal-gamma .* above 0; received 0"):
        focal_star(LOGITS, TARGETS, alpha=0.25, gamma=0.0, shift=1.0)
