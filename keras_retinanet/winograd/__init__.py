"""3x3 convolutions by Winograd's algorithm F(4x4, 3x3): a quarter of the multiplications, on TensorFlow and CPUs.

A tile of 4 x 4 outputs is `Aᵀ [(G g Gᵀ) ∘ (Bᵀ d B)] A`, d the 6 x 6 inputs around it and g the kernel (Lavin and Gray,
"Fast Algorithms for Convolutional Neural Networks", 2015). The polynomials are evaluated at 0, 1, -1, 1/2, -2 and ∞,
which round less than the usual ±2. Summing over channels makes 36 matrix products of the product ∘. The transforms are
products with 36 x 36 and 16 x 36 matrices, and tiles are collected by `tf.gather`, which copies all channels of a
pixel at once: plain operators, where sums of slices would take all that the algorithm gains. A part of the tiles at a
time stays in the cache.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple, get_args

import keras
from keras import ops

from keras_retinanet.config import Winograd
from keras_retinanet.conv_gradients import is_direct
from keras_retinanet.framework_internals import nested_layers
from keras_retinanet.schema import Tensor
from keras_retinanet.winograd.convolution import convolve

__all__ = ["convolve", "use_winograd", "winograd_convolutions"]

LEAST_CHANNELS = 128
"""Channels of input and output from which the algorithm pays: transforms take as long for fewer products."""


def use_winograd(model: keras.Model, setting: Winograd = "auto", *, is_default: bool = True) -> int:
    """Lets the 3x3 convolutions of a model use the algorithm wherever it is faster.

    The choice depends on shapes only, never on a timing: a resumed run computes the same bits. Convolutions in half
    precision, with strides, dilation or groups, with fewer than `LEAST_CHANNELS`, and maps of fewer than
    `convolution.LEAST_TILES` tiles keep their operation. So does every backend but TensorFlow, and every GPU. What the
    model saves is unchanged.

    Args:
        model: keras.Model. Any; changed in place. Functions that are already traced keep what they have.
        setting: `"off"` gives all convolutions their own operation back.
        is_default: With `False` they use it within `winograd_convolutions` only; convolutions that use it by default
            since an earlier call are left so. Defaults to `True`.

    Returns:
        Number of convolutions that may use it.

    Raises:
        ValueError: `setting` is neither `"off"` nor `"auto"`.
    """
    if setting not in get_args(Winograd):
        raise ValueError(f'winograd must be "off" or "auto", not {setting!r}.')
    found = [layer for layer in nested_layers(model) if _is_suitable(layer)]
    if setting == "off" or keras.backend.backend() != "tensorflow" or _has_gpu():
        for layer in found:
            if isinstance(layer.convolution_op, _Operation):
                layer.convolution_op = layer.convolution_op.direct
        return 0
    for layer in found:
        operation = layer.convolution_op
        if not isinstance(operation, _Operation):
            layer.convolution_op = _Operation(operation, is_default)
        elif is_default and not operation.is_default:
            layer.convolution_op = operation._replace(is_default=True)
    return len(found)


_IS_CHOSEN = ContextVar("is_chosen", default=False)


@contextmanager
def winograd_convolutions() -> Iterator[None]:
    """A block in which convolutions with `is_default=False` use the algorithm, too. It holds for this thread."""
    token = _IS_CHOSEN.set(True)
    try:
        yield
    finally:
        _IS_CHOSEN.reset(token)


class _Operation(NamedTuple):
    """A layer's operation: by the algorithm where shapes and dtype permit it."""

    direct: Callable[[Tensor, Tensor], Tensor]
    is_default: bool

    def __call__(self, inputs: Tensor, kernel: Tensor) -> Tensor:
        is_chosen = (self.is_default or _IS_CHOSEN.get()) and not is_direct()
        is_symbolic = isinstance(inputs, keras.KerasTensor)
        if is_symbolic or not (is_chosen and _is_float32(inputs) and _is_float32(kernel)):
            return self.direct(inputs, kernel)
        return convolve(inputs, ops.convert_to_tensor(kernel))


def _is_float32(value: Tensor) -> bool:
    return keras.backend.standardize_dtype(value.dtype) == "float32"


def _is_suitable(layer: keras.Layer) -> bool:
    """Whether a layer is a plain 3x3 convolution with enough channels."""
    if not isinstance(layer, keras.layers.Conv2D) or not layer.built:
        return False
    is_plain = layer.kernel_size == (3, 3) and layer.strides == layer.dilation_rate == (1, 1) and layer.groups == 1
    is_plain = is_plain and layer.padding == "same" and layer.data_format == "channels_last"
    return is_plain and min(layer.kernel.shape[2:]) >= LEAST_CHANNELS


def _has_gpu() -> bool:
    import tensorflow as tf

    return bool(tf.config.list_logical_devices("GPU"))
