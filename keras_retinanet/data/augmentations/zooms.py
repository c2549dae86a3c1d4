"""Larger, smaller, and parts: changes of scale that keep the canvas."""

from __future__ import annotations

import tensorflow as tf

from keras_retinanet.data.augmentations.placement import GraphSample, coin, rounded, scaled, somewhere, zoomed
from keras_retinanet.schema import Tensor

_SHORTER_SIDES = tuple(range(640, 801, 32))


def scale_jitter(sample: GraphSample, seed: Tensor) -> GraphSample:
    """Scale by 0.6 to 1.6 (even in the logarithm), then crop at random what exceeds the canvas."""
    seeds = tf.unstack(tf.random.split(seed, 2))
    factor = tf.exp(tf.random.stateless_uniform((), seeds[0], tf.math.log(0.6), tf.math.log(1.6)))
    return _jittered(sample, factor, seeds[1])


def large_scale_jitter(sample: GraphSample, seed: Tensor) -> GraphSample:
    """Scale by 0.1 to 2, then crop at random what exceeds the canvas; for long training from random weights.

    Reference: Ghiasi et al., Simple Copy-Paste is a Strong Data Augmentation Method (2021), §3.
    """
    seeds = tf.unstack(tf.random.split(seed, 2))
    return _jittered(sample, tf.random.stateless_uniform((), seeds[0], 0.1, 2.0), seeds[1])


def multi_scale(sample: GraphSample, seed: Tensor) -> GraphSample:
    """Shrink to 80, 84, 88, 92, 96 or 100 %: at 800 pixels the shorter sides 640 … 800 of Detectron2.

    The canvas stays, so that batches keep their few shapes; a smaller picture saves no time.
    """
    number = tf.random.stateless_uniform((), seed, 0, len(_SHORTER_SIDES), tf.int32)
    factor = tf.gather(tf.constant(_SHORTER_SIDES, tf.float32) / max(_SHORTER_SIDES), number)
    return tf.cond(factor < 1, lambda: scaled(sample, factor), lambda: dict(sample))


def crop(sample: GraphSample, seed: Tensor) -> GraphSample:
    """Every second time, a part of half to all of either side, as large as the canvas allows.

    The centre of one box, chosen at random, lies inside; without boxes the part lies anywhere.
    """
    seeds = tf.unstack(tf.random.split(seed, 4))

    def part() -> GraphSample:
        size = tf.shape(sample["image"])[:2]
        window = rounded(tf.cast(size, tf.float32) * tf.random.stateless_uniform((2,), seeds[1], 0.5, 1.0))
        first, last = _around_a_box(sample, window, size - window, seeds[2])
        factor = tf.reduce_min(tf.cast(sample["canvas"], tf.float32) / tf.cast(window, tf.float32))
        target = tf.minimum(rounded(tf.cast(window, tf.float32) * factor), sample["canvas"])
        return zoomed(sample, first + somewhere(last - first, seeds[3]), window, target)

    return tf.cond(coin(seeds[0]), part, lambda: dict(sample))


def _around_a_box(sample: GraphSample, window: Tensor, room: Tensor, seed: Tensor) -> tuple[Tensor, Tensor]:
    """First and last `(2,)` y, x of a window that holds the centre of a random box; all there are without boxes."""
    count = tf.shape(sample["labels"])[0]

    def of_box() -> tuple[Tensor, Tensor]:
        box = sample["boxes"][tf.random.stateless_uniform((), seed, 0, tf.maximum(count, 1), tf.int32)]
        centre = tf.cast(tf.stack([box[1] + box[3], box[0] + box[2]]) / 2, tf.int32)
        return tf.clip_by_value(centre - window + 1, 0, room), tf.clip_by_value(centre, 0, room)

    return tf.cond(count > 0, of_box, lambda: (tf.zeros_like(room), room))


def _jittered(sample: GraphSample, factor: Tensor, seed: Tensor) -> GraphSample:
    # Only what will be seen is scaled: twice as large would be four times the work.
    size, canvas = tf.shape(sample["image"])[:2], sample["canvas"]
    window = tf.minimum(size, tf.maximum(tf.cast(tf.cast(canvas, tf.float32) / factor, tf.int32), 1))
    target = tf.minimum(rounded(tf.cast(window, tf.float32) * factor), canvas)
    return zoomed(sample, somewhere(size - window, seed), window, target)
