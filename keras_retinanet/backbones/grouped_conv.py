"""Grouped convolution (Krizhevsky et al. 2012; Xie et al., ResNeXt, 2017) without XLA."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from keras_retinanet.schema import Tensor


@keras.saving.register_keras_serializable(package="keras_retinanet")
class GroupedConv2D(layers.Conv2D):
    """`keras.layers.Conv2D` with `groups`, as plain operations of TensorFlow.

    Keras compiles grouped convolutions on TensorFlow with XLA, which servers and converters do not have. The kernel of
    TensorFlow has groups too; its gradients on CPUs exist in builds with oneDNN only, so training there convolves each
    group by itself. Other backends do what Keras does.

    Example:
        >>> GroupedConv2D(128, 3, padding="same", groups=32)(maps).shape
        (1, 100, 100, 128)
    """

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        """Maps `(B, h, w, filters)` from `(B, H, W, C)`.

        Args:
            inputs: `(B, H, W, C)`.
            training: Whether gradients will be computed.
        """
        if keras.backend.backend() != "tensorflow":
            return super().call(inputs)
        import tensorflow as tf

        kernel, strides, padding = tf.convert_to_tensor(self.kernel), self.strides, self.padding.upper()
        if training and not tf.config.list_logical_devices("GPU"):
            pairs = zip(tf.split(inputs, self.groups, -1), tf.split(kernel, self.groups, -1), strict=True)
            outputs = tf.concat([tf.nn.conv2d(part, own, strides, padding) for part, own in pairs], -1)
        else:
            outputs = tf.nn.conv2d(inputs, kernel, strides, padding)
        if self.use_bias:
            outputs = tf.nn.bias_add(outputs, tf.convert_to_tensor(self.bias))
        return self.activation(outputs)

    def compute_output_spec(self, inputs: Any, training: bool | None = None) -> keras.KerasTensor:
        """Shape and dtype of the maps."""
        del training
        return keras.KerasTensor(self.compute_output_shape(inputs.shape), dtype=self.compute_dtype)
