from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from keras import ops

from keras_retinanet.losses.distribution_focal import distribution_focal


def test_worked_by_hand() -> None:
    """Three bins, logits 0, log 2, 0: probabilities 1/4, 1/2, 1/4. Distances 0, 1, 0.25 and, cut off, 1.9."""
    logits = np.tile(np.log([1, 2, 1]), 4).astype(np.float32)
    sides = [math.log(4), math.log(2), 0.75 * math.log(4) + 0.25 * math.log(2), 0.1 * math.log(2) + 0.9 * math.log(4)]
    found = distribution_focal(logits, np.array([0, 1, 0.25, 7], np.float32))
    np.testing.assert_allclose(found, sum(sides) / 4, rtol=1e-6)


def test_as_mmdetection(mmdetection: Any) -> None:
    bins, distances = mmdetection["distribution_problem"]()
    found = distribution_focal(bins.reshape(10, -1), distances)
    np.testing.assert_allclose(found, mmdetection["distribution_focal"], rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_extremes_are_finite(dtype: str) -> None:
    logits = ops.cast(np.array([[6e4, -6e4, 0] * 4, [-6e4, -6e4, 6e4] * 4], np.float32), dtype)
    found = np.asarray(distribution_focal(logits, np.full((2, 4), 1.0, np.float32)))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [1.2e5, 1.2e5], rtol=1e-2)


def test_the_gradient_moves_mass_to_the_distance(gradient: Any) -> None:
    slope = gradient(
        lambda x: ops.sum(distribution_focal(x, np.full((1, 4), 1.25, np.float32))), np.zeros((1, 16), np.float32)
    )
    np.testing.assert_allclose(slope[0, :4] * 4, [0.25, 0.25 - 0.75, 0.25 - 0.25, 0.25], atol=1e-6)
