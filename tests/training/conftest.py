"""A model of one weight, for callbacks that are tested alone."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import keras
import numpy as np
import pytest

from keras_retinanet.training.processes import Processes


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


class Store:
    """A key-value store in memory, with what is asked of the client of JAX's coordination service."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self._changed = threading.Condition()

    def key_value_set(self, key: str, value: Any, allow_overwrite: bool = False) -> None:
        with self._changed:
            assert allow_overwrite or key not in self.values, key
            self.values[key] = value
            self._changed.notify_all()

    key_value_set_bytes = key_value_set

    def key_value_try_get_bytes(self, key: str) -> Any:
        return self.values[key]

    def blocking_key_value_get_bytes(self, key: str, timeout_in_ms: int) -> Any:
        with self._changed:
            if not self._changed.wait_for(lambda: key in self.values, timeout_in_ms / 1000):
                raise RuntimeError("DEADLINE_EXCEEDED")
            return self.values[key]

    def key_value_dir_get(self, key: str) -> list[tuple[str, Any]]:
        return [(name, value) for name, value in self.values.items() if name.startswith(f"{key}/")]

    def key_value_delete(self, key: str) -> None:
        for name in [name for name in self.values if name.startswith(key)]:
            del self.values[name]


@pytest.fixture
def store() -> Store:
    """An empty store."""
    return Store()


@pytest.fixture
def in_processes(store: Store) -> Callable[[int, Callable[[Processes], Any]], list[Any]]:
    """Runs a function in each of several processes, which are threads here, and returns what each returned."""

    def run(count: int, work: Callable[[Processes], Any]) -> list[Any]:
        with ThreadPoolExecutor(count) as pool:
            return list(pool.map(lambda index: work(Processes(index, count, store)), range(count)))

    return run
