"""Augmentations that combine several images of the data set.

A mixture is a function `(sample, seed, load_other) -> sample`. `load_other(seed)` loads a random image of the data set,
not augmented and, for `mosaic`, possibly not resized (`resized_size`). It loads inside the graph and only if it is
called, so an image that is not mixed costs nothing extra.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from keras_retinanet.data.augmentations.placement import (
    GraphSample,
    bernoulli,
    random_offset,
    resize_window,
    resized_scale,
    round_size,
    shrink_to_fit,
)
from keras_retinanet.data.augmentations.xla import cast_like
from keras_retinanet.schema import Tensor

LoadOther = Callable[[Tensor], GraphSample]

MOSAIC_OTHERS = 3
MIXUP_OTHERS = 1


def mosaic(sample: GraphSample, seed: Tensor, load_other: LoadOther) -> GraphSample:
    """With probability 0.5, fill `target_size` with four images that meet at a point near its centre.

    Each image is scaled to 1–1.5 times the size that covers its quarter, and cropped at random.

    Reference: Bochkovskiy et al., YOLOv4 (2020), §3.3.
    """
    seeds = tf.unstack(tf.random.split(seed, 3 + 2 * MOSAIC_OTHERS))

    def apply() -> GraphSample:
        target_size = sample["target_size"]
        middle = round_size(tf.cast(target_size, tf.float32) * tf.random.stateless_uniform((2,), seeds[1], 0.3, 0.7))
        y, x = tf.unstack(middle)
        height, width = tf.unstack(target_size - middle)
        parts = [
            _cover(sample, tf.stack([y, x]), seeds[2]),
            _cover(load_other(seeds[3]), tf.stack([y, width]), seeds[4]),
            _cover(load_other(seeds[5]), tf.stack([height, x]), seeds[6]),
            _cover(load_other(seeds[7]), tf.stack([height, width]), seeds[8]),
        ]
        left, above = tf.cast(x, tf.float32), tf.cast(y, tf.float32)
        images = [tf.cast(part["image"], sample["image"].dtype) for part in parts]
        rows = [tf.concat(images[row : row + 2], axis=1) for row in (0, 2)]
        shifts = tf.stack([[0.0, 0.0] * 2, [left, 0.0] * 2, [0.0, above] * 2, [left, above] * 2])
        image = tf.concat(rows, axis=0)
        done = {"resized_size": target_size} if "resized_size" in sample else {}
        return {**sample, **done, "image": image, **_merge_boxes(parts, shifts)}

    return tf.cond(bernoulli(seeds[0]), apply, lambda: dict(sample))


def mixup(sample: GraphSample, seed: Tensor, load_other: LoadOther) -> GraphSample:
    """With probability 0.5, blend with another image, which gets a weight of 0.35–0.65; the boxes of both are kept.

    Reference: Zhang et al., Bag of Freebies for Training Object Detection Neural Networks (2019), §3.1.
    """
    seeds = tf.unstack(tf.random.split(seed, 4))

    def apply() -> GraphSample:
        other = shrink_to_fit({**load_other(seeds[1]), "target_size": sample["target_size"]})
        sizes = [tf.shape(part["image"])[:2] for part in (sample, other)]
        size = tf.maximum(*sizes)
        offset = random_offset(size - sizes[1], seeds[2])
        share = tf.random.stateless_uniform((), seeds[3], 0.35, 0.65)
        fill = sample["pad_value"]
        first = _pad_around(sample["image"], tf.zeros(2, tf.int32), size, fill)
        second = _pad_around(other["image"], offset, size, fill)
        y, x = tf.unstack(tf.cast(offset, tf.float32))
        boxes = _merge_boxes([sample, other], tf.stack([tf.zeros(4), tf.stack([x, y, x, y])]))
        return {**sample, "image": cast_like(first + share * (second - first), sample["image"]), **boxes}

    return tf.cond(bernoulli(seeds[0]), apply, lambda: dict(sample))


def _cover(sample: GraphSample, target: Tensor, seed: Tensor) -> GraphSample:
    """Scale and crop a sample at random to `target`."""
    seeds = tf.unstack(tf.random.split(seed, 2))
    size, wanted = tf.cast(tf.shape(sample["image"])[:2], tf.float32), tf.cast(target, tf.float32)
    scale = resized_scale(sample)
    factor = scale * tf.reduce_max(wanted / (size * scale)) * tf.random.stateless_uniform((), seeds[0], 1.0, 1.5)
    window = round_size(tf.minimum(wanted / factor, size))
    return resize_window(sample, random_offset(tf.cast(size, tf.int32) - window, seeds[1]), window, target)


def _merge_boxes(parts: list[GraphSample], shifts: Tensor) -> GraphSample:
    """Concatenate the boxes of all parts; those of part i are shifted by the `(4,)` of `shifts[i]`."""
    boxes = tf.concat([part["boxes"] + shifts[number] for number, part in enumerate(parts)], axis=0)
    return {"boxes": boxes, **{key: tf.concat([part[key] for part in parts], axis=0) for key in ("labels", "ignore")}}


def _pad_around(image: Tensor, offset: Tensor, size: Tensor, fill: Tensor) -> Tensor:
    """Pad an image to `size`, at an offset, with one colour."""
    before = tf.stack([*tf.unstack(offset), 0])
    after = tf.concat([size - offset - tf.shape(image)[:2], [0]], axis=0)
    return tf.pad(tf.cast(image, tf.float32) - fill, tf.stack([before, after], axis=1)) + fill
