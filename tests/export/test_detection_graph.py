"""Networks whose boxes are distributions and which predict the IoU, in every format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from keras_retinanet import DetectionModel, build
from keras_retinanet.config import AnchorConfig, ExportConfig, FilterConfig, ModelConfig, ResizeConfig
from keras_retinanet.export import FORMATS, Verification, built_in_samples
from keras_retinanet.export.detection_graph import detection_graph
from keras_retinanet.runtimes import open_runtime


@pytest.fixture(scope="module")
def detector() -> DetectionModel:
    keras.utils.set_random_seed(4)
    network = ModelConfig(
        "resnet10_050", "none", 3, 5, fpn_width=16, head_width=16, head_depth=1, head_norm="batch",
        box_coder="distribution", has_quality=True,
    )  # fmt: skip
    anchors = AnchorConfig((32.0, 64.0, 128.0), (8, 16, 32), (1.0,), (1.0,))
    model = build(
        network, class_names=["ant", "bee"], anchors=anchors, resize=ResizeConfig(64, 64, is_square=True),
        filter=FilterConfig(score_threshold=0.3, max_detections=20),
    )  # fmt: skip
    rng = np.random.default_rng(5)
    for final, spread in ((model.class_head.finals[0], 0.1), (model.box_head.finals[0], 0.1)):
        kernel, bias = final.get_weights()
        final.set_weights([rng.normal(0, spread, kernel.shape), 0 * bias])
    kernel, bias = model.box_head.quality_finals[0].get_weights()
    model.box_head.quality_finals[0].set_weights([rng.normal(0, 0.1, kernel.shape), bias + 1])
    return DetectionModel(model)


def test_the_graph_answers_what_the_model_answers(detector: DetectionModel) -> None:
    images = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype(np.float32)
    sizes = np.array([[64, 64], [50, 64]], np.float32)
    found = detection_graph(detector, "ops", None)(images, sizes)
    raw, wanted = detector.network.predict(images, verbose=0), detector({"images": images, "sizes": sizes})
    assert set(found) == {"boxes", "scores", "labels", "num_detections", "deltas", "logits", "quality"}
    assert raw["deltas"].shape[-1] == 4 * 17
    assert np.asarray(wanted["num_detections"]).min() >= 5
    for name, value in {**raw, **wanted}.items():
        np.testing.assert_allclose(found[name], np.asarray(value), rtol=1e-4, atol=1e-4)
    best = np.sqrt((1 / (1 + np.exp(-raw["logits"]))).max(-1) / (1 + np.exp(-raw["quality"][..., 0])))
    np.testing.assert_allclose(wanted["scores"][:, 0], best[:, :].max(-1), rtol=0.2)  # the best may lie outside


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
@pytest.mark.parametrize("name", FORMATS)
def test_every_format_keeps_them(detector: DetectionModel, name: Any, dtype: Any, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"dtype": dtype}
    if dtype == "int8":
        if name not in ("onnx", "litert"):
            pytest.skip(f"{name} has no int8")
        settings["representative"] = str(_write_samples(tmp_path / "images"))
    if dtype == "float16" and name == "litert":
        pytest.skip("as float32 but for its weights")
    suffix = {"keras": ".keras", "onnx": ".onnx", "litert": ".tflite"}.get(name, "")
    out = tmp_path / f"model{suffix}"
    check = Verification(name, detector, dtype, built_in_samples())
    path = FORMATS[name](detector, out, ExportConfig(**settings), check)
    images = np.random.default_rng(1).uniform(0, 255, (1, 64, 64, 3)).astype(np.float32)
    raw: Any = open_runtime(path).raw_outputs(images)
    assert {key: value.shape for key, value in raw.items()} == {
        "deltas": (1, 84, 68), "logits": (1, 84, 2), "quality": (1, 84, 1)
    }  # fmt: skip


def _write_samples(folder: Path) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(2)
    for index in range(4):
        keras.utils.save_img(folder / f"{index}.png", rng.uniform(0, 255, (64, 64, 3)))
    return folder
