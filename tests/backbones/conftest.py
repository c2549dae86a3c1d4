"""Weights for which every layer, bias and running statistic shows in the output, while features keep their scale."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

LAST_NORMS = ("_project_bn", "_3_bn")
"""Ends of the names of the normalisations at the end of a residual branch."""


def _random_weight(name: str, layer: Any, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    z = rng.standard_normal(shape)
    if len(shape) > 1:
        is_depthwise = type(layer).__name__ == "DepthwiseConv2D"
        inputs = np.prod(shape[:-2]) if is_depthwise else np.prod(shape[:-1])
        return z * np.sqrt(2 / inputs)
    if name == "gamma":
        # At full strength fifty branches on top of each other make rounding grow from 1e-7 of the input to 1e-3.
        strength = 0.3 if layer.name.lower().endswith(LAST_NORMS) else 1
        return strength * (1 + 0.1 * z)
    if name == "moving_variance":
        return 1 + 0.2 * np.abs(z)
    if type(layer).__name__ == "LayerScale":  # its initial 1e-6 would hide the whole block
        return 0.3 + 0.1 * z
    return 0.1 * z


def _randomize(model: Any, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if hasattr(layer, "layers"):
            _randomize(layer, int(rng.integers(2**31)))
        elif type(layer).__name__ != "Normalization":
            layer.set_weights([_random_weight(w.name, layer, tuple(w.shape), rng) for w in layer.weights])
    return model


@pytest.fixture(scope="session")
def randomize() -> Callable[..., Any]:
    """Gives a model random weights, biases and batch normalisation statistics; returns the model."""
    return _randomize


def _assert_maps_equal(actual: Any, expected: Any, tolerance: float = 1e-4) -> None:
    assert set(actual) == set(expected)
    for level in sorted(expected):
        ours, theirs = np.asarray(actual[level]), np.asarray(expected[level])
        assert ours.shape == theirs.shape, level
        scale = np.abs(theirs).max()
        assert scale > 1e-3, f"{level} is dead, its equality shows nothing"
        assert theirs.std() > 1e-3 * scale, f"{level} is flat, its equality shows nothing"
        np.testing.assert_allclose(ours / scale, theirs / scale, rtol=0, atol=tolerance, err_msg=level)


@pytest.fixture(scope="session")
def assert_maps_equal() -> Callable[..., None]:
    """Compares two `{"C2": …}` relative to the scale of the features."""
    return _assert_maps_equal
