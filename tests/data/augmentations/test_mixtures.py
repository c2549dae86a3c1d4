import functools

import numpy as np
import pytest
import tensorflow as tf

from keras_retinanet.data.augmentations.mixtures import mixup, mosaic

SEEDS = [tf.constant([number, 7], tf.int64) for number in range(12)]


def sample(value, size, label, target_size=(80, 120)):
    """A picture of one value with one box around all of it."""
    return {
        "image": tf.fill((*size, 3), tf.constant(value, tf.uint8)),
        "boxes": tf.constant([[0, 0, size[1], size[0]]], tf.float32),
        "labels": tf.constant([label]),
        "ignore": tf.constant([label == 1]),
        "target_size": tf.constant(target_size),
        "pad_value": tf.constant([0.0, 0.0, 0.0]),
    }


def outcomes(mixture, load_other, dtype=tf.uint8):
    apply = tf.function(lambda given, seed: mixture(given, seed, load_other), autograph=False)
    given = sample(200, (60, 100), 0)
    given["image"] = tf.cast(given["image"], dtype)
    return [apply(given, seed) for seed in SEEDS]


def test_a_mosaic_fills_the_canvas_with_four_images():
    outs = outcomes(mosaic, lambda seed: sample(100, (90, 70), 1))
    whole = [out for out in outs if len(out["labels"]) == 1]
    assert 2 < len(whole) < 10
    for out in whole:
        np.testing.assert_array_equal(out["image"], np.full((60, 100, 3), 200))
    for out in outs:
        if len(out["labels"]) == 1:
            continue
        image, boxes = out["image"].numpy(), out["boxes"].numpy()
        assert image.shape == (80, 120, 3)
        _, _, x, y = boxes[0]  # the middle
        assert 36 <= x <= 84
        assert 24 <= y <= 56
        np.testing.assert_array_equal(boxes, [[0, 0, x, y], [x, 0, 120, y], [0, y, x, 80], [x, y, 120, 80]])
        assert out["labels"].numpy().tolist() == [0, 1, 1, 1]
        assert out["ignore"].numpy()[1:].all()  # ignore regions stay so
        own = np.zeros((80, 120), bool)
        own[: int(y), : int(x)] = True
        np.testing.assert_array_equal(image[..., 0], np.where(own, 200, 100))


def test_a_mosaic_of_images_not_resized_yet_stretches_them_as_the_resize_rule():
    """Squares of 10 pixels, of 80 x 80 that the rule stretches to 80 x 160, become twice as wide as high."""
    corners = np.stack(np.meshgrid(np.arange(0, 80, 10), np.arange(0, 80, 10)), axis=-1).reshape(-1, 2)
    boxes = tf.constant(np.concatenate([corners, corners + 10], axis=1), tf.float32)

    def load(seed):
        many = {"boxes": boxes, "labels": tf.zeros(64, tf.int32), "ignore": tf.zeros(64, tf.bool)}
        return {**sample(100, (80, 80), 0, (120, 120)), **many, "resized_size": tf.constant([80, 160])}

    apply = tf.function(lambda seed: mosaic(load(seed), seed, load), autograph=False)
    mosaics = [out for out in map(apply, SEEDS) if out["resized_size"].numpy().tolist() == [120, 120]]
    assert len(mosaics) > 2
    for out in mosaics:
        width, height = (out["boxes"][:, 2:] - out["boxes"][:, :2]).numpy().T
        assert np.median(width / height) == pytest.approx(2, rel=0.05)  # fewer than half are cut


def test_in_a_mixup_both_images_shine_through():
    load_other = functools.partial(sample, 100, (160, 60), 1)  # shrinks to 80 x 30
    outs, round_size = (outcomes(mixup, lambda seed: load_other(), dtype) for dtype in (tf.float32, tf.uint8))
    for out, other in zip(outs, round_size, strict=True):
        assert other["image"].dtype == tf.uint8
        np.testing.assert_allclose(out["image"], other["image"], atol=0.501)
    whole = [out for out in outs if len(out["labels"]) == 1]
    assert 2 < len(whole) < 10
    shares = []
    for out in outs:
        if len(out["labels"]) == 1:
            continue
        image, (first, second) = out["image"].numpy()[..., 0], out["boxes"].numpy().astype(int)
        assert image.shape == (80, 100)
        assert out["labels"].numpy().tolist() == [0, 1]
        assert out["ignore"].numpy().tolist() == [False, True]
        assert first.tolist() == [0, 0, 100, 60]
        assert (second[2:] - second[:2]).tolist() == [30, 80]
        share = image[70, second[0]] / 100
        shares.append(share)
        wanted = np.zeros((80, 100))
        wanted[:60] = (1 - share) * 200
        wanted[:, second[0] : second[2]] += share * 100
        np.testing.assert_allclose(image, wanted, atol=1e-3)
    assert min(shares) >= 0.35
    assert max(shares) <= 0.65


@pytest.mark.parametrize("mixture", [mosaic, mixup])
def test_other_images_are_drawn_from_the_seed_alone(mixture):
    def load_other(seed):
        value = tf.random.stateless_uniform((), seed, 0, 200, tf.int32)
        return {**sample(0, (50, 50), 1), "image": tf.fill((50, 50, 3), tf.cast(value, tf.uint8))}

    left, right = outcomes(mixture, load_other), outcomes(mixture, load_other)
    for one, other in zip(left, right, strict=True):
        tf.nest.map_structure(np.testing.assert_array_equal, one, other)
    assert len({one["image"].numpy().tobytes() for one in left}) > 3
