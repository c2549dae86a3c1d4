import numpy as np
import tensorflow as tf

from keras_retinanet.data.augmentations.affine import about_centre, affine_matrix, warp
from keras_retinanet.data.augmentations.colour import adjust_colours
from keras_retinanet.data.augmentations.degradation import gaussian_blur
from keras_retinanet.data.augmentations.xla import coloured_padding, crop_to, pad_to

IMAGE = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
CANVAS = tf.constant([8, 9])


def test_laid_on_a_canvas_and_cut_off_again():
    laid = pad_to(IMAGE, CANVAS).numpy()
    assert laid.shape == (8, 9, 3)
    np.testing.assert_array_equal(laid[:5, :7], IMAGE)
    assert laid[5:].sum() == laid[:, 7:].sum() == 0
    np.testing.assert_array_equal(crop_to(laid, tf.constant([5, 7])), IMAGE)
    np.testing.assert_array_equal(pad_to(IMAGE, tf.constant([3, 9]))[:, :7], IMAGE)  # too small is no error


def test_the_canvas_changes_nothing():
    matrix = affine_matrix(tf.constant(0.1), tf.constant([0.1, 0.0]), tf.constant(0.1), tf.constant([1.1, 0.9]))
    matrix = about_centre(matrix, tf.constant([5, 7]))
    changes = {"gain": 1.1, "contrast": 0.8, "brightness": 0.05, "hue": -0.04, "saturation": 1.2}
    for made in (
        lambda target_size: warp(IMAGE, matrix, tf.constant([1.0, 2.0, 3.0]), target_size),
        lambda target_size: adjust_colours(IMAGE, target_size, **changes),
        lambda target_size: gaussian_blur(IMAGE, tf.constant(1.3), target_size),
    ):
        np.testing.assert_array_equal(made(CANVAS), made(None))


def test_inside_a_pipeline_of_images_of_all_sizes():
    images = [IMAGE, IMAGE[:3], np.ascontiguousarray(IMAGE[:, :4])]
    given = tf.data.Dataset.from_generator(lambda: images, output_signature=tf.TensorSpec((None, None, 3), tf.uint8))
    made = list(given.map(lambda image: adjust_colours(image, CANVAS, gain=0.5)))
    assert [tuple(image.shape) for image in made] == [(5, 7, 3), (3, 7, 3), (5, 4, 3)]
    np.testing.assert_allclose(made[1], IMAGE[:3] * 0.5, atol=0.501)


def test_padding_gets_its_colour_and_pixels_stay():
    images = np.stack([pad_to(IMAGE, CANVAS), pad_to(IMAGE[:3, :6] // 2, CANVAS)])
    colour = tf.constant([0.5, 100.25, 255.0])
    for given in (images, images.astype(np.float32)):
        got = coloured_padding(given, tf.constant([[5.0, 7.0], [3.0, 6.0]]), colour).numpy()
        wanted = np.broadcast_to(np.float32(colour), got.shape).copy()
        wanted[0, :5, :7], wanted[1, :3, :6] = IMAGE, IMAGE[:3, :6] // 2
        assert got.dtype == np.float32
        np.testing.assert_array_equal(got, wanted)
