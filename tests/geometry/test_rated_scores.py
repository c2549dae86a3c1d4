from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from keras_retinanet.geometry.filter_detections import FilterDetections, filter_detections
from keras_retinanet.geometry.rated_scores import RatedScores
from keras_retinanet.geometry.score_scale import ScoreScale

BOXES = np.array([[[0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10]]], np.float32)
SCORES = np.array([[[0.9, 0.1], [0.2, 0.8], [0.5, 0.4]]], np.float32)
QUALITY = np.array([[0.1, 0.5, 0.98]], np.float32)


def logit(p: np.ndarray) -> np.ndarray:
    return np.log(p / (1 - p)).astype(np.float32)


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [
        ("none", [0.9, 0.8, 0.5]),
        ("product", [0.49, 0.4, 0.09]),
        ("sqrt", [0.7, 0.632456, 0.3]),
    ],
)
@pytest.mark.parametrize("from_logits", [False, True])
def test_worked_by_hand(rule: Any, wanted: list[float], from_logits: bool) -> None:
    given = [logit(part) if from_logits else part for part in (SCORES, QUALITY)]
    settings: dict[str, Any] = {"quality_score": rule, "from_logits": from_logits, "nms": "agnostic"}
    found = filter_detections(BOXES, *given, score_threshold=0.05, max_detections=3, **settings)
    np.testing.assert_allclose(found["scores"][0], wanted, rtol=1e-4)
    assert np.asarray(found["labels"][0]).tolist() == [0, 1, 0]
    above = filter_detections(BOXES, *given, score_threshold=0.45, max_detections=3, **settings)
    assert int(above["num_detections"][0]) == sum(score > 0.45 for score in wanted)


def test_thresholds_of_classes_and_calibration_apply_to_what_is_combined() -> None:
    """Temperature 2 and bias 0: σ(z / 2); class 1 has a threshold above its only good box."""
    half = 1 / (1 + np.exp(-logit(SCORES) / 2))
    combined = np.sqrt(half * QUALITY[..., None])
    settings: dict[str, Any] = {"class_thresholds": (0.1, 0.9), "temperature": 2.0, "from_logits": True}
    found = filter_detections(BOXES, logit(SCORES), logit(QUALITY), max_detections=9, **settings)
    np.testing.assert_allclose(found["scores"][0, :3], np.sort(combined[0, :, 0])[::-1], rtol=1e-4)
    assert int(found["num_detections"][0]) == 3


def test_values_read_in_parts_are_those_of_all() -> None:
    rated = RatedScores(logit(SCORES), logit(QUALITY), "sqrt", ScoreScale(True))
    whole = np.asarray(rated.all())
    np.testing.assert_allclose(rated.best(), whole.max(-1), rtol=1e-6)
    np.testing.assert_allclose(rated.rows(np.array([[2, 0]])), whole[:, [2, 0]], rtol=1e-6)
    assert not rated.scale.from_logits
    plain = RatedScores(SCORES, QUALITY, "none", ScoreScale(False))
    np.testing.assert_array_equal(plain.all(), SCORES)


def test_extremes_and_other_rules() -> None:
    extreme = RatedScores(np.array([[[-np.inf, 6e4]]], np.float32), np.array([[-6e4]]), "sqrt", ScoreScale(True))
    np.testing.assert_array_equal(extreme.all(), [[[0, 0]]])
    with pytest.raises(ValueError, match="quality_score must be one of sqrt, product, none; received 'mean'"):
        RatedScores(SCORES, None, "mean", ScoreScale(False))  # type: ignore[arg-type]


def test_the_layer_takes_quality_and_stores_the_rule() -> None:
    layer = FilterDetections.from_config(FilterDetections(quality_score="product").get_config())
    found = layer(BOXES, SCORES, quality=QUALITY)
    np.testing.assert_allclose(found["scores"][0, 0], 0.49, rtol=1e-5)
