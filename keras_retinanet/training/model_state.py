"""What a run must know of the state of a model: finite weights, random generators, variables that are up to date."""

from __future__ import annotations

from collections.abc import Sequence
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
    return all(bool(ops.all(ops.isfinite(_own_value(variable)))) for variable in model.trainable_variables)


def has_finite_state(model: keras.Model) -> bool:
    """Whether no weight is NaN or infinite, running statistics included.

    Args:
        model: keras.Model. Built.

    Returns:
        True where all are finite.
    """
    synchronise(model)
    floats = (variable for variable in model.weights if "float" in str(variable.dtype))
    return all(bool(ops.all(ops.isfinite(_own_value(variable)))) for variable in floats)


def _own_value(variable: keras.Variable) -> Any:
    """The value, or the copy of this process where several train together: only some may look, at their own times."""
    value = variable.value
    return value if getattr(value, "is_fully_addressable", True) else value.addressable_data(0)


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


def read_trackers(model: keras.Model) -> list[float]:
    """The sums and counts from which Keras computes the mean losses of an epoch.

    Args:
        model: keras.Model. Compiled.

    Returns:
        One number per variable of the model's metrics, exact for float32.
    """
    synchronise(model)
    variables = model.metrics_variables
    if keras.backend.backend() == "tensorflow":
        # Under `tf.distribute` each replica has its own sum: reading a variable in an operation adds them up.
        return [float(ops.convert_to_numpy(ops.add(variable.value, 0.0))) for variable in variables]
    return [float(ops.convert_to_numpy(variable.value)) for variable in variables]


def write_trackers(model: keras.Model, values: Sequence[float]) -> None:
    """The inverse of `read_trackers`; other numbers of values are left out.

    Args:
        model: keras.Model. Compiled.
        values: What `read_trackers` returned.
    """
    if len(values) == len(model.metrics_variables):
        for variable, value in zip(model.metrics_variables, values, strict=True):
            variable.assign(value)
