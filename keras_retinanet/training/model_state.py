"""What a run must know of the state of a model: finite weights, random generators, variables that are up to date."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


def has_finite_weights(model: keras.Model) -> bool:
    """Whether no trainable weight is NaN or infinite.

    Args:
        model: keras.Model. Built.

    Returns:
        True where all are finite.
    """
    synchronise(model)
    return all(bool(ops.all(ops.isfinite(variable.value))) for variable in model.trainable_variables)


def random_states(model: keras.Model) -> list[Any]:
    """The states of a model's random generators (dropout), which Keras does not save.

    Args:
        model: keras.Model. Built.

    Returns:
        Keras variables, in the model's order.
    """
    return [variable for variable in model.variables if variable.path.endswith("seed_generator_state")]


def synchronise(model: keras.Model) -> None:
    """Brings the variables up to date on the JAX backend, which keeps them elsewhere while `fit` runs.

    Args:
        model: keras.Model. The one that is being trained.
    """
    if hasattr(model, "jax_state_sync"):
        model.jax_state_sync()
