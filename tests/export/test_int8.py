"""What becomes int8, and from which ranges: by hand, and on scenes large enough to show what 256 steps are worth."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import keras
import numpy as np
import pytest

from keras_retinanet import DetectionModel
from keras_retinanet.config import ExportConfig, FilterConfig, ResizeConfig
from keras_retinanet.demo.scenes import draw_scene
from keras_retinanet.export import FORMATS, Verification, built_in_samples
from keras_retinanet.export.int8 import network_scope, widest


@pytest.fixture(scope="module")
def detector(small_network: Any) -> DetectionModel:
    """Scores between 0.2 and 0.8, all 6,048 kept: numbers count, not who wins. Boxes are near their small anchors."""
    model = small_network(0.03, smallest=8.0, resize=ResizeConfig(128, 128, is_square=True))
    final = model.box_head.predictors[0]
    final.set_weights([weight / 4 for weight in final.get_weights()])
    return DetectionModel(model, FilterConfig(score_threshold=0.01, max_detections=6048, top_k=6048, nms="none"))


@pytest.mark.parametrize(
    ("operator", "is_small"),
    [
        ("retinanet/resnet10_050/stem_conv/convolution", True),
        ("retinanet_1/resnet10_050_1/stage2_block1_add_1/Add", True),
        ("retinanet_1/feature_pyramid_1/lateral3_1/BiasAdd", True),
        ("retinanet_1/box_head_1/tower_5/conv0_1/convolution", True),
        ("retinanet_1/resnet10_050_1/normalize_1/sub", False),
        ("retinanet_1/box_head_1/tower_5/norm0_1/add_1", False),
        ("retinanet_1/box_head_1/final_5/BiasAdd", False),
        ("retinanet_1/anchors_1/add_7", False),
        ("retinanet/anchors/add", False),
        ("box_coder_1/add_2", False),
        ("filter_detections_1/add_9", False),
    ],
)
def test_what_becomes_int8(operator: str, is_small: bool) -> None:
    """Names as the converters give them. In 256 steps anchors would move by a pixel or more."""
    named: Any = SimpleNamespace(network=SimpleNamespace(name="retinanet"))
    assert bool(re.match(network_scope(named), operator)) is is_small


def test_ranges_hold_all_that_was_seen() -> None:
    def span(low: float, high: float) -> dict[str, Any]:
        return {"min": np.array([low]), "max": np.array([high])}

    ranges: Any = {}
    for seen in ({"a": span(-1, 2), "b": span(0, 1)}, {"a": span(-3, 1), "c": {}}, {"a": span(0, 9), "c": span(5, 6)}):
        ranges = widest(ranges, seen)
    assert ranges == {"a": span(-3, 9), "b": span(0, 1), "c": span(5, 6)}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "suffix"), [("onnx", ".onnx"), ("litert", ".tflite")])
def test_detections_stay_where_they_were(
    detector: DetectionModel, tmp_path: Path, name: Literal["onnx", "litert"], suffix: str
) -> None:
    for package in {"onnx": ("onnx", "tf2onnx", "onnxruntime"), "litert": ("ai_edge_litert", "ai_edge_quantizer")}[
        name
    ]:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"needs {package}: pip install -e '.[test]'")
    (tmp_path / "photos").mkdir()
    for seed in range(6):
        keras.utils.save_img(tmp_path / "photos" / f"{seed}.png", draw_scene(seed).image, scale=False)
    settings = ExportConfig(dtype="int8", representative=str(tmp_path / "photos"))
    check = Verification(name, detector, "int8", built_in_samples())
    FORMATS[name](detector, tmp_path / f"out{suffix}", settings, check)
    assert check.agreement.detections > 2000
    assert check.agreement.share >= 0.95
    assert check.agreement.raw > 1e-5
