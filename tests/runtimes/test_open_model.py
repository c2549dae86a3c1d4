"""Which boxes a model must answer so that all that was asked for can be chosen from them."""

from __future__ import annotations

import pytest

from keras_retinanet.config import FilterConfig
from keras_retinanet.model.detection_model import DetectionModel
from keras_retinanet.model.retinanet import RetinaNet
from keras_retinanet.runtimes.keras_file import KerasRuntime
from keras_retinanet.runtimes.open_model import open_model, with_thresholds


@pytest.mark.parametrize(
    ("built_in", "asked", "is_tiled", "answered"),
    [
        (0.1, 0.8, False, 0.8),
        (0.1, 0.8, True, 0.4),  # boxes of half the score asked for still show that a better one is a fragment
        (0.6, 0.8, True, 0.6),  # but none that the model does not answer by itself
        (0.1, 0.04, True, 0.04),
    ],
)
def test_in_tiles_boxes_of_half_the_score_take_part_in_merging(
    spread_model: RetinaNet, built_in: float, asked: float, is_tiled: bool, answered: float
) -> None:
    runtime = KerasRuntime(DetectionModel(spread_model, FilterConfig(built_in, max_detections=8)))
    changed = with_thresholds(runtime, {"score_threshold": asked, "max_detections": 3}, is_tiled=is_tiled)
    assert changed.filter.score_threshold == pytest.approx(answered)
    assert changed.filter.max_detections == 8


def test_a_missing_artefact() -> None:
    with pytest.raises(FileNotFoundError, match=r"no snapshot or exported model 'none\.onnx'"):
        open_model("none.onnx")
