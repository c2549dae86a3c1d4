"""Resizing in NumPy equals resizing in a graph."""

from __future__ import annotations

import numpy as np
import pytest

from keras_retinanet.config import ResizeConfig, ResizeMethod
from keras_retinanet.data.image import resize_by_rule
from keras_retinanet.data.resize_arrays import ARRAY_METHODS, resize_array
from keras_retinanet.data.resize_methods import METHODS

SIZES = [((1, 1), (3, 5)), ((97, 131), (60, 80)), ((60, 80), (97, 130)), ((33, 44), (33, 91)), ((200, 30), (20, 45))]
"""Old and new heights and widths: larger, smaller, one of each, one unchanged, and more rows than a strip has."""


def test_every_method_is_there() -> None:
    assert list(ARRAY_METHODS) == list(METHODS)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("given", "wanted"), SIZES)
def test_equal_to_the_graph(method: ResizeMethod, given: tuple[int, int], wanted: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*given, 3), np.uint8)
    rule = ResizeConfig(method=method)
    found, expected = resize_array(image, wanted, rule), resize_by_rule(image, wanted, rule).numpy()
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("given", "wanted"), SIZES)
def test_antialiased_sums_differ_in_their_last_digit_only(given: tuple[int, int], wanted: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*given, 3), np.uint8)
    rule = ResizeConfig(method="float", antialias=True)
    np.testing.assert_allclose(resize_array(image, wanted, rule), resize_by_rule(image, wanted, rule), atol=2e-4)
    rounded = ResizeConfig(antialias=True)
    steps = resize_array(image, wanted, rounded).astype(int) - resize_by_rule(image, wanted, rounded).numpy()
    assert np.abs(steps).max() <= 1
    assert (steps != 0).mean() < 1e-3


def test_cv2_with_one_scale_for_both_axes() -> None:
    """Positions follow the exact factor of the rule, 198 / 150 = 1.32 and 278 / 211 = 1.3175, not of sizes."""
    image = np.random.default_rng(0).integers(0, 256, (150, 211, 3), np.uint8)
    rule = ResizeConfig(198, 278, rounding="even", method="cv2", has_one_scale=True)
    np.testing.assert_array_equal(resize_array(image, (198, 278), rule), resize_by_rule(image, (198, 278), rule))
