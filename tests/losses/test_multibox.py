from __future__ import annotations

from typing import Any

import numpy as np

from keras_retinanet.losses import ClassTargets
from keras_retinanet.losses.multibox import multibox

LOGITS = np.log(np.array([[[1, 2, 1], [1, 1, 6], [4, 3, 1], [1, 2, 1], [5, 1, 1]]], np.float32))
TARGETS = ClassTargets(np.array([[1, -1, -1, -1, 0]], np.int32), np.array([[1, 0, 0, 0, -1]], np.int32))
"""An object with probability 1/2; background with 3/4, 1/8 and 1/4; an ignored anchor."""


def test_worked_by_hand() -> None:
    np.testing.assert_allclose(multibox(LOGITS, TARGETS, negative_ratio=1.0), np.log(2 * 8), rtol=1e-5)
    np.testing.assert_allclose(multibox(LOGITS, TARGETS, negative_ratio=2.0), np.log(2 * 8 * 4), rtol=1e-5)
    np.testing.assert_allclose(multibox(LOGITS, TARGETS, negative_ratio=9.0), np.log(2 * 8 * 4 * 4 / 3), rtol=1e-5)


def test_an_image_without_objects_has_no_negatives() -> None:
    empty = TARGETS._replace(anchor_labels=np.zeros((1, 5), np.int32))
    assert float(multibox(LOGITS, empty, negative_ratio=3.0)) == 0


def test_anchors_that_were_not_chosen_have_no_gradient(gradient: Any) -> None:
    slope = gradient(lambda x: multibox(x, TARGETS, negative_ratio=1.0), LOGITS)
    assert np.all(slope[0, [1, 3, 4]] == 0)
    np.testing.assert_allclose(slope[0, 0], [0.25, -0.5, 0.25], rtol=1e-5)
    np.testing.assert_allclose(slope[0, 2], [0.5, 0.375, -0.875], rtol=1e-5)
