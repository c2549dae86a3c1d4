"""Changes of colour, which leave every pixel in its place."""

from __future__ import annotations

import tensorflow as tf

from keras_retinanet.data.augmentations.placement import GraphSample
from keras_retinanet.schema import Tensor


def colour(sample: GraphSample, seed: Tensor) -> GraphSample:
    """Gentle changes of brightness (±12 %), contrast and saturation (±20 %) and hue (±9°)."""
    seeds = tf.unstack(tf.random.split(seed, 4))
    image = tf.cast(sample["image"], tf.float32) / 255.0
    image = image * tf.random.stateless_uniform((), seeds[0], 0.88, 1.12)
    image = tf.image.stateless_random_contrast(image, 0.8, 1.2, seeds[1])
    image = tf.clip_by_value(image, 0.0, 1.0)
    image = tf.image.stateless_random_saturation(image, 0.8, 1.2, seeds[2])
    image = tf.image.stateless_random_hue(image, 0.025, seeds[3])
    return {**sample, "image": tf.clip_by_value(image * 255.0, 0.0, 255.0)}


def visual_effects(sample: GraphSample, seed: Tensor) -> GraphSample:
    """The colours of fizyr's `--random-transform`: contrast ±10 %, brightness ±0.1, hue ±18°, saturation ±5 %."""
    seeds = tf.unstack(tf.random.split(seed, 4))
    image = changed_colours(
        sample["image"],
        contrast=tf.random.stateless_uniform((), seeds[0], 0.9, 1.1),
        brightness=tf.random.stateless_uniform((), seeds[1], -0.1, 0.1),
        hue=tf.random.stateless_uniform((), seeds[2], -0.05, 0.05),
        saturation=tf.random.stateless_uniform((), seeds[3], 0.95, 1.05),
    )
    return {**sample, "image": image}


def changed_colours(image: Tensor, *, contrast: Tensor, brightness: Tensor, hue: Tensor, saturation: Tensor) -> Tensor:
    """Contrast, brightness, hue and saturation, in this order.

    Args:
        image: `(h, w, 3)` uint8 or float32 RGB 0–255.
        contrast: Scalar. Factor of the distance from each channel's mean.
        brightness: Scalar. Added, where 1 is the way from black to white.
        hue: Scalar. Added, where 1 is the whole circle.
        saturation: Scalar. Factor.

    Returns:
        `(h, w, 3)` float32 RGB 0–255.
    """
    image = tf.image.adjust_contrast(tf.cast(image, tf.float32) / 255.0, contrast)
    image = tf.clip_by_value(tf.clip_by_value(image, 0.0, 1.0) + brightness, 0.0, 1.0)
    image = tf.image.adjust_saturation(tf.image.adjust_hue(image, hue), saturation)
    return tf.clip_by_value(image * 255.0, 0.0, 255.0)
