from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from keras_retinanet.losses import ClassTargets
from keras_retinanet.losses.quality_focal import quality_focal

LOGITS = np.array([[[0.0, 2.0], [1.0, 0.0], [3.0, 3.0]]], np.float32)
TARGETS = ClassTargets(
    np.array([[1, -1, 0]], np.int32), np.array([[1, 0, -1]], np.int32), np.array([[0.6, 0.0, 0.9]], np.float32)
)
"""An object of class 1 with quality 0.6, background, an ignored anchor."""


def test_worked_by_hand() -> None:
    p = 1 / (1 + math.exp(-2))  # 0.880797
    own = (p - 0.6) ** 2 * (-0.6 * math.log(p) - 0.4 * math.log(1 - p))
    half = 0.5**2 * math.log(2)  # a logit of 0 that should be 0
    other = (1 / (1 + math.exp(-1))) ** 2 * math.log(1 + math.e)
    np.testing.assert_allclose(quality_focal(LOGITS, TARGETS, gamma=2.0), own + 2 * half + other, rtol=1e-6)


def test_gamma_one_worked_by_hand() -> None:
    p = 1 / (1 + math.exp(-2))
    own = (p - 0.6) * (-0.6 * math.log(p) - 0.4 * math.log(1 - p))
    other = math.log(2) / 2 * 2 + math.log(1 + math.e) / (1 + math.exp(-1))
    np.testing.assert_allclose(quality_focal(LOGITS, TARGETS, gamma=1.0), own + other, rtol=1e-6)


@pytest.mark.parametrize(("logit", "sign"), [(-3.0, -1), (3.0, 1)])
def test_the_gradient_moves_the_score_towards_the_quality(gradient, logit: float, sign: int) -> None:
    targets = ClassTargets(np.array([[0]]), np.array([[1]]), np.array([[0.6]], np.float32))
    slope = gradient(lambda x: quality_focal(x, targets, gamma=2.0), np.array([[[logit]]], np.float32))
    assert np.sign(slope[0, 0, 0]) == sign


def test_a_score_equal_to_the_quality_has_no_loss_and_no_gradient(gradient) -> None:
    logit = math.log(0.6 / 0.4)
    targets = ClassTargets(np.array([[0]]), np.array([[1]]), np.array([[0.6]], np.float32))
    logits = np.array([[[logit]]], np.float32)
    assert float(quality_focal(logits, targets, gamma=2.0)) < 1e-12
    assert abs(gradient(lambda x: quality_focal(x, targets, gamma=2.0), logits)).max() < 1e-6


def test_missing_quality_is_named() -> None:
    with pytest.raises(ValueError, match="uses_quality=True"):
        quality_focal(LOGITS, TARGETS._replace(quality=None), gamma=2.0)


def test_as_mmdetection(mmdetection: Any) -> None:
    logits, labels, quality = mmdetection["quality_problem"]()
    is_object = labels < 3
    targets = ClassTargets(np.where(is_object, labels, -1)[None], is_object.astype(np.int32)[None], quality[None])
    np.testing.assert_allclose(quality_focal(logits[None], targets, gamma=2.0), mmdetection["quality_focal"], rtol=1e-5)
