"""Random loss of image quality: blur and JPEG compression."""

from __future__ import annotations

import tensorflow as tf

from keras_retinanet.data.augmentations.placement import GraphSample, bernoulli
from keras_retinanet.data.augmentations.xla import cast_like, crop_to, xla_compiled
from keras_retinanet.schema import Tensor

_RADIUS = 4  # pixels of the kernel on either side
_SIGMAS = (0.5, 1.5)
_QUALITIES = (20, 90)


def blur(sample: GraphSample, seed: Tensor) -> GraphSample:
    """Gaussian blur with σ of 0.5–1.5 pixels, with probability 0.5."""
    seeds = tf.unstack(tf.random.split(seed, 2))
    sigma = tf.random.stateless_uniform((), seeds[1], *_SIGMAS)
    image = tf.cond(
        bernoulli(seeds[0]),
        lambda: gaussian_blur(sample["image"], sigma, sample.get("target_size")),
        lambda: tf.identity(sample["image"]),
    )
    return {**sample, "image": image}


def jpeg(sample: GraphSample, seed: Tensor) -> GraphSample:
    """JPEG compression of quality 20–90, with probability 0.5."""
    seeds = tf.unstack(tf.random.split(seed, 2))
    quality = tf.random.stateless_uniform((), seeds[1], _QUALITIES[0], _QUALITIES[1] + 1, tf.int32)

    def compressed() -> Tensor:
        pixels = tf.cast(tf.round(tf.cast(sample["image"], tf.float32)), tf.uint8)
        contents = tf.raw_ops.EncodeJpegVariableQuality(images=pixels, quality=quality)
        return tf.cast(tf.io.decode_jpeg(contents, channels=3), sample["image"].dtype)

    image = tf.cond(bernoulli(seeds[0]), compressed, lambda: tf.identity(sample["image"]))
    return {**sample, "image": tf.ensure_shape(image, (None, None, 3))}


def gaussian_blur(image: Tensor, sigma: Tensor, target_size: Tensor | None = None) -> Tensor:
    """Gaussian blur along rows, then columns; edge pixels are repeated beyond the border.

    Args:
        image: `(h, w, 3)` uint8 or float32.
        sigma: Scalar float32. Standard deviation in pixels.
        target_size: `(2,)` int32. See `xla.pad_to`. Defaults to `None`: the size of the image.

    Returns:
        `(h, w, 3)` in the dtype of `image`.
    """
    distance = tf.range(-_RADIUS, _RADIUS + 1, dtype=tf.float32)
    weights = tf.nn.softmax(-0.5 * (distance / sigma) ** 2)
    size = tf.shape(image)[:2]
    height, width = tf.unstack(size if target_size is None else tf.maximum(target_size, size))
    image = tf.gather(image, tf.clip_by_value(tf.range(-_RADIUS, height + _RADIUS), 0, size[0] - 1), axis=0)
    image = tf.gather(image, tf.clip_by_value(tf.range(-_RADIUS, width + _RADIUS), 0, size[1] - 1), axis=1)
    # Two calls: in one, XLA would sum 81 pixels of a square instead of 9 and 9.
    rows = _weighted_neighbours(tf.reshape(image, (height + 2 * _RADIUS, -1)), weights, axis=1)
    rows = cast_like(_weighted_neighbours(rows, weights, axis=0), image)
    return crop_to(tf.reshape(rows, (height, width, 3)), size)


@xla_compiled
def _weighted_neighbours(rows: Tensor, weights: Tensor, axis: int) -> Tensor:
    """Weighted sums of neighbours along one axis of `(H, 3 * W)`, which shrinks by twice the radius."""
    rows = tf.cast(rows, tf.float32)
    step = 3 if axis == 1 else 1
    side = tf.shape(rows)[axis] - 2 * _RADIUS * step
    starts = [tap * step for tap in range(2 * _RADIUS + 1)]
    parts = [rows[:, start : start + side] if axis == 1 else rows[start : start + side] for start in starts]
    return tf.add_n([part * weights[tap] for tap, part in enumerate(parts)])
