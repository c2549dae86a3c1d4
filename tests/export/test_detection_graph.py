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
from keras_retinanet.export.detection_graph import describe, detection_graph
from keras_retinanet.runtimes import BatchRuntime, open_runtime
from keras_retinanet.runtimes.keras_file import KerasRuntime

SUFFIXES = {"keras": ".keras", "onnx": ".onnx", "litert": ".tflite"}


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
    found = detection_graph(detector, "ops", ExportConfig())(images, sizes)
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
    out = tmp_path / f"model{SUFFIXES.get(name, '')}"
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


def test_a_network_of_one_shape_has_no_other_input_size(detector: DetectionModel) -> None:
    stretched = ResizeConfig(shape=(64, 64), shape_mode="stretch", pad_multiple=1)
    own = DetectionModel(detector.network.replaced(resize_config=stretched))
    with pytest.raises(ValueError, match=r"stretched to 64 × 64 px, which is the only input.*--image-size 32 64"):
        detection_graph(own, "ops", ExportConfig(image_size=(32, 64)))
    graph = detection_graph(own, "ops", ExportConfig(image_size=(64, 64)))
    assert tuple(graph.input_signature[0].shape) == (None, 64, 64, 3)


class Graph(BatchRuntime):
    """A graph of this process in place of an artefact."""

    def __init__(self, detector: DetectionModel, settings: ExportConfig) -> None:
        super().__init__(describe(detector, settings))
        self.graph = detection_graph(detector, "ops", settings)

    def run(self, inputs: dict[str, Any]) -> dict[str, Any]:
        return {name: value.numpy() for name, value in self.graph(**inputs).items()}


@pytest.mark.parametrize("image_size", [None, (64, 96)])
def test_with_its_own_resize_it_answers_in_the_pixels_of_each_image(detector: DetectionModel, image_size: Any) -> None:
    """To 1e-3: TensorFlow adds in another order in a graph, and a pixel halfway between two values rounds elsewhere."""
    images = [np.random.default_rng(2).integers(0, 256, size, np.uint8) for size in ((50, 91, 3), (120, 80, 3))]
    runtime = Graph(detector, ExportConfig(image_size=image_size, has_resize=True))
    assert runtime.description.has_resize
    for image, found in zip(images, runtime.detect(images), strict=True):
        (wanted,) = KerasRuntime(detector, image_size).detect([image])
        assert len(wanted["scores"]) >= 5
        np.testing.assert_array_equal(found["labels"], wanted["labels"])
        np.testing.assert_allclose(found["scores"], wanted["scores"], rtol=1e-3)
        np.testing.assert_allclose(found["boxes"], wanted["boxes"], rtol=1e-3, atol=0.05)
    raw: Any = runtime.raw_outputs(images[0][None])
    assert set(raw) == {"deltas", "logits", "quality"}


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "int8"])
@pytest.mark.parametrize("name", ["onnx", "openvino", "litert"])
def test_every_format_resizes(detector: DetectionModel, name: Any, dtype: Any, tmp_path: Path) -> None:
    if dtype == "int8" and name == "openvino":
        pytest.importorskip("nncf", reason="needs nncf: pip install -e '.[nncf]'")
    representative = str(_write_samples(tmp_path / "images")) if dtype == "int8" else None
    settings = ExportConfig(dtype=dtype, representative=representative, has_resize=True)
    check = Verification(name, detector, dtype, built_in_samples())
    out = tmp_path / f"model{SUFFIXES.get(name, '')}"
    found = open_runtime(FORMATS[name](detector, out, settings, check))
    assert found.description.has_resize
    assert check.agreement.share >= 0.95
