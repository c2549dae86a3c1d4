"""Flips and quarter turns, which move every pixel as it is."""

from __future__ import annotations

import tensorflow as tf

from keras_retinanet.data.augmentations.placement import GraphSample, coin, fitted, mirrored, transposed
from keras_retinanet.schema import Tensor


def horizontal_flip(sample: GraphSample, seed: Tensor) -> GraphSample:
    """Mirror left and right, every second time."""
    return tf.cond(coin(seed), lambda: mirrored(sample, axis=1), lambda: dict(sample))


def vertical_flip(sample: GraphSample, seed: Tensor) -> GraphSample:
    """Mirror top and bottom, every second time; for pictures without an up, such as aerial ones."""
    return tf.cond(coin(seed), lambda: mirrored(sample, axis=0), lambda: dict(sample))


def rotate90(sample: GraphSample, seed: Tensor) -> GraphSample:
    """Turn by 0, 90, 180 or 270 degrees; a turned image too long for the canvas is scaled down to fit."""
    turns = tf.random.stateless_uniform((), seed, 0, 4, tf.int32)
    # A quarter turn to the left is a transposition, then a mirroring of top and bottom; two mirrorings are a half turn.
    is_odd = turns % 2 == 1
    sample = tf.cond(is_odd, lambda: fitted(transposed(sample)), lambda: dict(sample))
    sample = tf.cond(tf.logical_or(turns == 1, turns == 2), lambda: mirrored(sample, axis=0), lambda: dict(sample))
    return tf.cond(turns >= 2, lambda: mirrored(sample, axis=1), lambda: dict(sample))
