"""Changes of geometry that need no interpolation but a resize: flips, quarter turns, scale jitter and crops."""

from __future__ import annotations

import tensorflow as tf

from keras_retinanet.data.augmentations.placement import (
    GraphSample,
    bernoulli,
    mirror,
    random_offset,
    rescale,
    resize_window,
    round_size,
    shrink_to_fit,
    transpose,
)
from keras_retinanet.schema import Tensor

_SHORTER_SIDES = tuple(range(640, 801, 32))


def horizontal_flip(sample: GraphSample, seed: Tensor) -> GraphSample:
    """Mirror left and right, every second time."""
    return tf.cond(bernoulli(seed), lambda: mirror(sample, axis=1), lambda: dict(sample))


def vertical_flip(sample: GraphSample, seed: Tensor) -> GraphSample:
    """Mirror top and bottom, every second time; for pictures without an up, such as aerial ones."""
    return tf.cond(bernoulli(seed), lambda: mirror(sample, axis=0), lambda: dict(sample))


def rotate90(sample: GraphSample, seed: Tensor) -> GraphSample:
    """Turn by 0, 90, 180 or 270 degrees; a turned image too long for the canvas is scaled down to fit."""
    turns = tf.random.stateless_uniform((), seed, 0, 4, tf.int32)
    # A quarter turn to the left is a transposition, then a mirroring of top and bottom; two mirrorings are a half turn.
    is_odd = turns % 2 == 1
    sample = tf.cond(is_odd, lambda: shrink_to_fit(transpose(sample)), lambda: dict(sample))
    sample = tf.cond(tf.logical_or(turns == 1, turns == 2), lambda: mirror(sample, axis=0), lambda: dict(sample))
    return tf.cond(turns >= 2, lambda: mirror(sample, axis=1), lambda: dict(sample))


def scale_jitter(sample: GraphSample, seed: Tensor) -> GraphSample:
    """Scale by 0.6 to 1.6 (even in the logarithm), then crop at random what exceeds the canvas."""
    seeds = tf.unstack(tf.random.split(seed, 2))
    factor = tf.exp(tf.random.stateless_uniform((), seeds[0], tf.math.log(0.6), tf.math.log(1.6)))
    return _rescale_and_crop(sample, factor, seeds[1])


def large_scale_jitter(sample: GraphSample, seed: Tensor) -> GraphSample:
    """Scale by 0.1 to 2, then crop at random what exceeds the canvas; for long training from random weights.

    Reference: Ghiasi et al., Simple Copy-Paste is a Strong Data Augmentation Method (2021), §3.
    """
    seeds = tf.unstack(tf.random.split(seed, 2))
    return _rescale_and_crop(sample, tf.random.stateless_uniform((), seeds[0], 0.1, 2.0), seeds[1])


def multi_scale(sample: GraphSample, seed: Tensor) -> GraphSample:
    """Shrink to 80, 84, 88, 92, 96 or 100 %: at 800 pixels the shorter sides 640 … 800 of Detectron2.

    The canvas stays, so that batches keep their few shapes; a smaller picture saves no time.
    """
    number = tf.random.stateless_uniform((), seed, 0, len(_SHORTER_SIDES), tf.int32)
    factor = tf.gather(tf.constant(_SHORTER_SIDES, tf.float32) / max(_SHORTER_SIDES), number)
    return tf.cond(factor < 1, lambda: rescale(sample, factor), lambda: dict(sample))


def crop(sample: GraphSample, seed: Tensor) -> GraphSample:
    """Every second time, a part of half to all of either side, as large as the canvas allows.

    The centre of one box, chosen at random, lies inside; without boxes the part lies anywhere.
    """
    seeds = tf.unstack(tf.random.split(seed, 4))

    def part() -> GraphSample:
        size = tf.shape(sample["image"])[:2]
        window = round_size(tf.cast(size, tf.float32) * tf.random.stateless_uniform((2,), seeds[1], 0.5, 1.0))
        first, last = _window_range(sample, window, size - window, seeds[2])
        factor = tf.reduce_min(tf.cast(sample["target_size"], tf.float32) / tf.cast(window, tf.float32))
        target = tf.minimum(round_size(tf.cast(window, tf.float32) * factor), sample["target_size"])
        return resize_window(sample, first + random_offset(last - first, seeds[3]), window, target)

    return tf.cond(bernoulli(seeds[0]), part, lambda: dict(sample))


def _window_range(sample: GraphSample, window: Tensor, room: Tensor, seed: Tensor) -> tuple[Tensor, Tensor]:
    """First and last `(2,)` y, x of a window that holds the centre of a random box; all there are without boxes."""
    count = tf.shape(sample["labels"])[0]

    def of_box() -> tuple[Tensor, Tensor]:
        box = sample["boxes"][tf.random.stateless_uniform((), seed, 0, tf.maximum(count, 1), tf.int32)]
        centre = tf.cast(tf.stack([box[1] + box[3], box[0] + box[2]]) / 2, tf.int32)
        return tf.clip_by_value(centre - window + 1, 0, room), tf.clip_by_value(centre, 0, room)

    return tf.cond(count > 0, of_box, lambda: (tf.zeros_like(room), room))


def _rescale_and_crop(sample: GraphSample, factor: Tensor, seed: Tensor) -> GraphSample:
    # Only what will be seen is scaled: twice as large would be four times the work.
    size, target_size = tf.shape(sample["image"])[:2], sample["target_size"]
    window = tf.minimum(size, tf.maximum(tf.cast(tf.cast(target_size, tf.float32) / factor, tf.int32), 1))
    target = tf.minimum(round_size(tf.cast(window, tf.float32) * factor), target_size)
    return resize_window(sample, random_offset(size - window, seed), window, target)
