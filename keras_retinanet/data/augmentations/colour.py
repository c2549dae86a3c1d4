"""Random changes of brightness, contrast, hue and saturation."""

from __future__ import annotations

import tensorflow as tf

from keras_retinanet.data.augmentations.placement import GraphSample
from keras_retinanet.data.augmentations.xla import cast_like, crop_to, pad_to, xla_compiled
from keras_retinanet.schema import Tensor


def colour(sample: GraphSample, seed: Tensor) -> GraphSample:
    """Small random changes of brightness (±12 %), contrast and saturation (±20 %) and hue (±9°)."""
    return _with_random_colours(
        sample, seed, gain=(0.88, 1.12), contrast=(0.8, 1.2), saturation=(0.8, 1.2), hue=(-0.025, 0.025)
    )


def visual_effects(sample: GraphSample, seed: Tensor) -> GraphSample:
    """The colours of fizyr's `--random-transform`: contrast ±10 %, brightness ±0.1, hue ±18°, saturation ±5 %."""
    return _with_random_colours(
        sample, seed, contrast=(0.9, 1.1), brightness=(-0.1, 0.1), hue=(-0.05, 0.05), saturation=(0.95, 1.05)
    )


def _with_random_colours(sample: GraphSample, seed: Tensor, **ranges: tuple[float, float]) -> GraphSample:
    """Call `adjust_colours` with arguments drawn from these ranges, in this order."""
    seeds = tf.unstack(tf.random.split(seed, len(ranges)))
    changes = {
        name: tf.random.stateless_uniform((), own, *ends)
        for own, (name, ends) in zip(seeds, ranges.items(), strict=True)
    }
    return {**sample, "image": adjust_colours(sample["image"], sample.get("target_size"), **changes)}


def adjust_colours(
    image: Tensor,
    target_size: Tensor | None = None,
    *,
    gain: Tensor | float = 1.0,
    contrast: Tensor | float = 1.0,
    brightness: Tensor | float = 0.0,
    hue: Tensor | float = 0.0,
    saturation: Tensor | float = 1.0,
) -> Tensor:
    """Gain, contrast, brightness, hue and saturation, in this order.

    Args:
        image: `(h, w, 3)` uint8 or float32 RGB 0–255.
        target_size: `(2,)` int32. See `xla.pad_to`. Defaults to `None`: the size of the image.
        gain: Factor of all values. Defaults to 1.
        contrast: Factor of the distance from each channel's mean. Defaults to 1.
        brightness: Added, in units of 255. Defaults to 0.
        hue: Scalar from -1 to 1. Added, in units of the full circle. Defaults to 0.
        saturation: Factor. Defaults to 1.

    Returns:
        `(h, w, 3)` RGB 0–255 in the dtype of `image`.
    """
    size = tf.shape(image)[:2]
    changes = tf.stack([tf.cast(one, tf.float32) for one in (gain, contrast, brightness, hue, saturation)])
    return crop_to(_adjust_colours(pad_to(image, target_size), size, changes), size)


@xla_compiled
def _adjust_colours(image: Tensor, size: Tensor, changes: Tensor) -> Tensor:
    gain, contrast, brightness, hue, saturation = tf.unstack(changes)
    means = _channel_sums(image) / tf.cast(size[0] * size[1], tf.float32) * gain  # the padding is zero
    channels = []
    for number in range(3):
        light = (tf.cast(image[..., number], tf.float32) * gain - means[number]) * contrast + means[number]
        channels.append(tf.clip_by_value(tf.clip_by_value(light, 0.0, 255.0) + 255.0 * brightness, 0.0, 255.0))
    return cast_like(tf.stack(_shift_hue_and_saturation(channels, hue, saturation), axis=-1), image)


def _channel_sums(image: Tensor) -> Tensor:
    """Sum of each channel; down the columns first, where float32 is exact and vectors are long."""
    height, width = tf.unstack(tf.shape(image)[:2])
    rows = tf.reshape(tf.cast(image, tf.float32), (height, 3 * width))
    return tf.reduce_sum(tf.reshape(tf.reduce_sum(rows, axis=0), (width, 3)), axis=0)


def _shift_hue_and_saturation(channels: list[Tensor], hue: Tensor, saturation: Tensor) -> list[Tensor]:
    """Change hue and saturation without converting to HSV: value is kept, chroma is limited by it.

    Reference: https://en.wikipedia.org/wiki/HSL_and_HSV#HSV_to_RGB_alternative, k and f.
    """
    red, green, blue = channels
    value = tf.maximum(tf.maximum(red, green), blue)
    chroma = value - tf.minimum(tf.minimum(red, green), blue)
    share = 1.0 / tf.maximum(chroma, 1e-6)
    angle = tf.where(value == green, 2.0 + (blue - red) * share, 4.0 + (red - green) * share)
    angle = tf.where(value == red, (green - blue) * share, angle) + 6.0 * hue  # sixths of the circle
    angle = tf.where(angle < 0.0, angle + 6.0, angle)
    angle = tf.where(angle >= 6.0, angle - 6.0, angle)
    chroma = tf.minimum(chroma * saturation, value)
    shares = tf.abs(angle - 3.0) - 1.0, 2.0 - tf.abs(angle - 2.0), 2.0 - tf.abs(angle - 4.0)
    return [value - chroma + chroma * tf.clip_by_value(part, 0.0, 1.0) for part in shares]
