from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from keras_retinanet.losses import ClassTargets
from keras_retinanet.losses.varifocal import varifocal

LOGITS = np.array([[[0.0, 2.0], [1.0, 0.0], [3.0, 3.0]]], np.float32)
TARGETS = ClassTargets(
    np.array([[1, -1, 0]], np.int32), np.array([[1, 0, -1]], np.int32), np.array([[0.6, 0.0, 0.9]], np.float32)
)
"""An object of class 1 with quality 0.6, background, an ignored anchor."""

HALF = 0.5**2 * math.log(2)
"""Modulated loss of a logit of 0 that should be 0."""
ONE = (1 / (1 + math.exp(-1))) ** 2 * math.log(1 + math.e)
"""Modulated loss of a logit of 1 that should be 0."""


def test_worked_by_hand() -> None:
    p = 1 / (1 + math.exp(-2))
    own = 0.6 * (-0.6 * math.log(p) - 0.4 * math.log(1 - p))  # not modulated
    expected = own + 0.75 * (2 * HALF + ONE)
    np.testing.assert_allclose(varifocal(LOGITS, TARGETS, background_weight=0.75, gamma=2.0), expected, rtol=1e-6)


def test_background_weight_and_gamma_worked_by_hand() -> None:
    p = 1 / (1 + math.exp(-2))
    own = 0.6 * (-0.6 * math.log(p) - 0.4 * math.log(1 - p))
    background = 2 * math.log(2) / 2 + math.log(1 + math.e) / (1 + math.exp(-1))
    got = varifocal(LOGITS, TARGETS, background_weight=0.2, gamma=1.0)
    np.testing.assert_allclose(got, own + 0.2 * background, rtol=1e-6)


def test_an_object_whose_box_does_not_overlap_counts_as_background() -> None:
    targets = TARGETS._replace(quality=np.array([[0.0, 0.0, 0.9]], np.float32))
    two = (1 / (1 + math.exp(-2))) ** 2 * math.log(1 + math.exp(2))
    got = varifocal(LOGITS, targets, background_weight=0.75, gamma=2.0)
    np.testing.assert_allclose(got, 0.75 * (2 * HALF + ONE + two), rtol=1e-6)


@pytest.mark.parametrize(("logit", "sign"), [(-3.0, -1), (3.0, 1)])
def test_the_gradient_moves_the_score_towards_the_quality(gradient, logit: float, sign: int) -> None:
    targets = ClassTargets(np.array([[0]]), np.array([[1]]), np.array([[0.6]], np.float32))
    logits = np.array([[[logit]]], np.float32)
    slope = gradient(lambda x: varifocal(x, targets, background_weight=0.75, gamma=2.0), logits)
    expected = 0.6 * (1 / (1 + math.exp(-logit)) - 0.6)  # q (p - q)
    np.testing.assert_allclose(slope[0, 0, 0], expected, rtol=1e-5)
    assert np.sign(slope[0, 0, 0]) == sign


def test_as_mmdetection(mmdetection: Any) -> None:
    logits, labels, quality = mmdetection["quality_problem"]()
    is_object = labels < 3
    targets = ClassTargets(np.where(is_object, labels, -1)[None], is_object.astype(np.int32)[None], quality[None])
    np.testing.assert_allclose(
        varifocal(logits[None], targets, background_weight=0.75, gamma=2.0), mmdetection["varifocal"], rtol=1e-5
    )
