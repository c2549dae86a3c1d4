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
    resized_scale,
    round_size,
    shrink_to_fit,
    transpose,
)
from keras_retinanet.schema import Tensor

_SHORTER_SIDES = tuple(range(640, 801, 32))


def horizontal_flip(sample: GraphSample, seed: Tensor) -> GraphSample:
    """Flip horizontally with probability 0.5."""
    return tf.cond(bernoulli(seed), lambda: mirror(sample, axis=1), lambda: dict(sample))


def vertical_flip(sample: GraphSample, seed: Tensor) -> GraphSample:
    """Flip vertically with probability 0.5; for images without a fixed orientation, such as aerial ones."""
    return tf.cond(bernoulli(seed), lambda: mirror(sample, axis=0), lambda: dict(sample))


def rotate90(sample: GraphSample, seed: Tensor) -> GraphSample:
    """Rotate by 0, 90, 180 or 270°; an image that no longer fits into `target_size` is shrunk."""
    turns = tf.random.stateless_uniform((), seed, 0, 4, tf.int32)
    # A quarter turn to the left is a transposition, then a vertical flip; both flips are a half turn.
    is_odd = turns % 2 == 1
    sample = tf.cond(is_odd, lambda: shrink_to_fit(transpose(sample)), lambda: dict(sample))
    sample = tf.cond(tf.logical_or(turns == 1, turns == 2), lambda: mirror(sample, axis=0), lambda: dict(sample))
    return tf.cond(turns >= 2, lambda: mirror(sample, axis=1), lambda: dict(sample))


def scale_jitter(sample: GraphSample, seed: Tensor) -> GraphSample:
    """Scale by 0.6–1.6 (log-uniform), then crop at random to `target_size`."""
    seeds = tf.unstack(tf.random.split(seed, 2))
    factor = tf.exp(tf.random.stateless_uniform((), seeds[0], tf.math.log(0.6), tf.math.log(1.6)))
    return _rescale_and_crop(sample, factor, seeds[1])


def large_scale_jitter(sample: GraphSample, seed: Tensor) -> GraphSample:
    """Scale by 0.1–2, then crop at random to `target_size`; for long training from random weights.

    Reference: Ghiasi et al., Simple Copy-Paste is a Strong Data Augmentation Method (2021), §3.
    """
    seeds = tf.unstack(tf.random.split(seed, 2))
    return _rescale_and_crop(sample, tf.random.stateless_uniform((), seeds[0], 0.1, 2.0), seeds[1])


def multi_scale(sample: GraphSample, seed: Tensor) -> GraphSample:
    """Shrink to 80, 84, 88, 92, 96 or 100 %: at 800 pixels the shorter sides 640 … 800 of Detectron2.

    Batch shapes do not change, so smaller images do not save time.
    """
    number = tf.random.stateless_uniform((), seed, 0, len(_SHORTER_SIDES), tf.int32)
    factor = tf.gather(tf.constant(_SHORTER_SIDES, tf.float32) / max(_SHORTER_SIDES), number)
    return tf.cond(factor < 1, lambda: rescale(sample, factor), lambda: dict(sample))


def crop(sample: GraphSample, seed: Tensor) -> GraphSample:
    """With probability 0.5, crop each side to 50–100 % and enlarge the crop to fit `target_size`.

    The crop contains the centre of a random box; without boxes it is anywhere.
    """
    seeds = tf.unstack(tf.random.split(seed, 4))

    def apply() -> GraphSample:
        size = tf.shape(sample["image"])[:2]
        window = round_size(tf.cast(size, tf.float32) * tf.random.stateless_uniform((2,), seeds[1], 0.5, 1.0))
        first, last = _window_range(sample, window, size - window, seeds[2])
        factor = tf.reduce_min(tf.cast(sample["target_size"], tf.float32) / tf.cast(window, tf.float32))
        target = tf.minimum(round_size(tf.cast(window, tf.float32) * factor), sample["target_size"])
        return resize_window(sample, first + random_offset(last - first, seeds[3]), window, target)

    return tf.cond(bernoulli(seeds[0]), apply, lambda: dict(sample))


def _window_range(sample: GraphSample, window: Tensor, limit: Tensor, seed: Tensor) -> tuple[Tensor, Tensor]:
    """Smallest and largest `(2,)` y, x of a window that contains the centre of a random box; any without boxes."""
    count = tf.shape(sample["labels"])[0]

    def of_box() -> tuple[Tensor, Tensor]:
        box = sample["boxes"][tf.random.stateless_uniform((), seed, 0, tf.maximum(count, 1), tf.int32)]
        centre = tf.cast(tf.stack([box[1] + box[3], box[0] + box[2]]) / 2, tf.int32)
        return tf.clip_by_value(centre - window + 1, 0, limit), tf.clip_by_value(centre, 0, limit)

    return tf.cond(count > 0, of_box, lambda: (tf.zeros_like(limit), limit))


def _rescale_and_crop(sample: GraphSample, factor: Tensor, seed: Tensor) -> GraphSample:
    # Only the visible part is scaled: twice the size would be four times the work.
    factor = factor * resized_scale(sample)
    size, target_size = tf.shape(sample["image"])[:2], sample["target_size"]
    window = tf.minimum(size, tf.maximum(tf.cast(tf.cast(target_size, tf.float32) / factor, tf.int32), 1))
    target = tf.minimum(round_size(tf.cast(window, tf.float32) * factor), target_size)
    return resize_window(sample, random_offset(size - window, seed), window, target)
