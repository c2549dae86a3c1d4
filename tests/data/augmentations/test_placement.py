import numpy as np
import tensorflow as tf

from keras_retinanet.data.augmentations.placement import MIN_SIDE, MIN_VISIBLE, crop_window, rescale, resize_window


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
