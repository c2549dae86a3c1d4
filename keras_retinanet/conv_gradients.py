"""Gradients of convolutions as matrix products, where these are faster than TensorFlow's kernels.

The gradient of a 3 x 3 kernel is one product: the maps, shifted along x by each column of the kernel, with the
gradients of the outputs, shifted along y by each row. TensorFlow's kernels multiply a copy of the maps for all nine
taps by the outputs, which may be few. Both gradients of a 1 x 1 kernel are plain products of pixels.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

import keras
from keras import ops

from keras_retinanet.config.presets import has_amx, has_avx2_only
from keras_retinanet.framework_internals import nested_layers
from keras_retinanet.schema import Tensor

Settings = Mapping[str, Any]
"""Attributes of TensorFlow's operation `Conv2D`."""

SAME: Settings = {"strides": [1, 1, 1, 1], "padding": "SAME"}
MAX_ELEMENTS = 8 << 20
"""Elements of shifted maps that a gradient holds at a time, 32 MiB; a single image may have more."""
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


def use_products(model: keras.Model) -> int:
    """Lets the 1x1 and 3x3 convolutions of a model in float32 compute their gradients by `convolve`.

    Those before a frozen batch normalisation do so anyway, in bfloat16, too.

    The choice depends on shapes and the processor only, never on a timing: a resumed run computes the same bits. What
    the model saves is unchanged, and so is every result of the forward pass.

    Args:
        model: keras.Model. Any; changed in place.

    Returns:
        Number of these convolutions.
    """
    found = [layer for layer in nested_layers(model) if _is_suitable(layer)] if "float32" in product_sizes() else []
    for layer in found:
        if "convolution_op" not in vars(layer):  # neither of this module nor of another that was put above it
            layer.convolution_op = _Operation(layer.convolution_op, layer.padding)
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


@functools.cache
def product_sizes() -> Mapping[str, tuple[tuple[int, int], ...]]:
    """Dtypes, and sizes of the kernels whose gradients are faster as products than by TensorFlow's kernels.

    Measured in float32 with AVX2 and without AVX-512, and in bfloat16 with AMX. On other processors and GPUs there are
    none.
    """
    if keras.backend.backend() != "tensorflow":
        return {}
    import tensorflow as tf

    if tf.config.list_logical_devices("GPU"):
        return {}
    in_float32 = {"float32": ((1, 1), (3, 3))} if has_avx2_only() else {}
    in_bfloat16 = {"bfloat16": ((1, 1),)} if has_amx() else {}
    return in_float32 | in_bfloat16


def convolve(features: Tensor, kernel: Tensor, settings: Settings = SAME, factor: Tensor | None = None) -> Tensor:
    """TensorFlow's convolution with the gradients of this module; differentiable once.

    Args:
        features: tf.Tensor. `(B, H, W, C)`.
        kernel: tf.Tensor. `(h, w, C, K)` float32.
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
                to_kernel = ops.cast(kernel_gradient(features, kernel.shape, upstream, settings), "float32")
            return to_features, to_kernel if factor is None else to_kernel * factor

        return tf.raw_ops.Conv2D(input=features, filter=scaled(), **settings), gradient

    return run(features, kernel)


def feature_gradient(features: Tensor, kernel: Tensor, upstream: Tensor, settings: Settings = SAME) -> Tensor:
    """Computes the gradient of a convolution's inputs.

    Args:
        features: tf.Tensor. `(B, H, W, C)`; its shape and dtype count, not its values.
        kernel: tf.Tensor. `(h, w, C, K)`.
        upstream: tf.Tensor. `(B, H', W', K)`, the gradient of the outputs.
        settings: Attributes of the operation.

    Returns:
        `(B, H, W, C)`.
    """
    import tensorflow as tf

    pays = features.dtype == "float32" and tuple(kernel.shape[:2]) == (1, 1)  # in bfloat16 both take the same time
    if pays and _is_product(features, kernel.shape, settings):
        return tf.reshape(tf.matmul(_pixels(upstream), _pixels(kernel), transpose_b=True), tf.shape(features))
    return tf.raw_ops.Conv2DBackpropInput(
        input_sizes=tf.shape(features), filter=kernel, out_backprop=upstream, **settings
    )


def kernel_gradient(features: Tensor, shape: Any, upstream: Tensor, settings: Settings = SAME) -> Tensor:
    """Computes the gradient of a convolution's kernel.

    Args:
        features: tf.Tensor. `(B, H, W, C)`.
        shape: tf.TensorShape. That of the kernel, `(h, w, C, K)`.
        upstream: tf.Tensor. `(B, H', W', K)`, the gradient of the outputs.
        settings: Attributes of the operation.

    Returns:
        `(h, w, C, K)`.
    """
    import tensorflow as tf

    if not _is_product(features, shape, settings):
        return tf.raw_ops.Conv2DBackpropFilter(input=features, filter_sizes=shape, out_backprop=upstream, **settings)
    rows, columns, inputs, outputs = shape
    total: Any = 0.0
    for maps, gradients in _parts(features, upstream, columns * inputs + rows * outputs if rows > 1 else 0):
        with tf.control_dependencies([total] if tf.is_tensor(total) else []):  # one part after the other
            along_x, along_y = _shifted(maps, 2, range(columns)), _shifted(gradients, 1, reversed(range(rows)))
        total = total + tf.matmul(_pixels(along_x), _pixels(along_y), transpose_a=True)
    return tf.transpose(tf.reshape(total, (columns, inputs, rows, outputs)), (2, 0, 1, 3))


def _parts(features: Tensor, upstream: Tensor, channels: int) -> Iterator[tuple[Tensor, Tensor]]:
    """The images in parts whose shifted maps have `MAX_ELEMENTS` at most, or in one if their shape is not known."""
    images, height, width = features.shape[:3]
    if None in (images, height, width) or not channels:
        yield features, upstream
        return
    at_once = max(1, MAX_ELEMENTS // (height * width * channels))
    for start in range(0, images, at_once):
        part = slice(start, start + at_once)
        yield features[part], upstream[part]


def _shifted(maps: Tensor, axis: int, starts: Any) -> Tensor:
    """`(B, H, W, S * C)`: each pixel beside its neighbours along an axis, zeros outside."""
    import tensorflow as tf

    starts = list(starts)
    if len(starts) == 1:
        return maps
    around, length = len(starts) // 2, tf.shape(maps)[axis]
    padded = tf.pad(maps, [[around, around] if k == axis else [0, 0] for k in range(4)])
    whole = (slice(None),) * axis
    return tf.concat([padded[(*whole, slice(start, start + length))] for start in starts], axis=-1)


def _pixels(maps: Tensor) -> Tensor:
    import tensorflow as tf

    return tf.reshape(maps, (-1, maps.shape[-1]))


def _is_product(features: Tensor, shape: Any, settings: Settings) -> bool:
    size, padding = tuple(shape[:2]), settings["padding"]
    has_steps = {*settings["strides"], *settings.get("dilations", (1,))} != {1}
    if has_steps or features.shape[-1] != shape[2] or size not in product_sizes().get(features.dtype.name, ()):
        return False
    return padding == "SAME" or (padding == "VALID" and size == (1, 1))


class _Operation(NamedTuple):
    """A layer's operation, with other gradients in float32."""

    direct: Callable[[Tensor, Tensor], Tensor]
    padding: str

    def __call__(self, inputs: Tensor, kernel: Tensor) -> Tensor:
        is_float32 = {keras.backend.standardize_dtype(value.dtype) for value in (inputs, kernel)} == {"float32"}
        if is_direct() or isinstance(inputs, keras.KerasTensor) or not is_float32:
            return self.direct(inputs, kernel)
        kernel = ops.convert_to_tensor(kernel)
        run = functools.partial(convolve, settings={**SAME, "padding": self.padding.upper()})
        outputs = run(inputs, kernel)
        keep_source(outputs, Source(inputs, kernel, run))
        return outputs


def _is_suitable(layer: keras.Layer) -> bool:
    """Whether a layer is a plain convolution of which `_is_product` holds."""
    if not isinstance(layer, keras.layers.Conv2D) or not layer.built or layer.data_format != "channels_last":
        return False
    is_plain = layer.strides == layer.dilation_rate == (1, 1) and layer.groups == 1
    is_known = layer.padding == "same" or (layer.padding == "valid" and layer.kernel_size == (1, 1))
    return is_plain and is_known and layer.kernel_size in ((1, 1), (3, 3))
