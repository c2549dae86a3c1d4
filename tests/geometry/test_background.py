from __future__ import annotations

import numpy as np
from keras import ops

from keras_retinanet.geometry.background import without_background


def test_the_sigmoid_is_the_softmax():
    logits = np.array([[1.0, -2.0, 0.5, 3.0], [4.0, 4.0, -1.0, 4.0], [0.0, 0.0, 0.0, 0.0]])
    powers = np.exp(logits)
    expected = (powers / powers.sum(axis=-1, keepdims=True))[:, :-1]
    found = without_background(logits)
    assert tuple(found.shape) == (3, 3)
    np.testing.assert_allclose(ops.sigmoid(found), expected, rtol=1e-6)


def test_probabilities_near_0_and_1_keep_their_digits():
    """Of two outputs the logit is their difference, whatever its size; 1 - p of float32 would be 0 from 17 on."""
    logits = np.array([[30.0, 0.0], [-30.0, 0.0], [60.0, 0.0], [1000.0, 940.0]], np.float32)
    np.testing.assert_allclose(without_background(logits)[:, 0], [30, -30, 60, 60], rtol=1e-6)
    far = without_background(np.array([[500.0, -500.0, 0.0], [-500.0, 0.0, 500.0]], "float16"))
    assert np.isfinite(far).all()
    np.testing.assert_allclose(ops.sigmoid(far), [[1, 0], [0, 0]], atol=1e-7)
