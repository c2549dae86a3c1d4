"""Base of the convolutions that TensorFlow computes by its plain operations, and other backends as Keras does."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from keras_retinanet.schema import Tensor


class PlainConv2D(layers.Conv2D):
    """`keras.layers.Conv2D` whose subclass says how TensorFlow convolves."""

    def convolve(self, inputs: Tensor, *, is_training: bool) -> Tensor:
        """Convolves by operations of TensorFlow.

        Args:
            inputs: `(B, H, W, C)`.
            is_training: Whether gradients will be computed.

        Returns:
            `(B, h, w, filters)`, before bias and activation.
        """
        raise NotImplementedError

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        """Maps `(B, h, w, filters)` from `(B, H, W, C)`.

        Args:
            inputs: `(B, H, W, C)`.
            training: Whether gradients will be computed.
        """
        if keras.backend.backend() != "tensorflow":
            return super().call(inputs)
        outputs = self.convolve(inputs, is_training=bool(training))
        return self.activation(ops.add(outputs, self.bias) if self.use_bias else outputs)

    def compute_output_spec(self, inputs: Any, training: bool | None = None) -> keras.KerasTensor:
        """Shape and dtype of the maps."""
        del training
        return keras.KerasTensor(self.compute_output_shape(inputs.shape), dtype=self.compute_dtype)
