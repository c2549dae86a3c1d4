"""Sizes worked by hand, and boxes that return to where they came from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from keras_retinanet.config import ResizeConfig
from keras_retinanet.data.preparation import (
    fill_batch,
    fit_image,
    prepare_batch,
    restore_by_fit,
    restore_detections,
    shrink_to_fit,
)

RULE = ResizeConfig(64, 96)


def test_the_sizes_of_an_image_follow_the_rule() -> None:
    """The shorter side becomes 64 unless the longer would exceed 96; padded to multiples of 32."""
    fit = fit_image(50, 91, RULE)  # 91 · 64 / 50 = 116: the longer side decides, 50 · 96 / 91 = 52.7
    assert (fit.original, fit.resized, fit.batch_shape) == ((50, 91), (53, 96), (64, 96))
    assert fit_image(40, 40, RULE).batch_shape == (64, 64)


def test_a_bucket_is_the_next_quarter_between_the_shortest_and_the_longest_side() -> None:
    """The longer side grows to 64, 72, 80, 88 or 96; here 64 · 64 / 50 = 81.9."""
    rule = ResizeConfig(64, 96, pad_multiple=2)
    assert fit_image(50, 64, rule).batch_shape == (64, 82)
    assert fit_image(50, 64, rule, is_bucketed=True).batch_shape == (64, 88)
    assert fit_image(50, 64, rule, is_bucketed=True, fixed_shape=(90, 90)).batch_shape == (90, 90)


@pytest.mark.parametrize(
    ("size", "given", "expected"),
    [
        ((64, 96), (60, 90), (64, 96)),  # it fits: the rule's own size
        ((800, 1067), (480, 640), (64, 85)),  # 640 · 64 / 480 = 85.33
        ((1067, 800), (640, 480), (64, 48)),  # tall: the height decides
        ((400, 1333), (300, 1000), (29, 96)),  # 300 · 96 / 1000 = 28.8
        ((800, 1), (9000, 1), (64, 1)),  # never less than a pixel
    ],
)
def test_sizes_on_a_fixed_shape(size: tuple[int, int], given: tuple[int, int], expected: tuple[int, int]) -> None:
    assert shrink_to_fit(size, given, (64, 96)) == expected


def test_a_fixed_shape_is_filled_with_the_colour_of_padding() -> None:
    image = np.full((60, 30, 3), 200, np.uint8)
    fit = fit_image(60, 30, ResizeConfig(64, 96), fixed_shape=(64, 64))
    batch, sizes = prepare_batch([image], [fit], ResizeConfig(64, 96), (1.0, 2.0, 3.0))
    assert batch.shape == (1, 64, 64, 3)
    assert sizes.tolist() == [[64, 32]]
    assert (batch[0, :, :32] == 200).all()
    assert (batch[0, :, 32:] == [1, 2, 3]).all()


def test_a_batch_has_the_smallest_shape_that_holds_all() -> None:
    images = [np.full((64, 32, 3), 9, np.uint8), np.full((32, 64, 3), 7, np.uint8)]
    fits = [fit_image(64, 32, RULE), fit_image(32, 64, RULE)]  # 96 × 48 and 48 × 96
    assert [fit.batch_shape for fit in fits] == [(96, 64), (64, 96)]
    batch, sizes = prepare_batch(images, fits, RULE, (1.0, 2.0, 3.0))
    assert batch.shape == (2, 96, 96, 3)
    assert sizes.tolist() == [[96, 48], [48, 96]]
    assert (batch[1, :48] == 7).all()
    assert (batch[1, 48:] == [1, 2, 3]).all()


def test_a_short_batch_is_filled_up_with_its_last_row() -> None:
    rows = np.array([[1, 2], [3, 4]])
    assert fill_batch(rows, 4).tolist() == [[1, 2], [3, 4], [3, 4], [3, 4]]
    assert fill_batch(rows, 2) is rows
    assert fill_batch(rows, 1) is rows


def detections(boxes: list[list[float]]) -> dict[str, Any]:
    """A batch of one image with two rows of padding."""
    return {
        "boxes": np.array([[*boxes, [-1] * 4, [-1] * 4]], np.float32),
        "scores": np.array([[*[0.5] * len(boxes), -1, -1]], np.float32),
        "labels": np.array([[*[1] * len(boxes), -1, -1]], np.int32),
        "num_detections": np.array([len(boxes)]),
    }


def test_boxes_return_to_the_pixels_of_the_image_and_are_clipped() -> None:
    """The network saw the image twice as high and four times as wide."""
    batch = detections([[4, 4, 40, 20], [-8, -2, 90, 70]])
    found = restore_detections(batch, 0, scale=(2.0, 4.0), original=(30, 20))
    assert found["boxes"].tolist() == [[1, 2, 10, 10], [0, 0, 20, 30]]
    assert (found["scores"].tolist(), found["labels"].tolist()) == ([0.5, 0.5], [1, 1])
    assert (found["boxes"].dtype, found["scores"].dtype, found["labels"].dtype) == ("float32", "float32", "int32")


def test_the_whole_image_returns_as_the_whole_image() -> None:
    fit = fit_image(50, 91, RULE)
    height, width = fit.resized
    found = restore_by_fit(detections([[0, 0, width, height]]), 0, fit, RULE)
    np.testing.assert_allclose(found["boxes"], [[0, 0, 91, 50]], rtol=1e-6)
