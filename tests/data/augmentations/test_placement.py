import numpy as np
import tensorflow as tf

from keras_retinanet.data.augmentations.placement import (
    MIN_SIDE,
    MIN_VISIBLE,
    crop_window,
    rescale,
    resize_window,
    resized,
)


def sample(boxes, ignore=()):
    image = np.arange(40 * 60 * 3, dtype=np.float32).reshape(40, 60, 3)
    return {
        "image": tf.constant(image),
        "boxes": tf.constant(boxes, tf.float32),
        "labels": tf.range(len(boxes)),
        "ignore": tf.constant([number in ignore for number in range(len(boxes))], tf.bool),
        "target_size": tf.constant([40, 60]),
        "pad_value": tf.zeros(3),
    }


def test_what_is_hardly_visible_in_a_crop_is_ignored_and_what_is_gone_goes():
    boxes = [[0, 0, 10, 14.4], [0, 0, 10, 14.2], [20, 20, 30, 30], [0, 0, 10, 10.5], [0, 0, 5, 10], [30, 5, 40, 30]]
    out = crop_window(
        sample(boxes, ignore=[3]), tf.constant([10, 0]), tf.constant([25, 25])
    )  # rows 10 … 35, columns 0 … 25
    # Visible: 4.4 of 14.4 rows, 4.2 of 14.2 (29.6 %), half, a sliver, nothing, nothing.
    assert MIN_VISIBLE == 0.3
    assert out["labels"].numpy().tolist() == [0, 1, 2, 3]
    assert out["ignore"].numpy().tolist() == [False, True, False, True]
    wanted = [[0, 0, 10, 4.4], [0, 0, 10, 4.2], [20, 10, 25, 20], [0, 0, 10, 0.5]]
    np.testing.assert_allclose(out["boxes"], wanted, rtol=1e-5)
    np.testing.assert_array_equal(out["image"], sample(boxes)["image"][10:35, :25])


def test_what_shrinks_below_four_pixels_is_ignored_but_not_what_was_so_before():
    boxes = [[0, 0, 10, 10], [0, 0, 7.8, 30], [10, 10, 13, 13]]
    half = rescale(sample(boxes), 0.5)
    assert MIN_SIDE == 4
    assert half["image"].shape == (20, 30, 3)
    assert half["ignore"].numpy().tolist() == [False, True, True]
    np.testing.assert_allclose(half["boxes"], np.array(boxes) / 2, rtol=1e-6)
    assert rescale(sample(boxes), 1.0)["ignore"].numpy().tolist() == [False] * 3


def test_a_zoom_moves_boxes_by_the_true_ratio_of_either_side():
    out = resize_window(sample([[10, 10, 20, 20]]), tf.constant([5, 6]), tf.constant([20, 30]), tf.constant([30, 33]))
    assert out["image"].shape == (30, 33, 3)
    np.testing.assert_allclose(out["boxes"], [[4 * 1.1, 5 * 1.5, 14 * 1.1, 15 * 1.5]], rtol=1e-6)


def test_an_image_not_resized_yet_is_scaled_once():
    # Stored with 40 x 60 pixels; the resize rule gives 20 x 30, and the scale is that of the resized image.
    boxes = [[0, 0, 10, 10], [4, 8, 34, 28], [10, 10, 16, 30]]
    half = rescale({**sample(boxes), "resized_size": tf.constant([20, 30])}, 0.5)
    assert half["image"].shape == (10, 15, 3)
    assert half["resized_size"].numpy().tolist() == [10, 15]
    np.testing.assert_allclose(half["boxes"], np.array(boxes) / 4, rtol=1e-6)
    # Resized, the sides are 5, 10 and 3: the first shrinks below 4 pixels, the last was below before.
    assert half["ignore"].numpy().tolist() == [True, False, True]
    same = rescale({**sample(boxes), "resized_size": tf.constant([20, 30])}, 1.0)
    assert same["ignore"].numpy().tolist() == [False] * 3


def test_the_resize_that_was_left_out():
    out = resized({**sample([[0, 4, 30, 24]]), "resized_size": tf.constant([20, 90])})
    assert "resized_size" not in out
    np.testing.assert_array_equal(out["boxes"], [[0, 2, 45, 12]])
    # New row i lies between rows 2i and 2i + 1, which differ by 180, the second column between the first two (by 3).
    assert out["image"].shape == (20, 90, 3)
    np.testing.assert_allclose(out["image"][:2, 1, 0], [90 + 1.5, 450 + 1.5], rtol=1e-6)
    plain = sample([[0, 4, 30, 24]])
    assert resized(plain) == plain
