"""Dilated convolution without TensorFlow's detour over a batch of small maps."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from keras_retinanet.schema import Tensor


@keras.saving.register_keras_serializable(package="keras_retinanet")
class DilatedConv2D(layers.Conv2D):
    """`keras.layers.Conv2D` with a dilation, stride 1 and `"same"` padding, faster on the TensorFlow backend.

    TensorFlow splits the maps of a dilated convolution into `dilation²` small ones, since its own kernels have no
    gradient with dilation on a CPU. Here training is a matrix product over the taps of the kernel, and inference the
    kernel with dilation. Other backends do what Keras does.

    Example:
        >>> DilatedConv2D(1024, 3, padding="same", dilation_rate=6)(maps).shape
        (1, 19, 19, 1024)
    """

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        """Maps `(B, H, W, filters)` from `(B, H, W, C)`.

        Args:
            inputs: `(B, H, W, C)`.
            training: Whether gradients will be computed.
        """
        if keras.backend.backend() != "tensorflow":
            return super().call(inputs)
        padded = self._padded(inputs)
        if training:
            kernel = ops.reshape(self.kernel, (-1, self.filters))  # (taps · C, filters)
            outputs = ops.matmul(self._taps(padded, ops.shape(inputs)), ops.cast(kernel, self.compute_dtype))
        else:
            import tensorflow as tf

            kernel = tf.convert_to_tensor(self.kernel)
            outputs = tf.nn.conv2d(padded, kernel, 1, "VALID", dilations=self.dilation_rate)
        if self.use_bias:
            outputs = ops.add(outputs, self.bias)
        return self.activation(outputs)

    def _padded(self, inputs: Tensor) -> Tensor:
        """The maps with zeros around them; ONNX Runtime has no dilation with `"same"` padding."""
        spans = [rate * (size - 1) for rate, size in zip(self.dilation_rate, self.kernel_size, strict=True)]
        return ops.pad(inputs, ((0, 0), *((span // 2, span - span // 2) for span in spans), (0, 0)))

    def _taps(self, padded: Tensor, shape: tuple[Any, ...]) -> Tensor:
        """`(B, H, W, taps · C)`: for each tap of the kernel, row by row, the maps moved to where it looks."""
        (rows, columns), (step_y, step_x) = self.kernel_size, self.dilation_rate
        starts = [(0, row * step_y, column * step_x, 0) for row in range(rows) for column in range(columns)]
        return ops.concatenate([ops.slice(padded, start, shape) for start in starts], axis=-1)

    def compute_output_spec(self, inputs: Any, training: bool | None = None) -> keras.KerasTensor:
        """Shape and dtype of the maps."""
        del training
        return keras.KerasTensor(self.compute_output_shape(inputs.shape), dtype=self.compute_dtype)
