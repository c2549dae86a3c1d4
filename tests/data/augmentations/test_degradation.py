import numpy as np
import tensorflow as tf

from keras_retinanet.data.augmentations.degradation import blur, gaussian_blur, jpeg

SEEDS = [tf.constant([number, 6], tf.int64) for number in range(12)]


def sample():
    rng = np.random.default_rng(0)
    return {"image": tf.constant(rng.integers(0, 256, (16, 24, 3)), tf.uint8)}


def test_blur_spreads_a_point_into_a_gaussian():
    image = np.zeros((13, 15, 3), np.float32)
    image[6, 7] = 200
    out = gaussian_blur(image, tf.constant(1.0)).numpy()
    weights = np.exp(-0.5 * np.arange(-4, 5) ** 2)
    weights /= weights.sum()
    wanted = np.zeros((13, 15))
    wanted[2:11, 3:12] = 200 * np.outer(weights, weights)
    np.testing.assert_allclose(out[..., 1], wanted, atol=1e-4)


def test_blur_continues_the_edges():
    np.testing.assert_allclose(gaussian_blur(np.full((3, 2, 3), 70, np.uint8), tf.constant(1.5)), 70.0, atol=1e-4)


def test_both_change_every_second_picture_and_keep_its_kind():
    for augmentation in (blur, jpeg):
        apply = tf.function(augmentation, autograph=False)
        images = [apply(sample(), seed)["image"] for seed in SEEDS]
        assert {image.dtype for image in images} == {tf.uint8}
        same = [np.array_equal(image, sample()["image"]) for image in images]
        assert 2 < sum(same) < 10


def test_jpeg_leaves_small_traces_in_smooth_pictures():
    ramp = np.repeat(np.tile(np.arange(0, 240, 4, dtype=np.float32), (32, 1))[..., None], 3, axis=-1)
    apply = tf.function(jpeg, autograph=False)
    changed = [np.abs(apply({"image": ramp}, seed)["image"].numpy() - ramp).max() for seed in SEEDS[:6]]
    assert 0 < max(changed) < 30
