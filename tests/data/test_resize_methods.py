"""Resizing as OpenCV, Pillow and PyTorch do it, against values of theirs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_retinanet.config import ResizeConfig
from keras_retinanet.data.image import resize_by_rule
from keras_retinanet.data.resize_methods import cv2_linear, pillow_bilinear
from keras_retinanet.data.resized_sizes import network_scale, resized_size
from keras_retinanet.data.resized_sizes_graph import network_scale_tensor, resized_size_tensor


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize(
    ("given", "wanted"), [((97, 131), (60, 80)), ((60, 80), (97, 130)), ((33, 44), (33, 91)), ((200, 300), (20, 45))]
)
def test_pillow_bit_by_bit(given: tuple[int, int], wanted: tuple[int, int]) -> None:
    image = noise(*given)
    expected = np.asarray(Image.fromarray(image).resize(wanted[::-1], Image.Resampling.BILINEAR))
    found = pillow_bilinear(tf.constant(image), tf.constant(wanted), None, True)
    np.testing.assert_array_equal(found, expected)


def test_cv2_by_hand() -> None:
    """Two pixels 0 and 255 to four: places -0.25, 0.25, 0.75, 1.25; weights of 11 bits, 512 of 2048 for a quarter.

    255 * 512 = 130560; // 16 = 8160; both rows 2048 * 8160 // 65536 = 255, or for one row twice at the border
    1536 * 8160 // 65536 = 191 and 512 * 8160 // 65536 = 63; (191 + 63 + 2) // 4 = 64, and 64 with one row alone.
    """
    image = np.array([[[0] * 3, [255] * 3]], np.uint8)
    found = cv2_linear(tf.constant(image), tf.constant((1, 4)), tf.constant((1.0, 2.0), tf.float64), False)
    np.testing.assert_array_equal(found[0, :, 0], [0, 64, 191, 255])


def test_cv2_against_the_library(shared) -> None:
    golden = np.load(shared("reference/fizyr_golden/image_golden.npz"))
    scale = float(golden["resized_scale"])
    size = golden["resized"].shape[:2]
    found = cv2_linear(tf.constant(golden["image"]), tf.constant(size), tf.constant((scale, scale), tf.float64), False)
    np.testing.assert_array_equal(found, golden["resized"])
    with_sizes = cv2_linear(
        tf.constant(golden["image"]), tf.constant(size), tf.constant(np.divide(size, (60, 83))), False
    )
    assert (np.asarray(with_sizes) != golden["resized"]).any(), "it matters which scale positions follow"


FIZYR = ResizeConfig(198, 278, pad_multiple=1, rounding="even", method="cv2", has_one_scale=True)
TORCHVISION = ResizeConfig(800, 1333, rounding="floor", method="float")


@pytest.mark.parametrize(
    ("given", "resize", "expected"),
    [
        ((150, 211), FIZYR, (198, 278)),  # 197.63
        ((3, 4), ResizeConfig(6, 6, rounding="even"), (4, 6)),  # 4.5 to the even neighbour
        ((3, 4), ResizeConfig(6, 6), (5, 6)),  # 4.5 up
        ((427, 640), TORCHVISION, (800, 1199)),  # 1199.06
        ((480, 640), TORCHVISION, (800, 1066)),  # 1066.67
        ((480, 640), ResizeConfig(800, 1333), (800, 1067)),
        ((300, 1000), TORCHVISION, (399, 1333)),  # 399.9
        ((5, 7), ResizeConfig(8, 14, is_square=True, rounding="floor"), (10, 14)),
    ],
)
def test_rounding(given: tuple[int, int], resize: ResizeConfig, expected: tuple[int, int]) -> None:
    assert resized_size(*given, resize) == expected
    assert tuple(resized_size_tensor(tf.constant(given), resize).numpy()) == expected


@pytest.mark.parametrize("resize", [FIZYR, TORCHVISION, ResizeConfig(100, 200, rounding="even")])
def test_sizes_in_graphs_equal_those_outside(resize: ResizeConfig) -> None:
    rng = np.random.default_rng(0)
    sizes = rng.integers(1, 3000, (60, 2))
    arrays = np.stack(resized_size(sizes[:, 0], sizes[:, 1], resize), axis=1)
    for size, expected in zip(sizes, arrays, strict=True):
        assert tuple(resized_size_tensor(tf.constant(size), resize).numpy()) == tuple(expected)
        scales = (
            network_scale(expected, size, resize),
            network_scale_tensor(tf.constant(expected), tf.constant(size), resize),
        )
        np.testing.assert_array_equal(*scales)


def test_one_scale_for_both_axes_unless_the_size_is_another(network_input: Callable[..., Any]) -> None:
    np.testing.assert_array_equal(network_scale((198, 278), (150, 211), FIZYR), [278 / 211, 278 / 211])
    np.testing.assert_array_equal(network_scale((99, 139), (150, 211), FIZYR), [99 / 150, 139 / 211])
    image, size, scale = network_input(tf.constant(noise(150, 211)), FIZYR, (0, 0, 0))
    assert image.shape == (198, 278, 3)
    np.testing.assert_array_equal(size, [198, 278])
    np.testing.assert_allclose(scale, [278 / 211] * 2, rtol=1e-6)


def test_float_does_not_round() -> None:
    image = np.array([[[0] * 3, [1] * 3]], np.uint8)
    found = resize_by_rule(tf.constant(image), (1, 4), ResizeConfig(1, 4, method="float"))
    assert found.dtype == tf.float32
    np.testing.assert_allclose(found[0, :, 0], [0, 0.25, 0.75, 1])
    assert resize_by_rule(tf.constant(image), (1, 4), ResizeConfig(1, 4)).dtype == tf.uint8
