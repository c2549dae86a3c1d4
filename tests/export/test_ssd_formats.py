"""SSD in every format: default boxes, a head for each map, and scores of a softmax with background."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from keras_retinanet import DetectionModel, build
from keras_retinanet.backbones import ssd_vgg
from keras_retinanet.config import ExportConfig, FilterConfig, LossConfig, ModelConfig
from keras_retinanet.export import FORMATS, Verification, built_in_samples
from keras_retinanet.model.retinanet import RetinaNet
from keras_retinanet.runtimes import open_runtime
from keras_retinanet.runtimes.keras_file import KerasRuntime

SUFFIXES = {"keras": ".keras", "onnx": ".onnx", "litert": ".tflite"}
ARCHITECTURES = {"ssd300_vgg16": ("focal", 8732, 2), "ssdlite320_mobilenet_v3_large": ("multibox", 3234, 3)}
"""Loss, boxes and outputs per box."""


@pytest.fixture(scope="module", params=ARCHITECTURES)
def detector(request: pytest.FixtureRequest) -> DetectionModel:
    """Random weights; SSD300 with a few channels in its first blocks."""
    keras.utils.set_random_seed(7)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ssd_vgg, "BLOCKS", ((8, 1), (8, 1), (8, 1), (16, 1), (16, 1)))
        model = build(
            ModelConfig(weights="none", architecture=request.param), class_names=["ant", "bee"],
            loss=LossConfig(ARCHITECTURES[request.param][0], beta=1.0),
            filter=FilterConfig(score_threshold=0.5, max_detections=30, top_k=50, top_k_scope="class"),
        )  # fmt: skip
    _spread_outputs(model)
    return DetectionModel(model)


def _spread_outputs(model: RetinaNet) -> None:
    """Scales the last layers so that outputs of an image of noise have a deviation of 1.5 in each map."""
    side = model.resize_config.shape[0]
    found = model(np.random.default_rng(8).uniform(0, 255, (1, side, side, 3)).astype(np.float32))
    ends = np.cumsum([boxes.shape[1] for boxes in found["anchors"].values()])[:-1]
    for head, name in ((model.class_head, "logits"), (model.box_head, "deltas")):
        for final, values in zip(head.predictors, np.split(np.asarray(found[name]), ends, axis=1), strict=True):
            kernel, bias = final.get_weights()
            final.set_weights([kernel * 1.5 / np.std(values - np.mean(values, axis=1)), 0 * bias])


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_every_format_answers_what_the_snapshot_answers(detector: DetectionModel, name: Any, tmp_path: Path) -> None:
    """Counts and labels are equal, scores to 1e-4 and boxes to 0.1 px, on images of other shapes than the network's."""
    out = tmp_path / f"model{SUFFIXES.get(name, '')}"
    check = Verification(name, detector, "float32", built_in_samples())
    runtime = open_runtime(FORMATS[name](detector, out, ExportConfig(), check))
    images = [np.random.default_rng(9).integers(0, 256, size, np.uint8) for size in ((150, 310, 3), (300, 300, 3))]
    for image in images:
        (found,), (wanted,) = runtime.detect([image]), KerasRuntime(detector).detect([image])
        assert len(wanted["scores"]) >= 5
        np.testing.assert_array_equal(found["labels"], wanted["labels"])
        np.testing.assert_allclose(found["scores"], wanted["scores"], atol=1e-4)
        np.testing.assert_allclose(found["boxes"], wanted["boxes"], atol=0.1)
    _, boxes, outputs = ARCHITECTURES[detector.network.name]
    side = detector.network.resize_config.shape[0]
    raw: Any = runtime.raw_outputs(np.zeros((1, side, side, 3), np.float32))
    assert {key: value.shape[1:] for key, value in raw.items()} == {"deltas": (boxes, 4), "logits": (boxes, outputs)}


@pytest.mark.slow
def test_half_precision(detector: DetectionModel, tmp_path: Path) -> None:
    """The export compares its raw outputs and detections with the snapshot's, to the tolerance of its numbers."""
    if max(np.abs(weights).max() for weights in detector.network.get_weights()) > np.finfo(np.float16).max:
        pytest.skip("scaled to answers worth comparing, the random weights of the last layers exceed float16")
    check = Verification("onnx", detector, "float16", built_in_samples())
    path = FORMATS["onnx"](detector, tmp_path / "model.onnx", ExportConfig(dtype="float16"), check)
    assert open_runtime(path).description.class_names == ("ant", "bee")
