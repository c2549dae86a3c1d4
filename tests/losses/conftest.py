from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops


def gradient_of(function: Callable[[Any], Any], value: np.ndarray) -> np.ndarray:
    """Gradient of a scalar function on whichever backend runs."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        value = tf.convert_to_tensor(value)
        with tf.GradientTape() as tape:
            tape.watch(value)
            result = function(value)
        return tape.gradient(result, value).numpy()
    if backend == "jax":
        import jax

        return np.asarray(jax.grad(function)(value))
    value = ops.convert_to_tensor(value).requires_grad_(True)
    function(value).backward()
    return value.grad.numpy()


@pytest.fixture
def gradient() -> Callable[[Callable[[Any], Any], np.ndarray], np.ndarray]:
    """`gradient(function, value)`: the gradient of a scalar function."""
    return gradient_of
