"""The differentiable convolution, by tiles where that pays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras_retinanet.schema import Tensor
from keras_retinanet.winograd.tiles import Grid, by_tiles, kernel_gradient, transform_kernel

LEAST_TILES = 48
"""Tiles of a batch from which it pays: below, reading the 36 transformed kernels takes most of the time."""
_KERNELS = "keras_retinanet/winograd"  # collection of a graph
_SOURCES = f"{_KERNELS}/sources"


def convolve(features: Tensor, kernel: Tensor) -> Tensor:
    """The correlation of maps with a kernel, padded with zeros to the same size; differentiable once.

    Args:
        features: tf.Tensor. `(B, H, W, C)` float32; B, H and W may be unknown.
        kernel: tf.Tensor or tf.Variable. `(3, 3, C, K)` float32.

    Returns:
        `(B, H, W, K)` float32.
    """
    import tensorflow as tf

    kernel = tf.convert_to_tensor(kernel)  # of a variable
    pays, transformed = _pays(features), None
    if pays is not False:
        with tf.control_dependencies([features]):  # or the kernels of all layers would be transformed first, and kept
            transformed = tf.stop_gradient(_shared(kernel))

    @tf.custom_gradient
    def run(features: Tensor, kernel: Tensor) -> Any:
        def gradient(upstream: Tensor) -> Any:
            plain: dict[str, Any] = {"strides": [1] * 4, "padding": "SAME"}
            with tf.control_dependencies([upstream]):  # or the forward pass would prepare this one, and keep it
                turned = tf.transpose(kernel[::-1, ::-1], (0, 1, 3, 2))
                of_features = _where_it_pays(
                    pays,
                    lambda: by_tiles(upstream, transform_kernel(turned)),
                    lambda: tf.raw_ops.Conv2DBackpropInput(
                        input_sizes=tf.shape(features), filter=kernel, out_backprop=upstream, **plain
                    ),
                )
                of_kernel = _where_it_pays(
                    pays,
                    lambda: kernel_gradient(features, upstream),
                    lambda: tf.raw_ops.Conv2DBackpropFilter(
                        input=features, filter_sizes=kernel.shape, out_backprop=upstream, **plain
                    ),
                )
            return of_features, of_kernel

        outputs = _where_it_pays(
            pays, lambda: by_tiles(features, transformed), lambda: tf.nn.conv2d(features, kernel, 1, "SAME")
        )
        return outputs, gradient

    outputs = run(features, kernel)
    outputs.set_shape((*features.shape[:3], kernel.shape[-1]))
    if not tf.executing_eagerly():
        outputs.graph.add_to_collection(_SOURCES, (outputs, features, kernel))
    return outputs


def source_of(outputs: Tensor) -> tuple[Tensor, Tensor] | None:
    """The arguments of the `convolve` of which a graph has this result.

    Args:
        outputs: tf.Tensor.

    Returns:
        Features and kernel; `None` for anything else.
    """
    graph = getattr(outputs, "graph", None)
    found = graph.get_collection(_SOURCES) if graph is not None else ()
    return next(((features, kernel) for result, features, kernel in found if result is outputs), None)


def _shared(kernel: Tensor) -> Tensor:
    """The transformed kernel, the same tensor for all calls that a graph has between two changes of the variable."""
    import tensorflow as tf

    if tf.executing_eagerly() or kernel.op.type != "ReadVariableOp":
        return transform_kernel(kernel)
    variable = kernel.op.inputs[0]
    is_changed = any(reader.type != "ReadVariableOp" for reader in variable.consumers())
    for known, transformed in kernel.graph.get_collection(_KERNELS):
        if known is variable and not is_changed:
            return transformed
    transformed = transform_kernel(kernel)
    kernel.graph.add_to_collection(_KERNELS, (variable, transformed))
    return transformed


def _pays(features: Tensor) -> Any:
    """Whether maps have enough tiles: a bool, or a tensor where that is not known yet."""
    import tensorflow as tf

    count = Grid.of(features).count
    known = tf.get_static_value(count)
    return count >= LEAST_TILES if known is None else bool(known >= LEAST_TILES)


def _where_it_pays(pays: Any, tiled: Callable[[], Tensor], direct: Callable[[], Tensor]) -> Tensor:
    import tensorflow as tf

    if isinstance(pays, bool):
        return tiled() if pays else direct()
    return tf.cond(pays, tiled, direct)
