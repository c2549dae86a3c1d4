"""The differentiable convolution, by tiles where that pays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras_retinanet.conv_gradients import Source, keep_source
from keras_retinanet.conv_gradients.products import feature_gradient, kernel_gradient
from keras_retinanet.schema import Tensor
from keras_retinanet.winograd.tiles import Grid, by_tiles, gradient_by_tiles, transform_kernel

LEAST_TILES = 48
"""Tiles of a batch from which it pays: below, reading the 36 transformed kernels takes most of the time."""
_KERNELS = "keras_retinanet/winograd"  # collection of a graph


def convolve(features: Tensor, kernel: Tensor, factor: Tensor | None = None) -> Tensor:
    """The correlation of maps with a kernel, padded with zeros to the same size; differentiable once.

    Args:
        features: tf.Tensor. `(B, H, W, C)` float32; B, H and W may be unknown.
        kernel: tf.Tensor or tf.Variable. `(3, 3, C, K)` float32.
        factor: tf.Tensor. `(K,)`; scales the kernel and does not learn. Defaults to `None`.

    Returns:
        `(B, H, W, K)` float32.
    """
    import tensorflow as tf

    kernel = tf.convert_to_tensor(kernel)  # of a variable
    if factor is not None:
        kernel = kernel * factor
    pays, transformed = _pays(features), None
    if pays is not False:
        with tf.control_dependencies([features]):  # or the kernels of all layers would be transformed first, and kept
            transformed = tf.stop_gradient(_shared(kernel))

    @tf.custom_gradient
    def run(features: Tensor, kernel: Tensor) -> Any:
        def gradient(upstream: Tensor) -> Any:
            with tf.control_dependencies([upstream]):  # or the forward pass would prepare this one, and keep it
                turned = tf.transpose(kernel[::-1, ::-1], (0, 1, 3, 2))
                of_features = _where_it_pays(
                    pays,
                    lambda: by_tiles(upstream, transform_kernel(turned)),
                    lambda: feature_gradient(features, kernel, upstream),
                )
                of_kernel = _where_it_pays(
                    pays,
                    lambda: gradient_by_tiles(features, upstream),
                    lambda: kernel_gradient(features, kernel.shape, upstream),
                )
            return of_features, of_kernel

        outputs = _where_it_pays(
            pays, lambda: by_tiles(features, transformed), lambda: tf.nn.conv2d(features, kernel, 1, "SAME")
        )
        return outputs, gradient

    outputs = run(features, kernel)
    outputs.set_shape((*features.shape[:3], kernel.shape[-1]))
    keep_source(outputs, Source(features, kernel, convolve))
    return outputs


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
