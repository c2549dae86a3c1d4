"""What a new run takes over from a snapshot."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from keras_retinanet import retinanet
from keras_retinanet.config import TrainConfig
from keras_retinanet.config_tree import changed
from keras_retinanet.inference import DetectionModel
from keras_retinanet.snapshot_settings import read_settings
from keras_retinanet.starting_weights import build_model

SETTINGS = {
    "model.backbone": "resnet10_050",
    "model.weights": "none",
    "model.fpn_width": 8,
    "model.head_width": 8,
    "model.head_depth": 1,
    "anchors.sizes": (16.0, 32.0, 64.0, 128.0, 256.0),
    "anchors.ratios": (0.5, 2.0),
    "resize.min_side": 100,
    "resize.max_side": 200,
}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> tuple[retinanet.RetinaNet, Path]:
    config = changed(TrainConfig(), SETTINGS)
    model = build_model(config, ["cat", "dog"])
    path = tmp_path_factory.mktemp("source") / "best.keras"
    model.save(path)
    return model, path


def arrays(layer: keras.Layer) -> list[np.ndarray]:
    return [variable.numpy() for variable in layer.weights]


def test_settings_are_read_without_opening_the_model(source: tuple[retinanet.RetinaNet, Path]) -> None:
    found = read_settings(source[1])
    assert "model.weights" not in found
    config = changed(TrainConfig(), {**found, "model.weights": "none"})
    expected = changed(TrainConfig(), SETTINGS)
    assert (config.model, config.anchors, config.resize) == (expected.model, expected.anchors, expected.resize)


def test_other_files_have_no_settings(tmp_path: Path) -> None:
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save(tmp_path / "other.keras")
    (tmp_path / "text").write_text("x")
    for name in ("other.keras", "text", "missing"):
        assert read_settings(tmp_path / name) == {}


def test_a_snapshot_of_the_same_classes_gives_all_its_weights(source: tuple[retinanet.RetinaNet, Path]) -> None:
    lines: list[str] = []
    model = build_model(changed(TrainConfig(), SETTINGS | {"model.weights": str(source[1])}), ["a", "b"], lines.append)
    assert lines == []
    assert model.class_names == ("a", "b")
    image = np.random.default_rng(0).uniform(0, 255, (1, 64, 96, 3)).astype(np.float32)
    ours, theirs = model(image), source[0](image)
    for name in ("deltas", "logits"):
        np.testing.assert_allclose(ours[name], theirs[name], atol=1e-6)


def test_other_classes_get_a_new_last_layer_and_the_rest_is_kept(source: tuple[retinanet.RetinaNet, Path]) -> None:
    lines: list[str] = []
    config = changed(TrainConfig(), SETTINGS | {"model.weights": str(source[1])})
    model = build_model(config, ["one", "two", "three"], lines.append)
    (line,) = lines
    assert "class_head" in line
    assert "final" in line
    assert "neck" not in line
    assert "box_head" not in line
    for part in ("backbone", "neck", "box_head"):
        for ours, theirs in zip(arrays(getattr(model, part)), arrays(getattr(source[0], part)), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    assert model.class_head.values == 3


def test_pretrained_batch_normalisation_is_frozen(source: tuple[retinanet.RetinaNet, Path]) -> None:
    config = changed(TrainConfig(), SETTINGS | {"model.weights": str(source[1])})
    model = build_model(config, ["cat", "dog"])
    norms = [layer for layer in model.backbone._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)]
    assert norms
    assert not any(layer.trainable for layer in norms)


def test_an_inference_model_serves_too(source: tuple[retinanet.RetinaNet, Path], tmp_path: Path) -> None:
    detector = DetectionModel(source[0])
    detector(np.zeros((1, 64, 64, 3), np.float32))
    detector.save(tmp_path / "detector.keras")
    config = changed(TrainConfig(), SETTINGS | {"model.weights": str(tmp_path / "detector.keras")})
    model = build_model(config, ["cat", "dog"])
    np.testing.assert_array_equal(arrays(model.neck)[0], arrays(source[0].neck)[0])


def test_backbone_weights_are_told_apart_by_content(source: tuple[retinanet.RetinaNet, Path], tmp_path: Path) -> None:
    source[0].backbone.save_weights(tmp_path / "some.weights.h5")
    model = build_model(changed(TrainConfig(), SETTINGS | {"model.weights": str(tmp_path / "some.weights.h5")}), ["a"])
    for ours, theirs in zip(arrays(model.backbone), arrays(source[0].backbone), strict=True):
        np.testing.assert_array_equal(ours, theirs)
