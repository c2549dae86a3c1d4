"""Snapshot and artefacts answer the same, in the pixels of each image."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from keras_retinanet import DetectionModel, build
from keras_retinanet.config import AnchorConfig, FilterConfig, ModelConfig, ResizeConfig
from keras_retinanet.export import FORMATS
from keras_retinanet.runtimes import RUNTIMES, Found, open_runtime

RANDOM = np.random.default_rng(1)
IMAGES = [RANDOM.integers(0, 256, size, np.uint8) for size in ((50, 91, 3), (120, 80, 3))]


@pytest.fixture(scope="module")
def detector() -> DetectionModel:
    """A small detector, whose scores spread around one half."""
    keras.utils.set_random_seed(2)
    model = build(
        ModelConfig("resnet10_050", "none", 3, 5, fpn_width=32, head_width=32, head_depth=1),
        class_names=["ant", "bee"],
        anchors=AnchorConfig((16.0, 32.0, 64.0), (8, 16, 32)),
        resize=ResizeConfig(64, 96),
    )
    final = model.class_head.finals[0]
    kernel, bias = final.get_weights()
    final.set_weights([np.random.default_rng(5).normal(0, 0.3, kernel.shape), 0 * bias])
    return DetectionModel(model, FilterConfig(score_threshold=0.5, max_detections=20))


@pytest.fixture(scope="module")
def wanted(detector: DetectionModel, tmp_path_factory: pytest.TempPathFactory) -> list[Found]:
    """What the snapshot detects."""
    path = tmp_path_factory.mktemp("snapshot") / "snapshot.keras"
    detector.save(path)
    snapshot = open_runtime(path)
    return [snapshot.detect([image])[0] for image in IMAGES]


@pytest.mark.parametrize("name", RUNTIMES)
def test_an_artefact_answers_as_its_model(
    detector: DetectionModel, wanted: list[Found], tmp_path: Path, name: str
) -> None:
    written = FORMATS[name](detector, tmp_path / ("out.keras" if name == "keras" else "out"))
    runtime = open_runtime(written)
    assert runtime.class_names == ("ant", "bee")
    assert runtime.resize == ResizeConfig(64, 96)
    for image, expected in zip(IMAGES, wanted, strict=True):
        (found,) = runtime.detect([image])
        assert len(found["scores"]) > 3
        np.testing.assert_array_equal(found["labels"], expected["labels"])
        np.testing.assert_allclose(found["scores"], expected["scores"], rtol=1e-5)
        np.testing.assert_allclose(found["boxes"], expected["boxes"], rtol=1e-5, atol=1e-3)
        assert found["boxes"].max(axis=0)[2] <= image.shape[1]
        assert found["boxes"].max(axis=0)[3] <= image.shape[0]
