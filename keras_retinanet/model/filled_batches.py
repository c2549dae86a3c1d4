"""Batches that can be divided among the devices of a JAX program."""

from __future__ import annotations

from typing import Any

import keras

from keras_retinanet.schema import Targets, Tensor

PADDING = {"boxes": 0, "labels": -1, "ignore": 0, "size": 0, "image_index": -1}
"""Targets of an image that adds nothing to a loss: all anchors lie outside an image of size 0, and are ignored."""


def fill_batches(batches: Any, rows: int | None = None) -> Any:
    """Fills up the batches that JAX could not divide among the devices of `keras.distribution`.

    Args:
        batches: A `tf.data.Dataset` of `(images, schema.Targets)`; anything else is returned as it is. Where several
            processes train together, those of this one.
        rows: Images that every batch has afterwards. Defaults to the next number that the devices can divide.

    Returns:
        The dataset, whose batches are filled up with images that add nothing to a loss.
    """
    distribution = keras.distribution.distribution()
    spec = getattr(batches, "element_spec", None)
    if keras.backend.backend() != "jax" or distribution is None or not isinstance(spec, tuple) or len(spec) != 2:
        return batches
    count, devices = spec[0].shape[0], _local_devices(distribution)
    if count is not None and (count == rows if rows else count % devices == 0):
        return batches
    import tensorflow as tf

    @tf.autograph.experimental.do_not_convert
    def fill(images: Tensor, targets: Targets) -> tuple[Tensor, dict[str, Tensor]]:
        missing = rows - tf.shape(images)[0] if rows else -tf.shape(images)[0] % devices

        def pad(values: Tensor, value: int) -> Tensor:
            padding = [[0, missing]] + [[0, 0]] * (len(values.shape) - 1)
            padded = tf.pad(values, padding, constant_values=tf.cast(value, values.dtype))
            return tf.ensure_shape(padded, (rows, *values.shape[1:]))

        return pad(images, 0), {name: pad(values, PADDING[name]) for name, values in dict(targets).items()}

    return batches.map(fill)


def _local_devices(distribution: Any) -> int:
    """Devices of this process among those of a distribution."""
    import jax

    return int(distribution.device_mesh.devices.size) // int(jax.process_count())
