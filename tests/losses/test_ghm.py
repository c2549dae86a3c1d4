from __future__ import annotations

import math

import numpy as np
import pytest

from keras_retinanet.losses import ClassTargets
from keras_retinanet.losses.ghm import ghm


def logit(p: float) -> float:
    return math.log(p / (1 - p))


def test_worked_by_hand() -> None:
    """Five bins. Gradients 0.1 and 0.15 (background) and 0.1 (an object at 0.9) share a bin; 0.9 is alone in another.

    Two bins are in use: each has half of the weight, the first as the mean of three values.
    """
    logits = np.array([[[logit(0.1)], [logit(0.15)], [logit(0.9)], [logit(0.9)], [0.0]]], np.float32)
    targets = ClassTargets(np.zeros((1, 5), np.int32), np.array([[0, 0, 1, 0, -1]], np.int32))
    easy = (-math.log(0.9) - math.log(0.85) - math.log(0.9)) / 3
    hard = -math.log(0.1)
    np.testing.assert_allclose(ghm(logits, targets, gradient_bins=5), (easy + hard) / 2, rtol=1e-5)


def test_one_bin_is_the_mean_of_the_cross_entropy() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (2, 20, 3)).astype(np.float32)
    targets = ClassTargets(np.zeros((2, 20), np.int32), np.zeros((2, 20), np.int32))
    np.testing.assert_allclose(ghm(logits, targets, gradient_bins=1), np.log1p(np.exp(logits)).mean(), rtol=1e-5)


def test_a_thousand_easy_examples_weigh_as_much_as_one() -> None:
    def value(count: int) -> float:
        logits = np.array([[[-3.0]] * count + [[3.0]]], np.float32)
        targets = ClassTargets(np.zeros((1, count + 1), np.int32), np.zeros((1, count + 1), np.int32))
        return float(ghm(logits, targets, gradient_bins=10))

    assert value(1000) == pytest.approx(value(1), rel=1e-5)


def test_a_batch_of_ignored_anchors_costs_nothing() -> None:
    targets = ClassTargets(np.zeros((1, 2), np.int32), np.full((1, 2), -1, np.int32))
    assert float(ghm(np.ones((1, 2, 3), np.float32), targets, gradient_bins=10)) == 0
