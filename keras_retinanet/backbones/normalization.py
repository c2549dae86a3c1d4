"""Keras' batch and group normalisation with the same results in fewer passes over the map."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from keras_retinanet.conv_gradients import before_cast, convolve, source_of
from keras_retinanet.schema import Tensor


@keras.saving.register_keras_serializable(package="keras_retinanet")
class BatchNormalization(keras.layers.BatchNormalization):
    """Keras' batch normalisation of `(B, H, W, C)` maps over their last axis, with scale and shift.

    On the TensorFlow backend one fused kernel replaces the dozen operations that Keras makes of it, in training and in
    inference: in half precision the map is then read and written once, not cast to float32 and back. Statistics and
    outputs are those of Keras; other backends fuse the operations themselves. Where several replicas train together
    under `tf.distribute`, the statistics are those of the global batch; a JAX program sees that batch itself.

    Args:
        epsilon: Added to the variance.
        momentum: Share of the old running statistics in each update.
    """

    def __init__(self, epsilon: float = 1e-3, momentum: float = 0.99, **kwargs: Any) -> None:
        super().__init__(epsilon=epsilon, momentum=momentum, **kwargs)

    def call(self, inputs: Tensor, training: bool | None = None, mask: Tensor | None = None) -> Tensor:
        """Normalised maps of the same shape and dtype."""
        if training and self.trainable and _has_replicas():
            former = getattr(self, "synchronized", False)
            self.synchronized = True
            try:
                return super().call(inputs, training=training, mask=mask)
            finally:
                self.synchronized = former
        if mask is not None or not self._has_kernel(len(inputs.shape)):
            return super().call(inputs, training=training, mask=mask)
        from tensorflow.raw_ops import FusedBatchNormV3

        uses_batch = bool(training) and self.trainable
        if training and not uses_batch and (folded := self._folded(inputs)) is not None:
            return folded
        inputs = ops.cast(inputs, self.compute_dtype)
        outputs, mean, variance, *_ = FusedBatchNormV3(
            x=inputs,
            scale=ops.convert_to_tensor(self.gamma),
            offset=ops.convert_to_tensor(self.beta),
            mean=ops.convert_to_tensor([] if uses_batch else self.moving_mean, "float32"),
            variance=ops.convert_to_tensor([] if uses_batch else self.moving_variance, "float32"),
            epsilon=self.epsilon,
            is_training=uses_batch,
        )
        if uses_batch:
            count = ops.cast(math.prod(ops.shape(inputs)[:-1]), "float32")
            unbiased = (count - 1) / count  # the kernel returns the sample variance, Keras keeps the population's
            self._follow(self.moving_mean, mean)
            self._follow(self.moving_variance, variance * unbiased)
        return outputs

    def _folded(self, convolved: Tensor) -> Tensor | None:
        """The maps of a frozen layer by the convolution before it, with another kernel and a bias; `None` without one.

        A training step then keeps no map before the normalisation, computes no gradient of it, and TensorFlow joins
        convolution, bias and ReLU. The convolution that `convolved` comes from is left without a reader and is not run.
        """
        factor = ops.rsqrt(self.moving_variance + self.epsilon) * self.gamma
        offset = self.beta - self.moving_mean * factor
        if source := source_of(convolved):
            outputs = source.run(source.features, source.kernel, factor=factor)
        else:
            convolution = getattr(convolved, "op", None)  # eager tensors have none
            if convolution is None or convolution.type != "Conv2D" or convolution.get_attr("data_format") != b"NHWC":
                return None
            features, kernel = convolution.inputs[0], before_cast(convolution.inputs[1])
            settings = {name: convolution.get_attr(name) for name in ("strides", "explicit_paddings", "dilations")}
            settings["padding"] = convolution.get_attr("padding").decode()
            outputs = convolve(features, ops.cast(kernel, "float32"), settings, factor)
        import tensorflow as tf

        return tf.nn.bias_add(outputs, ops.cast(offset, outputs.dtype))

    def _has_kernel(self, rank: int) -> bool:
        """True if the fused kernel supports the arguments."""
        is_plain = self.scale and self.center and not self.synchronized and not self.renorm
        return keras.backend.backend() == "tensorflow" and rank == 4 and self.axis in (-1, 3) and is_plain

    def _follow(self, running: keras.Variable, value: Tensor) -> None:
        running.assign(running * self.momentum + value * (1 - self.momentum))


@keras.saving.register_keras_serializable(package="keras_retinanet")
class SyncBatchNormalization(BatchNormalization):
    """`BatchNormalization` under the name that snapshots have it by in heads.

    Args:
        epsilon: Added to the variance.
        momentum: Share of the old running statistics in each update.
    """

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {name: value for name, value in super().get_config().items() if name != "synchronized"}


def _has_replicas() -> bool:
    """True inside a step of several replicas under `tf.distribute`."""
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    return context is not None and context.num_replicas_in_sync > 1


@keras.saving.register_keras_serializable(package="keras_retinanet")
class GroupNormalization(keras.layers.GroupNormalization):
    """Keras' group normalisation of `(B, H, W, C)` maps over their last axis, with scale and shift.

    Keras splits the channels of the map into a fifth axis, over whose few entries CPU kernels step one by one; here
    every channel is averaged on its own first, and only those averages are joined to groups. Variance is taken of the
    differences from the mean, in float32 under every policy.

    Args:
        groups: Groups of channels; each image and group has its own statistics.
        epsilon: Added to the variance.
    """

    def __init__(self, groups: int = 32, epsilon: float = 1e-3, **kwargs: Any) -> None:
        super().__init__(groups, epsilon=epsilon, **kwargs)

    def call(self, inputs: Tensor) -> Tensor:
        """Normalised maps of the same shape and dtype."""
        if len(inputs.shape) != 4 or self.axis not in (-1, 3):
            return super().call(inputs)
        x = ops.cast(inputs, "float32")
        x = x - self._grouped(ops.mean(x, axis=(1, 2)))  # (B, H, W, C)
        variance = self._grouped(ops.mean(ops.square(x), axis=(1, 2)))  # (B, 1, 1, C)
        factor = ops.rsqrt(variance + self.epsilon)
        if self.scale:
            factor = factor * ops.cast(self.gamma, "float32")
        x = x * factor
        if self.center:
            x = x + ops.cast(self.beta, "float32")
        return ops.cast(x, self.compute_dtype)

    def _grouped(self, averages: Tensor) -> Tensor:
        """Averages over all channels of the same group: `(B, C)` to `(B, 1, 1, C)`."""
        channels = averages.shape[-1]
        groups = ops.reshape(averages, (-1, self.groups, channels // self.groups))
        groups = ops.repeat(ops.mean(groups, axis=-1), channels // self.groups, axis=-1)
        return ops.reshape(groups, (-1, 1, 1, channels))
