from __future__ import annotations

import numpy as np

from keras_retinanet.losses import ClassTargets
from keras_retinanet.losses.softmax import softmax_cross_entropy
from keras_retinanet.losses.softmax_focal import softmax_focal

LOGITS = np.log(np.array([[[1, 2, 1], [1, 1, 6], [5, 1, 1]]], np.float32))
TARGETS = ClassTargets(np.array([[1, -1, 0]], np.int32), np.array([[1, 0, -1]], np.int32))
"""An object with probability 1/2, background with 3/4, an ignored anchor."""


def test_worked_by_hand() -> None:
    own, background = 0.5**2 * np.log(2), 0.25**2 * np.log(4 / 3)
    found = softmax_focal(LOGITS, TARGETS, alpha=0.25, gamma=2.0)
    np.testing.assert_allclose(found, 0.25 * own + 0.75 * background, rtol=1e-5)
    weighted = softmax_focal(LOGITS, TARGETS, alpha=0.25, gamma=2.0, class_weights=(7.0, 3.0))
    np.testing.assert_allclose(weighted, 0.75 * own + 0.75 * background, rtol=1e-5)


def test_without_modulation_it_is_the_cross_entropy() -> None:
    found = softmax_focal(LOGITS, TARGETS, alpha=0.5, gamma=0.0)
    np.testing.assert_allclose(2 * found, softmax_cross_entropy(LOGITS, TARGETS), rtol=1e-5)


def test_label_smoothing_worked_by_hand() -> None:
    """ε 0.3 of three outputs: targets 0.8, 0.1 and 0.1; the factor keeps the label."""
    own = -0.8 * np.log(0.5) - 0.2 * np.log(0.25)
    background = -0.8 * np.log(0.75) - 0.2 * np.log(0.125)
    found = softmax_cross_entropy(LOGITS, TARGETS, label_smoothing=0.3)
    np.testing.assert_allclose(found, own + background, rtol=1e-5)
    found = softmax_focal(LOGITS, TARGETS, alpha=0.25, gamma=2.0, label_smoothing=0.3)
    np.testing.assert_allclose(found, 0.25 * 0.5**2 * own + 0.75 * 0.25**2 * background, rtol=1e-5)
