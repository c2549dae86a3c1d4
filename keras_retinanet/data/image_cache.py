"""Keeps images, resized or not, in memory, as one flat tensor of which a graph takes slices."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from keras_retinanet.data.pipeline_options import num_parallel_calls, without_autograph
from keras_retinanet.data.sample_table import SampleTable
from keras_retinanet.schema import Tensor


def cache_samples(
    table: SampleTable, workers: int | None = None, *, is_resized: bool = True
) -> Callable[[Tensor], dict[str, Tensor]]:
    """Decode every image, resize it where wanted, and return a function that looks them up.

    Args:
        table: The images.
        workers: Threads. Defaults to `None`: one per core.
        is_resized: Keep the resized images; else the unresized ones. Defaults to `True`.

    Returns:
        Function from the index of an image to the result of `table.load`, or of `table.load_unresized`.

    Raises:
        ValueError: The images do not fit into the available memory.
    """
    kept = table.resized if is_resized else table.unresized
    starts = np.concatenate([[0], np.cumsum(kept.prod(axis=1) * 3)])

    def load(index: Tensor) -> tuple[Tensor, Tensor]:
        return table.load_pixels(index, is_resized)

    _require_memory(int(starts[-1]) * np.dtype(table.dtype).itemsize)
    pixels, is_whole = np.empty(int(starts[-1]), table.dtype), np.empty(len(table), bool)
    images = tf.data.Dataset.range(len(table)).map(
        without_autograph(load), num_parallel_calls(workers), deterministic=True
    )
    for index, (image, image_is_whole) in enumerate(images.as_numpy_iterator()):
        pixels[starts[index] : starts[index + 1]] = image.reshape(-1)
        is_whole[index] = image_is_whole
    row, offsets, sizes = tf.constant(pixels), tf.constant(starts), tf.constant(kept, tf.int32)
    whole = tf.constant(is_whole)

    def look_up(index: Tensor) -> dict[str, Tensor]:
        image = row[offsets[index] : offsets[index + 1]]
        image = tf.reshape(image, (sizes[index][0], sizes[index][1], 3))
        return {"image": image, **table.annotations(index, whole[index], is_resized)}

    return look_up


def _require_memory(needed: int) -> None:
    try:
        with open("/proc/meminfo", encoding="ascii") as info:
            free = next(int(line.split()[1]) * 1024 for line in info if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return  # not Linux: no cheap way to know
    if 2 * needed > free:  # the array and, temporarily, its copy inside TensorFlow
        raise ValueError(
            f"The cache would take {needed / 1e9:.1f} GB (twice that while it is filled), but {free / 1e9:.1f} GB of "
            "memory are free. Train without the cache or with smaller images."
        )
