"""A snapshot, or the inference model as a Keras file."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import keras

from keras_retinanet.config import FilterConfig
from keras_retinanet.inference import load_model
from keras_retinanet.model.detection_model import DetectionModel
from keras_retinanet.runtimes.description import Description
from keras_retinanet.runtimes.runtime import BatchRuntime, raw_outputs
from keras_retinanet.schema import RawOutputs
from keras_retinanet.winograd import use_winograd, winograd_convolutions


class KerasRuntime(BatchRuntime):
    """Detects with a Keras model in this process.

    Args:
        model: The model with its thresholds.
        image_size: Height and width of every batch, see `data.preparation.fit_image`. Defaults to `None`: any.
    """

    def __init__(self, model: DetectionModel, image_size: tuple[int, int] | None = None) -> None:
        network = model.network
        super().__init__(
            Description(
                model.class_names,
                network.resize_config,
                network.pad_value,
                model.filter_config,
                image_size,
                metadata=network.metadata,
            )
        )
        self.model = model
        self._has_winograd = False

    @classmethod
    def open(cls, path: Path) -> KerasRuntime:
        """Opens a file.

        Args:
            path: A snapshot or an inference model.

        Returns:
            The runtime, with the thresholds of the file.
        """
        model = load_model(path, compile=False)
        return cls(model if isinstance(model, DetectionModel) else DetectionModel(model))

    @property
    def compiles_shapes(self) -> bool:
        """Whether each new input shape costs seconds; TensorFlow relaxes the shapes after a few."""
        return keras.backend.backend() != "tensorflow"

    def with_filter(self, filter: FilterConfig) -> KerasRuntime:
        """The same network with other thresholds; see `Runtime`."""
        changed = KerasRuntime(DetectionModel(self.model.network, filter), self.image_size)
        changed._has_winograd = self._has_winograd
        return changed

    def with_winograd(self) -> KerasRuntime:
        """Detects by Winograd's algorithm; see `Runtime`. Its raw outputs are those of the model itself."""
        changed = self.with_filter(self.filter)  # a model with functions of its own
        changed._has_winograd = use_winograd(self.model.network, is_default=False) > 0
        return changed

    def run(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """`schema.BatchDetections` of network input; see `BatchRuntime`."""
        with winograd_convolutions() if self._has_winograd else nullcontext():
            found: dict[str, Any] = self.model.predict_on_batch(inputs)
        return found

    def raw_outputs(self, images: Any) -> RawOutputs:
        """The outputs of the network; see `Runtime`."""
        found: RawOutputs = raw_outputs(self.model.network.predict_on_batch(images))
        return found
