"""Dilated convolution without TensorFlow's detour over a batch of small maps."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_retinanet.backbones.plain_conv import PlainConv2D
from keras_retinanet.schema import Tensor


@keras.saving.register_keras_serializable(package="keras_retinanet")
class DilatedConv2D(PlainConv2D):
    """`keras.layers.Conv2D` with a dilation, stride 1 and `"same"` padding, faster on the TensorFlow backend.

    TensorFlow splits the maps of a dilated convolution into `dilation²` small ones, since its own kernels have no
    gradient with dilation on a CPU. Here training is a matrix product over the taps of the kernel, and inference the
    kernel with dilation. Other backends do what Keras does.

    Example:
        >>> DilatedConv2D(1024, 3, padding="same", dilation_rate=6)(maps).shape
        (1, 19, 19, 1024)
    """

    def convolve(self, inputs: Tensor, *, is_training: bool) -> Tensor:
        """See `PlainConv2D.convolve`."""
        padded = self._padded(inputs)
        if is_training:
            kernel = ops.reshape(self.kernel, (-1, self.filters))  # (taps · C, filters)
            return ops.matmul(self._taps(padded, ops.shape(inputs)), ops.cast(kernel, self.compute_dtype))
        import tensorflow as tf

        return tf.nn.conv2d(padded, tf.convert_to_tensor(self.kernel), 1, "VALID", dilations=self.dilation_rate)

    def _padded(self, inputs: Tensor) -> Tensor:
        """The maps with zeros around them; ONNX Runtime has no dilation with `"same"` padding."""
        spans = [rate * (size - 1) for rate, size in zip(self.dilation_rate, self.kernel_size, strict=True)]
        return ops.pad(inputs, ((0, 0), *((span // 2, span - span // 2) for span in spans), (0, 0)))

    def _taps(self, padded: Tensor, shape: tuple[Any, ...]) -> Tensor:
        """`(B, H, W, taps · C)`: for each tap of the kernel, row by row, the maps moved to where it looks."""
        (rows, columns), (step_y, step_x) = self.kernel_size, self.dilation_rate
        starts = [(0, row * step_y, column * step_x, 0) for row in range(rows) for column in range(columns)]
        return ops.concatenate([ops.slice(padded, start, shape) for start in starts], axis=-1)
