"""Counts worked by hand on one level of square anchors."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from keras_retinanet.config import AnchorConfig, ModelConfig
from keras_retinanet.model import retinanet
from keras_retinanet.training.anchor_coverage import Coverage, canvas_anchors, measure_coverage

ANCHORS = AnchorConfig(sizes=(32.0, 64.0, 128.0), strides=(8, 16, 32), ratios=(1.0,), scales=(1.0,))


@pytest.fixture(scope="module")
def model() -> retinanet.RetinaNet:
    config = ModelConfig(backbone="mobilenet_025", weights="none", max_level=5, fpn_width=8, head_width=8, head_depth=1)
    return retinanet.build(config, class_names=["thing"], anchors=ANCHORS)


def targets(boxes: list[list[float]], labels: list[int], ignore: list[bool] | None = None) -> dict[str, np.ndarray]:
    """One image of 64 × 96 pixels."""
    return {
        "boxes": np.array([boxes], np.float32),
        "labels": np.array([labels], np.int32),
        "ignore": np.array([ignore or [False] * len(labels)]),
        "size": np.array([[64.0, 96.0]], np.float32),
        "image_index": np.array([0], np.int32),
    }


@pytest.mark.parametrize(("height", "width"), [(64, 96), (65, 97), (203, 149)])
def test_anchors_of_a_canvas_are_those_of_the_model(model: retinanet.RetinaNet, height: int, width: int) -> None:
    levels = model(np.zeros((1, height, width, 3), np.float32))["anchors"]
    expected = np.concatenate([np.asarray(level)[0] for level in levels.values()])
    np.testing.assert_array_equal(np.concatenate(canvas_anchors(model, height, width)), expected)


def test_counts_by_hand(model: retinanet.RetinaNet) -> None:
    """Box 1 is an anchor of 32 px itself: those shifted by 8 px along one axis have IoU 24/40 = 0.6, those shifted
    along both 24²/(2·32² - 24²) = 0.39, by 16 px 0.33; so 5 positives. Box 2 of 4 × 4 px meets none; the ignore region
    and the padding do not count."""
    boxes = [[36 - 16, 36 - 16, 36 + 16, 36 + 16], [70, 10, 74, 14], [80, 40, 90, 50], [0, 0, 0, 0]]
    batch = targets(boxes, [0, 0, 0, -1], [False, False, True, False])
    coverage = measure_coverage(model, [(np.zeros((1, 64, 96, 3), np.float32), batch)] * 2)
    assert coverage == Coverage(images=2, boxes=4, positives=10, missed=2, missed_sides=4.0)
    assert coverage.missed_share == 0.5
    assert (
        "5.0 positive anchors an image; 2 of 4 boxes match no anchor (50.0%; 2 images looked at)" in coverage.describe()
    )
    advice = coverage.advice()
    assert advice is not None
    assert "50%" in advice
    assert "--anchor-sizes" in advice
    assert "median side is 4 px" in advice
    assert advice.endswith("or --force-match.")
    forced = dataclasses.replace(coverage, is_forced=True).advice()
    assert forced is not None
    assert forced.endswith("--image-max-side.")


def test_empty_images_worry_nobody(model: retinanet.RetinaNet) -> None:
    batch = targets([[0, 0, 0, 0]], [-1])
    coverage = measure_coverage(model, [(np.zeros((1, 64, 96, 3), np.float32), batch)])
    assert coverage == Coverage(images=1, boxes=0, positives=0, missed=0, missed_sides=0.0)
    assert coverage.advice() is None


def test_no_batches_at_all(model: retinanet.RetinaNet) -> None:
    assert measure_coverage(model, []).boxes == 0
