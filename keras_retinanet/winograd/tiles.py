"""The algorithm on tiles: collecting them, their transforms, and the products between."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

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
TILES_AT_ONCE = 256


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


class Grid(NamedTuple):
    """Tiles of a batch of maps: images, height and width of the maps, rows and columns of tiles."""

    images: Any
    height: Any
    width: Any
    rows: Any
    columns: Any

    @classmethod
    def of(cls, features: Tensor) -> Grid:
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


def by_tiles(features: Tensor, transformed: Tensor) -> Tensor:
    """The convolution, whatever the number of tiles; all layers whose maps have the same shape share its graph.

    Args:
        features: tf.Tensor. `(B, H, W, C)`.
        transformed: tf.Tensor. `(36, C, K)`, from `transform_kernel`.

    Returns:
        `(B, H, W, K)`.
    """
    return _as_function(_by_tiles)(features, transformed)


def _by_tiles(features: Tensor, transformed: Tensor) -> Tensor:
    import tensorflow as tf

    grid = Grid.of(features)
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


def gradient_by_tiles(features: Tensor, upstream: Tensor) -> Tensor:
    """The gradient of the kernel: products of transformed inputs and transformed gradients, summed over tiles.

    Args:
        features: tf.Tensor. `(B, H, W, C)`.
        upstream: tf.Tensor. `(B, H, W, K)`, the gradient of the outputs.

    Returns:
        `(3, 3, C, K)`.
    """
    return _as_function(_gradient_by_tiles)(features, upstream)


def _gradient_by_tiles(features: Tensor, upstream: Tensor) -> Tensor:
    import tensorflow as tf

    grid = Grid.of(features)
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


@functools.cache
def _as_function(run: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    """One function of TensorFlow for each shape, not copied to where it is called.

    The graph of a ResNet-50 with 22 of these layers would be three times as large, and take a gigabyte when it is read.
    """
    import tensorflow as tf

    return tf.function(run, autograph=False, experimental_attributes={"_noinline": True})


def _each(part: Callable[[Tensor], Tensor], places: Tensor) -> Tensor:
    import tensorflow as tf

    if places.shape[0] == 1:
        return part(places[0])[None]
    return tf.map_fn(part, places, parallel_iterations=1, fn_output_signature=tf.float32)
