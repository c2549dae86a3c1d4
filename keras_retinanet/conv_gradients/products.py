"""Gradients of a convolution's inputs and kernel as matrix products, where these are faster than TensorFlow's kernels.

In float32 the gradient of a 3 x 3 kernel is one product: the maps, shifted along x by each column of the kernel, with
the gradients of the outputs, shifted along y by each row. TensorFlow's kernels multiply a copy of the maps for all nine
taps by the outputs, which may be few. In bfloat16 it is the product of such a copy with the outputs, for small maps:
there TensorFlow's kernel takes most of the time for the layout of the result. Both gradients of a 1 x 1 kernel are
plain products of pixels.
"""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Iterator, Mapping
from typing import Any

import keras

from keras_retinanet.config.presets import has_amx, has_avx2_only
from keras_retinanet.schema import Tensor

Settings = Mapping[str, Any]
"""Attributes of TensorFlow's operation `Conv2D`."""

SAME: Settings = {"strides": [1, 1, 1, 1], "padding": "SAME"}
MAX_ELEMENTS = 8 << 20
"""Elements of shifted maps that a gradient holds at a time, 32 MiB in float32; a single image may have more there."""


@functools.cache
def product_dtypes() -> frozenset[str]:
    """Dtypes in which products may be faster than TensorFlow's kernels.

    Measured in float32 with AVX2 and without AVX-512, and in bfloat16 with AMX. On other processors and GPUs there are
    none.
    """
    if keras.backend.backend() != "tensorflow":
        return frozenset()
    import tensorflow as tf

    if tf.config.list_logical_devices("GPU"):
        return frozenset()
    return frozenset({"float32"} if has_avx2_only() else {"bfloat16"} if has_amx() else ())


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
    if pays and may_be_product(features, kernel.shape, settings):
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

    def by_kernel() -> Tensor:
        return tf.raw_ops.Conv2DBackpropFilter(input=features, filter_sizes=shape, out_backprop=upstream, **settings)

    def by_patches() -> Tensor:
        with _outside_clusters():
            patches = _patches(features, tuple(shape[:2]), upstream, settings)
        return tf.reshape(tf.matmul(patches, _pixels(upstream), transpose_a=True), shape)

    if not may_be_product(features, shape, settings):
        return by_kernel()
    if features.dtype == "float32":
        return _product_of_shifted(features, shape, upstream)
    if tuple(shape[:2]) == (1, 1):
        return by_patches()
    if (pixels := upstream[..., 0].shape.num_elements()) is not None:
        return by_patches() if pixels <= most_pixels(shape, settings) else by_kernel()
    is_small = tf.size(upstream) <= most_pixels(shape, settings) * shape[3]
    return tf.cond(is_small, by_patches, by_kernel)


def most_pixels(shape: Any, settings: Settings = SAME) -> int:
    """Largest maps for which the gradient of a 3x3 kernel in bfloat16 is a product.

    TensorFlow's kernel takes as long as 4 √(C K) pixels more with stride 1: measured with 96 to 720 channels. With a
    stride of 2 it takes even longer.

    Args:
        shape: tf.TensorShape. That of the kernel, `(h, w, C, K)`.
        settings: Attributes of the operation.

    Returns:
        Pixels of all outputs of a batch; their patches have 32 MiB at most.
    """
    rows, columns, inputs, outputs = shape
    area = math.prod(settings["strides"])
    return min(int(4 * area * math.sqrt(inputs * outputs)), 2 * MAX_ELEMENTS // (rows * columns * inputs))


def _product_of_shifted(features: Tensor, shape: Any, upstream: Tensor) -> Tensor:
    import tensorflow as tf

    rows, columns, inputs, outputs = shape
    total: Any = 0.0
    for maps, gradients in _parts(features, upstream, columns * inputs + rows * outputs if rows > 1 else 0):
        with tf.control_dependencies([total] if tf.is_tensor(total) else []):  # one part after the other
            along_x, along_y = _shifted(maps, 2, range(columns)), _shifted(gradients, 1, reversed(range(rows)))
        total = total + tf.matmul(_pixels(along_x), _pixels(along_y), transpose_a=True)
    return tf.transpose(tf.reshape(total, (columns, inputs, rows, outputs)), (2, 0, 1, 3))


def _patches(features: Tensor, size: tuple[int, int], upstream: Tensor, settings: Settings) -> Tensor:
    """`(B * H' * W', h * w * C)`: what the kernel sees for each output.

    Whole pixels are gathered, in a third of the time of `tf.image.extract_patches`.
    """
    import tensorflow as tf

    sides, strides, channels = tf.shape(upstream)[1:3], settings["strides"][1:3], features.shape[-1]
    if size == (1, 1) and {*strides} == {1}:
        return _pixels(features)
    if settings["padding"] == "SAME" and size != (1, 1):
        missing = tf.maximum((sides - 1) * strides + size - tf.shape(features)[1:3], 0)
        around = tf.stack([missing // 2, missing - missing // 2], axis=1)
        features = tf.pad(features, tf.pad(around, [[1, 1], [0, 0]]))
    images, height, width = tf.unstack(tf.shape(features)[:3])
    rows, columns = tf.range(sides[0]) * strides[0], tf.range(sides[1]) * strides[1]
    first = (tf.range(images)[:, None, None] * height + rows[:, None]) * width + columns
    taps = tf.range(size[0])[:, None] * width + tf.range(size[1])
    pixels = tf.reshape(features, (-1, channels))
    found = tf.gather(pixels, tf.reshape(first, (-1, 1)) + tf.reshape(taps, (-1,)))
    return tf.reshape(found, (-1, size[0] * size[1] * channels))


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


def may_be_product(features: Tensor, shape: Any, settings: Settings = SAME) -> bool:
    """Whether the gradient of a kernel can be a product; in float32 it then pays for maps of any size.

    Args:
        features: tf.Tensor. `(B, H, W, C)`.
        shape: tf.TensorShape. That of the kernel, `(h, w, C, K)`.
        settings: Attributes of the operation.
    """
    has_groups = features.shape[-1] != shape[2]
    has_dilation = {*settings.get("dilations", (1,))} != {1}
    if has_groups or has_dilation or tuple(shape[:2]) not in ((1, 1), (3, 3)):
        return False
    if features.dtype.name not in product_dtypes() or settings["padding"] not in ("SAME", "VALID"):
        return False
    is_plain = {*settings["strides"]} == {1} and (settings["padding"] == "SAME" or tuple(shape[:2]) == (1, 1))
    return is_plain or features.dtype == "bfloat16"


def _outside_clusters() -> contextlib.AbstractContextManager[None]:
    """Where XLA does not compile pointwise operations: each index would be a cluster, and take time to compile."""
    import tensorflow as tf

    return contextlib.nullcontext() if tf.executing_eagerly() else tf.xla.experimental.jit_scope(compile_ops=False)
