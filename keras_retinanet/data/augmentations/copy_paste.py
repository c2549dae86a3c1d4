"""Pastes objects of another image, as the rectangles of their boxes."""

from __future__ import annotations

import tensorflow as tf

from keras_retinanet.data.augmentations.mixtures import LoadOther
from keras_retinanet.data.augmentations.placement import (
    MIN_VISIBLE,
    GraphSample,
    bernoulli,
    random_offset,
    shrink_to_fit,
)
from keras_retinanet.schema import Tensor


def copy_paste(sample: GraphSample, seed: Tensor, load_other: LoadOther) -> GraphSample:
    """With probability 0.5, paste about half of the objects of another image, each with the pixels of its box.

    The other image lies at a random offset, and its objects keep their places in it. A box of either image of which
    less than 30 % remains visible becomes an ignore region; one that is covered completely is removed. Ignore regions
    of the other image are not pasted.

    Reference: Ghiasi et al., Simple Copy-Paste is a Strong Data Augmentation Method (2021), with masks; Dwibedi et al.,
    Cut, Paste and Learn (2017), with boxes among others.
    """
    seeds = tf.unstack(tf.random.split(seed, 4))

    def apply() -> GraphSample:
        other = shrink_to_fit({**load_other(seeds[1]), "target_size": sample["target_size"]})
        size, other_size = (tf.shape(part["image"])[:2] for part in (sample, other))
        offset = random_offset(tf.maximum(size - other_size, 0), seeds[2])
        shared = tf.minimum(size, offset + other_size) - offset
        y, x = tf.unstack(tf.cast(offset, tf.float32))
        bottom, right = tf.unstack(tf.cast(offset + shared, tf.float32))
        boxes = other["boxes"] + tf.stack([x, y, x, y])  # (M, 4)
        boxes = tf.round(tf.clip_by_value(boxes, tf.stack([x, y, x, y]), tf.stack([right, bottom, right, bottom])))
        is_chosen = tf.random.stateless_uniform(tf.shape(other["labels"]), seeds[3]) < 0.5
        is_chosen &= ~other["ignore"] & (_area(boxes) >= MIN_VISIBLE * _area(other["boxes"]))
        mask = _paint(tf.boolean_mask(boxes, is_chosen), size)
        padding = [[offset[0], size[0] - offset[0] - shared[0]], [offset[1], size[1] - offset[1] - shared[1]], [0, 0]]
        pasted = tf.pad(other["image"][: shared[0], : shared[1]], padding)
        image = tf.where(mask[..., None], tf.cast(pasted, sample["image"].dtype), sample["image"])
        visible = tf.concat([1.0 - _shares(sample["boxes"], mask), _shares(boxes, mask)], axis=0)
        all_boxes = tf.concat([sample["boxes"], boxes], axis=0)
        ignore = tf.concat([sample["ignore"], other["ignore"]], axis=0) | (visible < MIN_VISIBLE)
        is_left = (visible > 0.0) & (_area(all_boxes) > 0.0)
        return {
            **sample,
            "image": image,
            "boxes": tf.boolean_mask(all_boxes, is_left),
            "labels": tf.boolean_mask(tf.concat([sample["labels"], other["labels"]], axis=0), is_left),
            "ignore": tf.boolean_mask(ignore, is_left),
        }

    return tf.cond(bernoulli(seeds[0]), apply, lambda: dict(sample))


def _paint(boxes: Tensor, size: Tensor) -> Tensor:
    """`(h, w)` bool: the pixels inside one of `(N, 4)` boxes of whole numbers."""
    rows, columns = (tf.range(size[axis], dtype=tf.float32) for axis in (0, 1))
    is_row = (rows[None] >= boxes[:, 1:2]) & (rows[None] < boxes[:, 3:4])  # (N, h)
    is_column = (columns[None] >= boxes[:, 0:1]) & (columns[None] < boxes[:, 2:3])  # (N, w)
    return tf.matmul(tf.cast(is_row, tf.float32), tf.cast(is_column, tf.float32), transpose_a=True) > 0.5


def _shares(boxes: Tensor, mask: Tensor) -> Tensor:
    """`(N,)`: the share of each of `(N, 4)` boxes that a `(h, w)` mask covers, at whole pixels."""
    sums = tf.pad(tf.cumsum(tf.cumsum(tf.cast(mask, tf.float32), axis=0), axis=1), [[1, 0], [1, 0]])
    limits = tf.cast(tf.shape(mask), tf.float32)
    corners = tf.clip_by_value(tf.round(boxes), 0.0, tf.stack([limits[1], limits[0], limits[1], limits[0]]))
    x1, y1, x2, y2 = tf.unstack(tf.cast(corners, tf.int32), axis=1)

    def at(y: Tensor, x: Tensor) -> Tensor:
        return tf.gather_nd(sums, tf.stack([y, x], axis=1))

    covered = at(y2, x2) - at(y1, x2) - at(y2, x1) + at(y1, x1)
    return tf.math.divide_no_nan(covered, tf.cast((x2 - x1) * (y2 - y1), tf.float32))


def _area(boxes: Tensor) -> Tensor:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
