"""Decodes with `decode_file`, in Python, inside a tf.data graph: for the files that `image.decode` does not read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from keras_retinanet.data.decode_file import Decoded, decode_file
from keras_retinanet.data.sixteen_bits import ALL_BITS
from keras_retinanet.schema import Tensor


def decode_file_in_graph(
    content: Tensor, name: Tensor, note: Callable[[bytes, Decoded], object], bit_depth: int = ALL_BITS
) -> tuple[Tensor, Tensor]:
    """`decode_file` inside a tf.data graph.

    Args:
        content: Scalar string.
        name: Scalar string, for `note`.
        note: Called with the name and the result.
        bit_depth: As for `decode_file`.

    Returns:
        `(H, W, 3)` uint8, and the reason as a scalar string.
    """

    def run(content: bytes, name: bytes) -> tuple[Any, Any]:
        decoded = decode_file(content, bit_depth)
        note(name, decoded)
        return decoded.pixels, decoded.reason.encode()

    pixels, reason = tf.numpy_function(run, [content, name], (tf.uint8, tf.string))
    return tf.ensure_shape(pixels, (None, None, 3)), tf.ensure_shape(reason, ())
