"""Keras' depthwise convolution with a faster gradient in bfloat16."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import layers, ops

from keras_retinanet.schema import Tensor


@keras.saving.register_keras_serializable(package="keras_retinanet")
class DepthwiseConv2D(layers.DepthwiseConv2D):
    """Keras' depthwise convolution of `(B, H, W, C)` maps.

    TensorFlow's gradient of a strided depthwise convolution with respect to its input is about eight times slower in
    bfloat16 than in float32 on a CPU. In training on the TensorFlow backend, that gradient is computed in float32 and
    rounded to bfloat16. Outputs, other dtypes and other backends are Keras' own.
    """

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        """Filtered maps `(B, H', W', C · depth_multiplier)` of the same dtype."""
        if not (training and self._is_slow_in_bfloat16()):
            return super().call(inputs)
        outputs = self._convolve(inputs, ops.cast(self.kernel, self.compute_dtype))
        if self.use_bias:
            outputs = ops.add(outputs, self.bias)
        return self.activation(outputs)

    def _is_slow_in_bfloat16(self) -> bool:
        is_plain = self.data_format == "channels_last" and max(self.dilation_rate) == 1
        is_strided = max(self.strides) > 1 and self.compute_dtype == "bfloat16"
        return is_plain and is_strided and keras.backend.backend() == "tensorflow"

    def _convolve(self, inputs: Tensor, kernel: Tensor) -> Tensor:
        from tensorflow.raw_ops import DepthwiseConv2dNativeBackpropFilter, DepthwiseConv2dNativeBackpropInput

        how = {"strides": [1, *self.strides, 1], "padding": self.padding.upper()}

        @ops.custom_gradient
        def forward(inputs: Tensor, kernel: Tensor) -> tuple[Tensor, Callable[..., Any]]:
            outputs = ops.depthwise_conv(inputs, kernel, self.strides, self.padding, self.data_format)

            def gradient(upstream: Tensor) -> tuple[Tensor, Tensor]:
                of_inputs = DepthwiseConv2dNativeBackpropInput(
                    input_sizes=ops.shape(inputs),
                    filter=ops.cast(kernel, "float32"),
                    out_backprop=ops.cast(upstream, "float32"),
                    **how,
                )
                of_kernel = DepthwiseConv2dNativeBackpropFilter(
                    input=inputs, filter_sizes=kernel.shape, out_backprop=upstream, **how
                )
                return ops.cast(of_inputs, inputs.dtype), of_kernel

            return outputs, gradient

        return forward(inputs, kernel)
