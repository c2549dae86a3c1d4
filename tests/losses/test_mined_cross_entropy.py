from __future__ import annotations

import math
from typing import Any

import numpy as np

from keras_retinanet.losses import ClassTargets
from keras_retinanet.losses.mined_cross_entropy import anchor_losses, hard_negative, ohem

LOGITS = np.array([[[1.0, -2.0], [0.5, 0.0], [-1.0, -3.0], [2.0, -4.0], [9.0, 9.0]]], np.float32)
TARGETS = ClassTargets(
    np.array([[1, -1, -1, -1, 0]], np.int32),
    np.array([[1, 0, 0, 0, -1]], np.int32),
    None,
    np.array([[0, 0, 10, 10], [30, 0, 40, 10], [60, 0, 70, 10], [1, 0, 11, 10], [0, 0, 10, 10]], np.float32),
)
"""An object of class 1, three background anchors, an ignored one; the object and the fourth overlap by 9/11."""

OHEM = {"mined_examples": 2, "mining_nms": 0.5, "negative_ratio": 0.0, "mining_scope": "image"}


def softplus(x: float) -> float:
    return math.log(1 + math.exp(x))


OBJECT = softplus(1.0) + softplus(2.0)
"""3.44: both logits are wrong."""
SECOND = softplus(0.5) + softplus(0.0)
"""1.667."""
FOURTH = softplus(2.0) + softplus(-4.0)
"""2.145."""


def test_losses_of_anchors_worked_by_hand() -> None:
    third = softplus(-1.0) + softplus(-3.0)
    np.testing.assert_allclose(anchor_losses(LOGITS, TARGETS)[0][:4], [OBJECT, SECOND, third, FOURTH], rtol=1e-6)


def test_ohem_worked_by_hand(gradient: Any) -> None:
    """The object has the largest loss and suppresses the fourth anchor, so that the second learns too."""
    np.testing.assert_allclose(ohem(LOGITS, TARGETS, **OHEM), OBJECT + SECOND, rtol=1e-6)
    slope = gradient(lambda x: ohem(x, TARGETS, **OHEM), LOGITS)
    assert np.all(slope[0, [2, 3, 4]] == 0)
    np.testing.assert_allclose(slope[0, 1], [1 / (1 + math.exp(-0.5)), 0.5], rtol=1e-5)


def test_hard_negative_worked_by_hand(gradient: Any) -> None:
    np.testing.assert_allclose(hard_negative(LOGITS, TARGETS, negative_ratio=1.0), OBJECT + FOURTH, rtol=1e-6)
    np.testing.assert_allclose(hard_negative(LOGITS, TARGETS, negative_ratio=2.0), OBJECT + FOURTH + SECOND, rtol=1e-6)
    slope = gradient(lambda x: hard_negative(x, TARGETS, negative_ratio=1.0), LOGITS)
    assert np.all(slope[0, [1, 2, 4]] == 0)
    np.testing.assert_allclose(slope[0, 0], [1 / (1 + math.exp(-1)), -1 / (1 + math.exp(-2))], rtol=1e-5)
