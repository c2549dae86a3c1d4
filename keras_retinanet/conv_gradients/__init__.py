"""Convolutions whose gradients are matrix products, where these are faster than TensorFlow's kernels."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

import keras
from keras import ops

from keras_retinanet.conv_gradients import products
from keras_retinanet.conv_gradients.products import SAME, Settings, feature_gradient, kernel_gradient
from keras_retinanet.framework_internals import nested_layers
from keras_retinanet.schema import Tensor

_SOURCES = "keras_retinanet/convolutions"  # collection of a graph


class Source(NamedTuple):
    """What a convolution of this package was computed from.

    Attributes:
        features: `(B, H, W, C)`.
        kernel: `(h, w, C, K)`.
        run: The same convolution of other arguments.
    """

    features: Tensor
    kernel: Tensor
    run: Callable[..., Tensor]


def source_of(outputs: Tensor) -> Source | None:
    """Finds the arguments of a convolution whose result was kept by `keep_source` in the same graph.

    Args:
        outputs: tf.Tensor.

    Returns:
        Its source; `None` for anything else.
    """
    graph = getattr(outputs, "graph", None)
    found = graph.get_collection(_SOURCES) if graph is not None else ()
    return next((source for result, source in found if result is outputs), None)


def keep_source(outputs: Tensor, source: Source) -> None:
    """Keeps the arguments of a convolution for `source_of`; eager results are not kept."""
    if (graph := getattr(outputs, "graph", None)) is not None:
        graph.add_to_collection(_SOURCES, (outputs, source))


def before_cast(kernel: Tensor) -> Tensor:
    """The tensor that a kernel was cast from, in the graph of a function; else the kernel itself."""
    operation = getattr(kernel, "op", None)  # eager tensors have none
    return operation.inputs[0] if operation is not None and operation.type == "Cast" else kernel


def use_products(model: keras.Model) -> int:
    """Lets the 1x1 and 3x3 convolutions of a model compute their gradients by `convolve`, where that pays.

    Those before a frozen batch normalisation do so anyway.

    The choice depends on shapes and the processor only, never on a timing: a resumed run computes the same bits. What
    the model saves is unchanged, and so is every result of the forward pass.

    Args:
        model: keras.Model. Any; changed in place.

    Returns:
        Number of these convolutions.
    """
    found = [layer for layer in nested_layers(model) if _is_suitable(layer)]
    for layer in found:
        if "convolution_op" not in vars(layer):  # neither of this module nor of another that was put above it
            settings = {"strides": [1, *layer.strides, 1], "padding": layer.padding.upper()}
            layer.convolution_op = _Operation(layer.convolution_op, settings)
    return len(found)


_IS_DIRECT = ContextVar("is_direct", default=False)


@contextmanager
def direct_convolutions() -> Iterator[None]:
    """Where a graph is traced for an artefact: the layers of any model have their own operation, in this thread."""
    token = _IS_DIRECT.set(True)
    try:
        yield
    finally:
        _IS_DIRECT.reset(token)


def is_direct() -> bool:
    """Whether the code runs within `direct_convolutions`."""
    return _IS_DIRECT.get()


def convolve(features: Tensor, kernel: Tensor, settings: Settings = SAME, factor: Tensor | None = None) -> Tensor:
    """TensorFlow's convolution with the gradients of this module; differentiable once.

    Args:
        features: tf.Tensor. `(B, H, W, C)`.
        kernel: tf.Tensor. `(h, w, C, K)`, float32 or the dtype of the features; its gradient has the same.
        settings: Attributes of the operation.
        factor: tf.Tensor. `(K,)`; scales the kernel and does not learn. The gradient scales the kernel again, or else
            all scaled kernels, as large as a backbone's weights, would be kept from the forward pass to the end of the
            backward pass. Defaults to `None`.

    Returns:
        The maps in the dtype of the features.
    """
    import tensorflow as tf

    @tf.custom_gradient
    def run(features: Tensor, kernel: Tensor) -> tuple[Tensor, Callable[[Tensor], tuple[Tensor, Tensor]]]:
        def scaled() -> Tensor:
            return ops.cast(kernel if factor is None else kernel * factor, features.dtype)

        def gradient(upstream: Tensor) -> tuple[Tensor, Tensor]:
            with tf.control_dependencies([upstream]):  # or the forward pass would prepare these, and keep them
                to_features = feature_gradient(features, scaled(), upstream, settings)
                to_kernel = ops.cast(kernel_gradient(features, kernel.shape, upstream, settings), kernel.dtype)
            return to_features, to_kernel if factor is None else to_kernel * factor

        return tf.raw_ops.Conv2D(input=features, filter=scaled(), **settings), gradient

    return run(features, kernel)


class _Operation(NamedTuple):
    """A layer's operation, with other gradients where they pay."""

    direct: Callable[[Tensor, Tensor], Tensor]
    settings: Settings

    def __call__(self, inputs: Tensor, kernel: Tensor) -> Tensor:
        if is_direct() or isinstance(inputs, keras.KerasTensor):
            return self.direct(inputs, kernel)
        import tensorflow as tf

        inputs, kernel = tf.convert_to_tensor(inputs), tf.convert_to_tensor(kernel)
        if inputs.dtype != kernel.dtype or not products.may_be_product(inputs, kernel.shape, self.settings):
            return self.direct(inputs, kernel)
        run = functools.partial(convolve, settings=self.settings)
        outputs = run(inputs, kernel)
        keep_source(outputs, Source(inputs, before_cast(kernel), run))
        return outputs


def _is_suitable(layer: keras.Layer) -> bool:
    """Whether a layer is a convolution of which `products.may_be_product` holds in a dtype of this processor."""
    if not isinstance(layer, keras.layers.Conv2D) or not layer.built or layer.data_format != "channels_last":
        return False
    is_known = layer.kernel_size in ((1, 1), (3, 3)) and layer.padding in ("same", "valid")
    return bool(products.product_dtypes()) and is_known and layer.groups == 1 and layer.dilation_rate == (1, 1)
