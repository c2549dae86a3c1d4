"""A detector on every device of this process, for measuring while several devices or processes train."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from keras_retinanet.model.detection_model import DetectionModel
from keras_retinanet.training.devices import Devices


class LocalDetector:
    """Runs whole batches on the devices of this process, one batch on each: the results are those of one device.

    Args:
        model: The inference model of the network in training.
        devices: Those that train.

    Attributes:
        num_devices: Batches that run at the same time.
    """

    def __init__(self, model: DetectionModel, devices: Devices) -> None:
        self._model, self._strategy = model, devices.distribution
        self._run: Any = None
        self.num_devices = devices.count // devices.processes.count

    def predict_on_batch(self, x: Any) -> dict[str, Any]:
        """Detections of one batch.

        Args:
            x: Inputs of the model, NumPy arrays.

        Returns:
            NumPy arrays.
        """
        return self.predict_on_batches([x])[0]

    def predict_on_batches(self, batches: Sequence[Any]) -> list[dict[str, Any]]:
        """Detections of as many batches as there are devices, or fewer.

        Args:
            batches: Inputs of the model, NumPy arrays.

        Returns:
            One dictionary of NumPy arrays per batch.
        """
        is_jax = keras.backend.backend() == "jax"
        return self._on_jax(batches) if is_jax else self._on_replicas(batches)

    def _on_jax(self, batches: Sequence[Any]) -> list[dict[str, Any]]:
        """Every device has a copy of the variables; programs on different devices run at the same time."""
        import jax

        if self._run is None:
            self._run = jax.jit(lambda weights, states, x: self._model.stateless_call(weights, states, x)[0])
        model = self._model
        found = []
        for number, batch in enumerate(batches):
            kinds = (model.trainable_variables, model.non_trainable_variables)
            copies = [[variable.value.addressable_shards[number] for variable in kind] for kind in kinds]
            own = [[copy.data for copy in kind] for kind in copies]
            found.append(self._run(*own, jax.device_put(batch, copies[0][0].device)))
        return [jax.device_get(one) for one in found]

    def _on_replicas(self, batches: Sequence[Any]) -> list[dict[str, Any]]:
        import tensorflow as tf

        strategy = self._strategy
        if self._run is None:
            self._run = tf.function(lambda x: strategy.run(self._model, (x,)), reduce_retracing=False)

        def value(context: Any) -> Any:
            number = min(context.replica_id_in_sync_group, len(batches) - 1)
            return tf.nest.map_structure(tf.constant, batches[number])

        found = self._run(strategy.experimental_distribute_values_from_function(value))
        local = {name: strategy.experimental_local_results(values) for name, values in found.items()}
        return [{name: values[number].numpy() for name, values in local.items()} for number in range(len(batches))]


def detector_on(devices: Devices, model: DetectionModel) -> DetectionModel | LocalDetector:
    """The detector that measures.

    Args:
        devices: Those that train.
        model: The inference model of the network in training.

    Returns:
        The model itself on one device.
    """
    return model if devices.distribution is None else LocalDetector(model, devices)
