"""Views of painted rectangles, whose boxes are known to the pixel."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keras_retinanet.config import FilterConfig, ResizeConfig, ViewConfig
from keras_retinanet.detection.detector import Detector
from keras_retinanet.detection.views import ViewsRuntime, scaled_rule

BOXES = [(5, 8, 40, 30), (60, 10, 90, 70)]


def test_a_mirrored_view_finds_the_same_boxes(paint: Callable[..., Any], painted_runtime: Any) -> None:
    runtime = painted_runtime()
    image = paint(80, 100, BOXES, (0, 2), (90, 60))
    (found,) = ViewsRuntime(runtime, ViewConfig(scales=(1.0,))).detect([image])
    np.testing.assert_allclose(found["boxes"], BOXES)
    np.testing.assert_allclose(found["scores"], [0.9, 0.6], rtol=1e-6)
    assert (found["labels"].tolist(), len(runtime.batches)) == ([0, 2], 2)


def test_a_runtime_that_resizes_itself_has_no_other_scales(painted_runtime: Any) -> None:
    with pytest.raises(ValueError, match="--tta 1 only mirrors"):
        ViewsRuntime(painted_runtime(), ViewConfig(scales=(0.8, 1.0)))
    with pytest.raises(ValueError, match="greater than 0"):
        ViewsRuntime(painted_runtime(), ViewConfig(scales=(-1.0,)))


def test_a_network_of_one_shape_has_no_other_scales(painted_runtime: Any) -> None:
    runtime = painted_runtime()
    stretched = ResizeConfig(shape=(300, 300), shape_mode="stretch")
    runtime.description = dataclasses.replace(runtime.description, resize=stretched)
    with pytest.raises(ValueError, match="Images are stretched to 300 × 300 px, so views of other sizes"):
        ViewsRuntime(runtime, ViewConfig(scales=(0.8, 1.0)))


def test_rules_are_scaled_by_both_sides() -> None:
    rule = scaled_rule(ResizeConfig(800, 1333), 0.5)
    assert (rule.min_side, rule.max_side) == (400, 666)


def test_a_detector_fuses_the_views_of_a_network(spread_model: Any) -> None:
    """Each of two scales and two sides is asked; what they agree on is found, in pixels of the image."""
    image = np.random.default_rng(3).integers(0, 255, (64, 90, 3), np.uint8)
    plain = Detector(spread_model, score_threshold=0.6).detect_one(image)
    same = Detector(spread_model, score_threshold=0.6, views=ViewConfig((1.0,), has_flip=False)).detect_one(image)
    assert len(same.scores)
    assert set(np.round(same.scores, 4)) <= set(np.round(plain.scores, 4)) or len(same.scores) <= len(plain.scores)
    fused = Detector(spread_model, score_threshold=0.3, views=ViewConfig((0.75, 1.0))).detect_one(image)
    assert len(fused.scores)
    assert (fused.boxes >= 0).all()
    assert (fused.boxes <= [90, 64, 90, 64]).all()
    assert len(fused.scores) <= spread_model.filter_config.max_detections


@pytest.fixture
def unsure(painted_runtime: Any) -> Callable[..., Any]:
    """`unsure(filter, is_fixed=False)`: finds one box of class 2, mirrored too, with scores of 0.5 and 0.1."""

    class Unsure(painted_runtime):  # type: ignore[misc]
        is_fixed = False

        def detect(self, images: Any, fits: Any = None, *, batch_size: Any = None) -> list[Any]:
            del fits, batch_size
            return [self._find(image) for image in images]

        def with_filter(self, filter: Any) -> Any:
            return None if self.is_fixed else type(self)(filter)

        def _find(self, image: Any) -> Any:
            is_mirrored = image[0, 0, 0] == 0
            box, score = ((30, 0, 40, 10), 0.1) if is_mirrored else ((0, 0, 10, 10), 0.5)
            least = [*self.filter.class_thresholds, *[self.filter.score_threshold] * 3][2]
            kept = [0] if score > least else []
            return {
                "boxes": np.array([box], np.float32)[kept],
                "scores": np.array([score], np.float32)[kept],
                "labels": np.array([2], np.int32)[kept],
            }

    def make(filter: FilterConfig, is_fixed: bool = False) -> Any:
        runtime = Unsure(filter)
        runtime.is_fixed = is_fixed
        return runtime

    return make


@pytest.mark.parametrize("is_fixed", [False, True])
@pytest.mark.parametrize(("threshold", "scores"), [(None, [0.3]), (0.05, [0.3]), (0.29, [0.3]), (0.31, [])])
def test_a_threshold_is_for_the_fused_score(
    unsure: Callable[..., Any], threshold: float | None, scores: list[float], is_fixed: bool
) -> None:
    """(0.5 + 0.1) / 2 = 0.3, whichever boxes are asked for, from a snapshot and from an exported model."""
    image = np.zeros((10, 40, 3), np.uint8)
    image[:, :10] = 255
    runtime = unsure(FilterConfig(0.05), is_fixed)
    found = Detector(runtime, score_threshold=threshold, views=ViewConfig((1.0,))).detect_one(image)
    assert found.scores.tolist() == pytest.approx(scores)


@pytest.mark.parametrize(("bee", "wasp", "scores"), [(0.9, 0.29, [0.3]), (0.01, 0.31, [])])
def test_thresholds_of_classes_are_for_the_fused_score(
    unsure: Callable[..., Any], tmp_path: Path, bee: float, wasp: float, scores: list[float]
) -> None:
    image = np.zeros((10, 40, 3), np.uint8)
    image[:, :10] = 255
    views = ViewConfig((1.0,))
    stored = Detector(unsure(FilterConfig(0.05, class_thresholds=(0.9, bee, wasp))), views=views).detect_one(image)
    assert stored.scores.tolist() == pytest.approx(scores)
    file = tmp_path / "thresholds.yaml"
    file.write_text(f"classes: {{ant: 0.9, bee: {max(bee, 0.05)}, wasp: {wasp}}}\n")
    for is_fixed in (False, True):
        runtime = unsure(FilterConfig(0.05), is_fixed)
        assert Detector(runtime, thresholds=file, views=views).detect_one(image).scores.tolist() == pytest.approx(
            scores
        )
