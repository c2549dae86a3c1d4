"""3x3 convolutions by Winograd's algorithm F(4x4, 3x3): a quarter of the multiplications, on TensorFlow and CPUs.

A tile of 4 x 4 outputs is `Aᵀ [(G g Gᵀ) ∘ (Bᵀ d B)] A`, d the 6 x 6 inputs around it and g the kernel (Lavin and Gray,
"Fast Algorithms for Convolutional Neural Networks", 2015). The polynomials are evaluated at 0, 1, -1, 1/2, -2 and ∞,
which round less than the usual ±2. Summing over channels makes 36 matrix products of the product ∘. The transforms are
products with 36 x 36 and 16 x 36 matrices, and tiles are collected by `tf.gather`, which copies all channels of a
pixel at once: plain operators, where sums of slices would take all that the algorithm gains. A part of the tiles at a
time stays in the cache.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, get_args

import keras
import numpy as np
from keras import ops

from keras_retinanet.config import Winograd
from keras_retinanet.framework_internals import nested_layers
from keras_retinanet.schema import Tensor

INPUT = np.array(  # Bᵀ
    [
        [2, -3, -4, 3, 2, 0],
        [0, -2, 1, 5, 2, 0],
        [0, -2, 5, -1, -2, 0],
        [0, 2, 1, -2, -1, 0],
        [0, 1, -2, -1, 2, 0],
        [0, 2, -3, -4, 3, 2],
    ],
    np.float64,
)
KERNEL = np.array(  # G, in units of 1/60
    [[30, 0, 0], [10, 10, 10], [10, -10, 10], [64, 32, 16], [2, -4, 8], [0, 0, 30]], np.float64
)
OUTPUT = np.array(  # Aᵀ
    [[1, 1, 1, 1, 1, 0], [0, 1, -1, 1 / 2, -2, 0], [0, 1, 1, 1 / 4, 4, 0], [0, 1, -1, 1 / 8, -8, 1]], np.float64
)
_UNIT = 60
_TILE, _SPAN = OUTPUT.shape  # 4 outputs from 6 inputs
LEAST_CHANNELS = 128
"""Channels of input and output from which the algorithm pays: transforms take as long for fewer products."""
LEAST_TILES = 48
"""Tiles of a batch from which it pays: below, reading the 36 transformed kernels takes most of the time."""
TILES_AT_ONCE = 256
_KERNELS = "keras_retinanet/winograd"  # collection of a graph


def use_winograd(model: keras.Model, setting: Winograd = "auto") -> int:
    """Lets the 3x3 convolutions of a model use the algorithm wherever it is faster.

    The choice depends on shapes only, never on a timing: a resumed run computes the same bits. Convolutions in half
    precision, with strides, dilation or groups, with fewer than `LEAST_CHANNELS`, and maps of fewer than `LEAST_TILES`
    tiles keep their operation. So does every backend but TensorFlow, and every GPU. What the model saves is unchanged.

    Args:
        model: keras.Model. Any; changed in place. Functions that are already traced keep what they have.
        setting: `"off"` gives all convolutions their own operation back.

    Returns:
        Number of convolutions that may use it.

    Raises:
        ValueError: There is no such setting.
    """
    if setting not in get_args(Winograd):
        raise ValueError(f'winograd must be "off" or "auto", not {setting!r}.')
    found = [layer for layer in nested_layers(model) if _is_suitable(layer)]
    for layer in found:
        layer.__dict__.pop("convolution_op", None)
    if setting == "off" or keras.backend.backend() != "tensorflow" or _has_gpu():
        return 0
    for layer in found:
        layer.convolution_op = _Operation(layer.convolution_op)
    return len(found)


class _Operation(NamedTuple):
    """A layer's operation: by the algorithm where shapes and dtype permit it."""

    direct: Callable[[Tensor, Tensor], Tensor]

    def __call__(self, inputs: Tensor, kernel: Tensor) -> Tensor:
        is_symbolic = isinstance(inputs, keras.KerasTensor)
        if is_symbolic or {keras.backend.standardize_dtype(value.dtype) for value in (inputs, kernel)} != {"float32"}:
            return self.direct(inputs, kernel)
        return convolve(inputs, ops.convert_to_tensor(kernel))


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
    transformed = tf.stop_gradient(_shared(kernel))

    @tf.custom_gradient
    def run(features: Tensor, kernel: Tensor, transformed: Tensor) -> Any:
        def gradient(upstream: Tensor) -> Any:
            plain: dict[str, Any] = {"strides": [1] * 4, "padding": "SAME"}
            turned = tf.transpose(kernel[::-1, ::-1], (0, 1, 3, 2))
            of_features = _where_it_pays(
                features,
                lambda: _by_tiles(upstream, transform_kernel(turned)),
                lambda: tf.raw_ops.Conv2DBackpropInput(
                    input_sizes=tf.shape(features), filter=kernel, out_backprop=upstream, **plain
                ),
            )
            of_kernel = _where_it_pays(
                features,
                lambda: _kernel_gradient(features, upstream),
                lambda: tf.raw_ops.Conv2DBackpropFilter(
                    input=features, filter_sizes=kernel.shape, out_backprop=upstream, **plain
                ),
            )
            return of_features, of_kernel, None

        outputs = _where_it_pays(
            features, lambda: _by_tiles(features, transformed), lambda: tf.nn.conv2d(features, kernel, 1, "SAME")
        )
        return outputs, gradient

    outputs = run(features, kernel, transformed)
    outputs.set_shape((*features.shape[:3], kernel.shape[-1]))
    if not tf.executing_eagerly():
        outputs.graph.add_to_collection(_SOURCES, (outputs, features, kernel))
    return outputs


_SOURCES = f"{_KERNELS}/sources"


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


def transform_kernel(kernel: Tensor) -> Tensor:
    """`G g Gᵀ` of each pair of channels.

    Args:
        kernel: tf.Tensor. `(3, 3, C, K)`.

    Returns:
        `(36, C, K)`.
    """
    import tensorflow as tf

    matrix = tf.constant(np.kron(KERNEL, KERNEL) / _UNIT**2, kernel.dtype)
    return tf.reshape(matrix @ tf.reshape(kernel, (9, -1)), (_SPAN**2, *kernel.shape[2:]))


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


def _where_it_pays(features: Tensor, by_tiles: Callable[[], Tensor], direct: Callable[[], Tensor]) -> Tensor:
    import tensorflow as tf

    count = _Grid.of(features).count
    known = tf.get_static_value(count)
    if known is not None:
        return by_tiles() if known >= LEAST_TILES else direct()
    return tf.cond(count >= LEAST_TILES, by_tiles, direct)


class _Grid(NamedTuple):
    """Tiles of a batch of maps: images, height and width of the maps, rows and columns of tiles."""

    images: Any
    height: Any
    width: Any
    rows: Any
    columns: Any

    @classmethod
    def of(cls, features: Tensor) -> _Grid:
        """The grid over maps `(B, H, W, ·)`; its sides are numbers where they are known."""
        import tensorflow as tf

        shape = tf.shape(features)
        sides = [shape[k] if side is None else side for k, side in enumerate(features.shape[:3])]
        return cls(*sides, *(-(-side // _TILE) for side in sides[1:]))

    @property
    def count(self) -> Any:
        """Number of tiles."""
        return self.images * self.rows * self.columns

    def padded(self, features: Tensor, before: int) -> Tensor:
        """Pixels `(P, C)` of maps with `before` zeros above and left, and one more row of tiles, all zero."""
        import tensorflow as tf

        above = (self.rows + 1) * _TILE + before - self.height
        right = self.columns * _TILE + before - self.width
        padded = tf.pad(features, [[0, 0], [before, above], [before, right], [0, 0]])
        return tf.reshape(padded, (-1, features.shape[-1]))

    def parts(self) -> Tensor:
        """Image, row and column of all tiles, `(parts, tiles, 3)`; a zero tile fills the last part."""
        import tensorflow as tf

        count = self.count
        parts = -(-count // TILES_AT_ONCE)
        size = -(-count // parts)
        index = tf.range(size * parts)
        row = index // self.columns
        place = tf.stack([row // self.rows, row % self.rows, index % self.columns], axis=-1)
        place = tf.where((index < count)[:, None], place, tf.stack([0, self.rows, 0]))
        return tf.reshape(place, (parts, size, 3))

    def collect(self, pixels: Tensor, place: Tensor, before: int, span: int) -> Tensor:
        """`(span * span, tiles, C)` pixels of tiles, from those of `padded`."""
        import tensorflow as tf

        width = self.columns * _TILE + 2 * before
        height = (self.rows + 1) * _TILE + 2 * before
        image, row, column = tf.unstack(place, axis=-1)
        corner = (image * height + row * _TILE) * width + column * _TILE
        inner = tf.range(span)[:, None] * width + tf.range(span)
        return tf.gather(pixels, tf.reshape(inner, (-1, 1)) + corner)


def _transformed(matrix: np.ndarray, tiles: Tensor) -> Tensor:
    """`M t Mᵀ` of tiles `(n * n, tiles, C)`."""
    import tensorflow as tf

    both = tf.constant(np.kron(matrix, matrix), tiles.dtype)
    return tf.reshape(both @ tf.reshape(tiles, (both.shape[1], -1)), (both.shape[0], -1, tiles.shape[-1]))


def _by_tiles(features: Tensor, transformed: Tensor) -> Tensor:
    import tensorflow as tf

    grid = _Grid.of(features)
    pixels, places, outputs = grid.padded(features, 1), grid.parts(), transformed.shape[-1]

    def part(place: Tensor) -> Tensor:
        inputs = _transformed(INPUT, grid.collect(pixels, place, 1, _SPAN))
        return _transformed(OUTPUT, inputs @ transformed)

    found = _each(part, places)  # (parts, 16, tiles, K)
    size = tf.shape(places)[1]
    image, y, x = tf.meshgrid(tf.range(grid.images), tf.range(grid.height), tf.range(grid.width), indexing="ij")
    tile = (image * grid.rows + y // _TILE) * grid.columns + x // _TILE
    inner = y % _TILE * _TILE + x % _TILE
    return tf.gather(tf.reshape(found, (-1, outputs)), (tile // size * _TILE**2 + inner) * size + tile % size)


def _kernel_gradient(features: Tensor, upstream: Tensor) -> Tensor:
    """`(3, 3, C, K)`: the products of transformed inputs and transformed gradients, summed over tiles."""
    import tensorflow as tf

    grid = _Grid.of(features)
    pixels, gradients, places = grid.padded(features, 1), grid.padded(upstream, 0), grid.parts()

    def add(total: Tensor, place: Tensor) -> Tensor:
        inputs = _transformed(INPUT, grid.collect(pixels, place, 1, _SPAN))
        of_products = _transformed(OUTPUT.T, grid.collect(gradients, place, 0, _TILE))
        return total + tf.matmul(inputs, of_products, transpose_a=True)

    channels = features.shape[-1], upstream.shape[-1]
    zero = tf.zeros((_SPAN**2, *channels), features.dtype)
    total = add(zero, places[0]) if places.shape[0] == 1 else tf.foldl(add, places, zero, parallel_iterations=1)
    matrix = tf.constant(np.kron(KERNEL, KERNEL).T / _UNIT**2, features.dtype)
    return tf.reshape(matrix @ tf.reshape(total, (_SPAN**2, -1)), (3, 3, *channels))


def _each(part: Callable[[Tensor], Tensor], places: Tensor) -> Tensor:
    import tensorflow as tf

    if places.shape[0] == 1:
        return part(places[0])[None]
    return tf.map_fn(part, places, parallel_iterations=1, fn_output_signature=tf.float32)
