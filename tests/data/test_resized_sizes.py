"""The rule for a fixed `shape`; `test_image.py` has that for sides."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from keras_retinanet.config import ResizeConfig
from keras_retinanet.data.image import resize_by_rule
from keras_retinanet.data.resized_sizes import network_scale, padded_size, resized_size
from keras_retinanet.data.resized_sizes_graph import resized_size_tensor


@pytest.mark.parametrize(
    ("size", "wanted"),
    [((150, 211), (190, 267)), ((211, 150), (190, 135)), ((95, 150), (190, 300)), ((10, 1000), (3, 300))],
)
@pytest.mark.parametrize("rounding", ["even", "nearest"])
def test_images_fit_into_a_shape(size, wanted, rounding):
    """min(190 / 150, 300 / 211) = 1.2667 · 211 = 267.3; as TensorFlow's Model Garden."""
    resize = ResizeConfig(shape=(190, 300), rounding=rounding, pad_multiple=128)
    assert resized_size(*size, resize) == wanted
    assert tuple(resized_size_tensor(tf.constant(size), resize).numpy()) == wanted
    assert padded_size(*wanted, resize) == (256, 384)
    arrays = resized_size(np.array([size[0], 95]), np.array([size[1], 150]), resize)
    assert np.array(arrays).T.tolist() == [list(wanted), [190, 300]]


def test_images_are_stretched_to_a_shape():
    resize = ResizeConfig(shape=(192, 288), shape_mode="stretch", method="float")
    assert resized_size(150, 211, resize) == (192, 288)
    assert tuple(resized_size_tensor(tf.constant([150, 211]), resize).numpy()) == (192, 288)
    np.testing.assert_allclose(network_scale((192, 288), (150, 211), resize), (192 / 150, 288 / 211))
    assert np.array(resized_size(np.array([1, 2]), np.array([3, 4]), resize)).tolist() == [[192] * 2, [288] * 2]


def test_bilinear_of_tensorflow_1_has_no_half_pixels():
    """Twice the size: positions 0, 0.5, 1, 1.5 of the pixels 0 and 100; the last is beyond and repeats the edge."""
    image = np.repeat(np.array([[0], [100]], np.uint8)[:, :, None], 3, axis=2)
    found = resize_by_rule(tf.constant(image), (4, 1), ResizeConfig(method="tf1"))
    assert found.dtype == tf.float32
    assert found.numpy()[:, 0, 0].tolist() == [0, 50, 100, 100]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"shape": (1, 2, 3)}, r"\(1, 2, 3\)"),
        ({"shape": (0, 5)}, r"\(0, 5\)"),
        ({"shape": (5, 5), "shape_mode": "stretch", "has_one_scale": True}, "has_one_scale"),
    ],
)
def test_impossible_shapes_are_named(settings, said):
    with pytest.raises(ValueError, match=said):
        ResizeConfig(**settings)
