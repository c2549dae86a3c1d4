"""Rectangles pasted onto a plain image, looked up pixel by pixel."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from keras_retinanet.data.augmentations.copy_paste import copy_paste

BASE, OTHER = np.array([[0, 0, 40, 40]], np.float32), np.array([[5, 5, 25, 30], [50, 40, 80, 60]], np.float32)


def sample(value, size, boxes, label):
    return {
        "image": tf.fill((*size, 3), tf.constant(value, tf.uint8)),
        "boxes": tf.constant(boxes),
        "labels": tf.fill((len(boxes),), label),
        "ignore": tf.zeros((len(boxes),), tf.bool),
        "target_size": tf.constant((64, 96)),
        "pad_value": tf.zeros(3),
    }


def test_objects_come_with_the_pixels_of_their_boxes():
    apply = tf.function(
        lambda given, seed: copy_paste(given, seed, lambda _: sample(200, (64, 96), OTHER, 7)), autograph=False
    )
    seen = set()
    for number in range(24):
        out = apply(sample(50, (64, 96), BASE, 1), tf.constant([number, 3], tf.int64))
        labels, boxes = out["labels"].numpy(), out["boxes"].numpy()
        pasted = boxes[labels == 7]
        expected = np.full((64, 96), 50)
        for x1, y1, x2, y2 in pasted.astype(int):
            expected[y1:y2, x1:x2] = 200
        np.testing.assert_array_equal(out["image"].numpy()[..., 0], expected)
        assert not out["ignore"].numpy().any()  # a covered third of the first box leaves enough
        np.testing.assert_array_equal(boxes[labels == 1], BASE)
        seen.add(len(pasted))
    assert seen == {0, 1, 2}


def test_what_is_covered_becomes_an_ignore_region_or_goes():
    """A box that is pasted over completely is removed, one of which a quarter remains is ignored."""
    base = np.array([[10, 10, 20, 20], [5, 10, 25, 50], [0, 0, 96, 64]], np.float32)
    other = np.array([[0, 0, 40, 40]], np.float32)
    kinds = set()
    for number in range(12):
        given = sample(50, (64, 96), base, 1)
        out = copy_paste(given, tf.constant([number, 1], tf.int64), lambda _: sample(200, (64, 96), other, 7))
        if 7 in out["labels"].numpy():
            kinds.add(tuple(out["ignore"].numpy().tolist()))
            np.testing.assert_array_equal(out["boxes"].numpy(), [base[1], base[2], other[0]])
    assert kinds == {(True, False, False)}
