import numpy as np
import pytest
import tensorflow as tf

from keras_retinanet.data.augmentations.affine import about_centre, affine_matrix, enclosing_boxes, warp

NOTHING = {"rotation": 0.0, "translation": [0.0, 0.0], "shear": 0.0, "scaling": [1.0, 1.0]}
FILL = tf.constant([10.0, 20.0, 30.0])


def matrix(size, **changes):
    values = {key: tf.constant(value, tf.float32) for key, value in {**NOTHING, **changes}.items()}
    return about_centre(affine_matrix(**values), tf.constant(size))


def numbered(height, width):
    return np.arange(height * width * 3, dtype=np.float32).reshape(height, width, 3)


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({}, [8, 12, 40, 30]),
        ({"translation": [0.1, -0.2]}, [18, -2, 50, 16]),  # a tenth of 100 to the right, a fifth of 70 up
        ({"scaling": [0.5, 2.0]}, [29, -11, 45, 25]),  # about the centre (50, 35)
        ({"rotation": np.pi / 2}, [55, -7, 73, 25]),  # (x, y) -> (50 + 35 - y, 35 + x - 50)
        ({"shear": np.pi / 6}, [10.5, 35 - 23 * 3**0.5 / 2, 51.5, 35 - 5 * 3**0.5 / 2]),  # x - (y - 35) / 2
    ],
)
def test_boxes_by_hand(changes, wanted):
    box = enclosing_boxes(tf.constant([[8.0, 12, 40, 30]]), matrix((70, 100), **changes))
    np.testing.assert_allclose(box, [wanted], atol=1e-4)


def test_a_shift_by_whole_pixels_moves_them_unchanged():
    image = numbered(4, 5)
    moved = warp(image, matrix((4, 5), translation=[0.4, -0.25]), FILL).numpy()  # two to the right, one up
    np.testing.assert_allclose(moved[:3, 2:], image[1:, :3], atol=1e-3)
    np.testing.assert_allclose(moved[3], np.tile(FILL, (5, 1)), atol=1e-3)
    np.testing.assert_allclose(moved[:, :2], np.tile(FILL, (4, 2, 1)), atol=1e-3)


def test_a_half_turn_moves_the_first_pixel_to_the_last():
    image = numbered(4, 5)
    np.testing.assert_allclose(warp(image, matrix((4, 5), rotation=np.pi), FILL), image[::-1, ::-1], atol=1e-2)


def test_an_enlargement_interpolates_between_pixel_centres():
    image = np.repeat(np.float32([[[0], [100]]]), 3, axis=-1)  # 1 x 2, about the centre x = 1
    # Twice as wide: the centres 0.5 and 1.5 come from 0.75 and 1.25, a quarter and three quarters of the way.
    out = warp(image, matrix((1, 2), scaling=[2.0, 1.0]), FILL).numpy()
    np.testing.assert_allclose(out[..., 0], [[25, 75]], atol=1e-3)


def test_matrices_are_those_of_fizyr(shared):
    golden = np.load(shared("reference/fizyr_golden/image_golden.npz"))
    rng = np.random.RandomState(11)
    drawn = {
        "rotation": rng.uniform(-0.1, 0.1),
        "translation": rng.uniform([-0.1, -0.1], [0.1, 0.1]),
        "shear": rng.uniform(-0.1, 0.1),
        "scaling": rng.uniform([0.9, 0.9], [1.1, 1.1]),
    }
    drawn["scaling"] = drawn["scaling"] * np.where(rng.uniform(0, 1, 2) < 0.5, -1, 1)  # its flips
    plain = affine_matrix(**{key: tf.constant(value, tf.float32) for key, value in drawn.items()})
    np.testing.assert_allclose(plain, golden["matrix_seed11"], atol=1e-6)
    own = matrix(golden["image"].shape[:2], **drawn)
    np.testing.assert_allclose(own, golden["matrix_adjusted"], atol=1e-4)
    np.testing.assert_allclose(
        enclosing_boxes(np.float32(golden["aabb_in"]).reshape(-1, 4), own)[0], golden["aabb_out"], atol=1e-3
    )


def test_warped_pixels_are_those_of_fizyr(shared):
    """It puts pixel i at i where we put it at i + ½, so its matrix is moved by half a pixel first."""
    golden = np.load(shared("reference/fizyr_golden/image_golden.npz"))
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    moved = half @ golden["matrix_adjusted"] @ np.linalg.inv(half)
    out = warp(golden["image"], tf.constant(moved, tf.float32), tf.constant([5.0, 5.0, 5.0])).numpy()
    difference = np.abs(out - golden["warped_constant"].astype(np.float32))
    # OpenCV interpolates in steps of 1/32 pixel: along either axis up to 1/64 of 255 off, and rounds.
    assert difference.max() <= 8.5
    assert difference.mean() < 1.5
