"""A model of one weight, for callbacks that are tested alone."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import pytest


@pytest.fixture
def model() -> keras.Model:
    """y = w x, with the variable that names the images of a failed batch."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")])
    model.nan_batch_indices = keras.Variable(np.full(64, -1), dtype="int32", trainable=False)
    model.compile(keras.optimizers.SGD(0.5), loss="mse")
    model.stop_training = False
    return model


@pytest.fixture
def attached() -> Callable[..., keras.callbacks.Callback]:
    """Gives a callback its model and the length of the run."""

    def attach(callback: keras.callbacks.Callback, model: keras.Model, steps: int = 3) -> keras.callbacks.Callback:
        callback.set_model(model)
        callback.set_params({"steps": steps, "epochs": 2, "verbose": 0})
        return callback

    return attach
