"""Grouped convolution (Krizhevsky et al. 2012; Xie et al., ResNeXt, 2017) without XLA."""

from __future__ import annotations

import keras

from keras_retinanet.backbones.plain_conv import PlainConv2D
from keras_retinanet.schema import Tensor


@keras.saving.register_keras_serializable(package="keras_retinanet")
class GroupedConv2D(PlainConv2D):
    """`keras.layers.Conv2D` with `groups`, as plain operations of TensorFlow.

    Keras compiles grouped convolutions on TensorFlow with XLA, which servers and converters do not have. The kernel of
    TensorFlow has groups too; its gradients on CPUs exist in builds with oneDNN only, so training there convolves each
    group by itself. Other backends do what Keras does.

    Example:
        >>> GroupedConv2D(128, 3, padding="same", groups=32)(maps).shape
        (1, 100, 100, 128)
    """

    def convolve(self, inputs: Tensor, *, is_training: bool) -> Tensor:
        """See `PlainConv2D.convolve`."""
        import tensorflow as tf

        kernel, strides, padding = tf.convert_to_tensor(self.kernel), self.strides, self.padding.upper()
        if not is_training or tf.config.list_logical_devices("GPU"):
            return tf.nn.conv2d(inputs, kernel, strides, padding)
        pairs = zip(tf.split(inputs, self.groups, -1), tf.split(kernel, self.groups, -1), strict=True)
        return tf.concat([tf.nn.conv2d(part, own, strides, padding) for part, own in pairs], -1)
