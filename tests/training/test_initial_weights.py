"""What a new run takes over from a snapshot."""

from __future__ import annotations

import math
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_retinanet.config import TrainConfig
from keras_retinanet.config.tree import changed
from keras_retinanet.framework_internals import nested_layers
from keras_retinanet.geometry.box_coder import BoxCoder
from keras_retinanet.model import retinanet
from keras_retinanet.model.build import build
from keras_retinanet.model.class_transfer import copy_logits
from keras_retinanet.model.detection_model import DetectionModel
from keras_retinanet.snapshots.snapshot_settings import read_settings
from keras_retinanet.training.initial_weights import build_model

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
    model = build_model(config.network, ["cat", "dog"])
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
    config = changed(TrainConfig(), SETTINGS | {"model.weights": str(source[1])})
    model = build_model(config.network, ["cat", "dog"], lines.append)
    assert lines == ["logits kept for 2 classes (cat, dog)"]
    assert model.class_names == ("cat", "dog")
    image = np.random.default_rng(0).uniform(0, 255, (1, 64, 96, 3)).astype(np.float32)
    ours, theirs = model(image), source[0](image)
    for name in ("deltas", "logits"):
        np.testing.assert_allclose(ours[name], theirs[name], atol=1e-6)


def test_maps_that_the_source_takes_elsewhere(tmp_path: Path) -> None:
    """The laterals have other channels than those of the same backbone by its name (FPNLite on MobileNetV2)."""
    settings = SETTINGS | {"model.backbone": "mobilenet_025"}
    config = changed(TrainConfig(), settings).network
    options = {"taps": {"C3": "conv_pw_3_relu"}, "widths": {"conv_pw_13": 24}}
    source = build(config.model, class_names=["cat"], anchors=config.anchors, backbone_options=options)
    source.save(tmp_path / "source.keras")
    lines: list[str] = []
    weights = {"model.weights": str(tmp_path / "source.keras")}
    model = build_model(changed(TrainConfig(), settings | weights).network, ["cat"], lines.append)
    assert lines == ["logits kept for 1 class (cat)"]
    assert [lateral.kernel.shape[2] for lateral in model.neck.laterals.values()] == [32, 128, 24]
    for ours, theirs in zip(arrays(model.neck), arrays(source.neck), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def by_class(model: retinanet.RetinaNet) -> np.ndarray:
    """Kernel of the last convolution of the class head, classes last."""
    kernel = arrays(model.class_head.predictors[0])[0]
    return kernel.reshape(-1, model.num_classes)


def test_classes_with_equal_names_keep_their_logits(source: tuple[retinanet.RetinaNet, Path]) -> None:
    lines: list[str] = []
    config = changed(TrainConfig(), SETTINGS | {"model.weights": str(source[1])})
    model = build_model(config.network, ["bird", "dog", "fish"], lines.append)
    assert lines == ["logits kept for 1 class (dog); new for 2 classes (bird, fish)"]
    np.testing.assert_array_equal(by_class(model)[:, 1], by_class(source[0])[:, 1])
    bias = arrays(model.class_head.predictors[0])[1].reshape(-1, 3)
    np.testing.assert_allclose(bias[:, [0, 2]], -np.log(99), rtol=1e-6)  # begin at a probability of 0.01
    for part in ("backbone", "neck", "box_head"):
        for ours, theirs in zip(arrays(getattr(model, part)), arrays(getattr(source[0], part)), strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_other_anchors_get_new_last_layers(source: tuple[retinanet.RetinaNet, Path]) -> None:
    lines: list[str] = []
    settings = SETTINGS | {"model.weights": str(source[1]), "anchors.ratios": (1.0,)}
    build_model(changed(TrainConfig(), settings).network, ["cat", "dog"], lines.append)
    assert any("box_head" in line and "final" in line for line in lines)
    assert any(line.startswith("new logits for all classes") for line in lines)


def test_fine_tuning_keeps_the_box_coder_of_the_source(
    source: tuple[retinanet.RetinaNet, Path], tmp_path: Path
) -> None:
    """Its head has learned deltas in units of `std`; read with others, every box would be wrong.

    By hand, on an anchor of 10 × 20 px centred at (5, 10): dx = 1 · 0.1 moves it by 1 px, dy = -1 · 0.1 by -2 px; dw =
    10 · 0.2 is cut to log 2, which doubles the width; dh = -10 · 0.2 is cut to -log 4, which quarters the height.
    """
    limits = {"max_log_scale": math.log(2), "min_log_scale": -math.log(4)}
    coder = BoxCoder("center", (0.1, 0.1, 0.2, 0.2), **limits, name="regress_boxes")
    parts = {"box_coder": keras.layers.serialize(coder)}
    retinanet.RetinaNet.from_config(source[0].get_config() | parts).save(tmp_path / "own_coder.keras")
    config = changed(TrainConfig(), SETTINGS | {"model.weights": str(tmp_path / "own_coder.keras")})
    kept = build_model(config, ["cat", "dog"]).box_coder
    found = kept(np.array([[[1, -1, 10, -10]]], np.float32), np.array([[[0, 0, 10, 20]]], np.float32))
    np.testing.assert_allclose(found[0], [[6 - 10, 8 - 2.5, 6 + 10, 8 + 2.5]], rtol=1e-6)
    anchor, box = np.array([[[0, 0, 20, 20]]], np.float32), np.array([[[6, 8, 26, 28]]], np.float32)
    np.testing.assert_allclose(kept.encode(box, anchor), [[[3, 4, 0, 0]]], atol=1e-6)  # 6 and 8 px over 20 px over 0.1


def test_another_box_coder_is_that_of_the_new_run(source: tuple[retinanet.RetinaNet, Path]) -> None:
    settings = SETTINGS | {"model.weights": str(source[1]), "model.box_coder": "corner"}
    coder = build_model(changed(TrainConfig(), settings), ["cat", "dog"]).box_coder
    assert (coder.coder, coder.std) == ("corner", (0.2, 0.2, 0.2, 0.2))


def test_another_backbone_is_refused(source: tuple[retinanet.RetinaNet, Path]) -> None:
    settings = SETTINGS | {"model.weights": str(source[1]), "model.backbone": "resnet18"}
    with pytest.raises(ValueError, match=r"has the backbone resnet10_050, not resnet18"):
        build_model(changed(TrainConfig(), settings).network, ["cat", "dog"])


def test_pretrained_batch_normalisation_is_frozen(source: tuple[retinanet.RetinaNet, Path]) -> None:
    config = changed(TrainConfig(), SETTINGS | {"model.weights": str(source[1])})
    model = build_model(config.network, ["cat", "dog"])
    norms = [layer for layer in nested_layers(model.backbone) if isinstance(layer, keras.layers.BatchNormalization)]
    assert norms
    assert not any(layer.trainable for layer in norms)


def test_a_frozen_backbone_learns_again_in_the_next_run(
    source: tuple[retinanet.RetinaNet, Path], tmp_path: Path
) -> None:
    frozen = retinanet.RetinaNet.from_config(source[0].get_config())
    frozen.backbone.trainable = False
    frozen.save(tmp_path / "frozen.keras")
    config = changed(TrainConfig(), SETTINGS | {"model.weights": str(tmp_path / "frozen.keras")})
    model = build_model(config.network, ["cat", "dog"])
    kernels = [layer for layer in nested_layers(model.backbone) if isinstance(layer, keras.layers.Conv2D)]
    assert len(model.backbone.trainable_variables) == len(kernels) > 5


@pytest.mark.parametrize(("before", "after"), [("float32", "mixed_bfloat16"), ("mixed_bfloat16", "float32")])
def test_the_backbone_computes_in_the_dtype_of_the_new_run(before: str, after: str, tmp_path: Path) -> None:
    keras.config.set_dtype_policy(before)
    try:
        build_model(changed(TrainConfig(), SETTINGS).network, ["cat"]).save(tmp_path / "before.keras")
        keras.config.set_dtype_policy(after)
        config = changed(TrainConfig(), SETTINGS | {"model.weights": str(tmp_path / "before.keras")})
        model = build_model(config.network, ["cat"])
    finally:
        keras.config.set_dtype_policy("float32")
    layers = {layer.name: layer.dtype_policy.name for layer in model.backbone.layers}
    assert layers.pop("normalize") == "float32"
    assert set(layers.values()) == {after}
    assert model.metadata["model"]["weights"] == str(tmp_path / "before.keras")


def test_a_run_s_folder_stands_for_its_snapshot(source: tuple[retinanet.RetinaNet, Path]) -> None:
    config = changed(TrainConfig(), SETTINGS | {"model.weights": str(source[1].parent)})
    model = build_model(config.network, ["cat", "dog"])
    np.testing.assert_array_equal(arrays(model.neck)[0], arrays(source[0].neck)[0])


def test_an_inference_model_serves_too(source: tuple[retinanet.RetinaNet, Path], tmp_path: Path) -> None:
    detector = DetectionModel(source[0])
    detector(np.zeros((1, 64, 64, 3), np.float32))
    detector.save(tmp_path / "detector.keras")
    assert read_settings(tmp_path / "detector.keras") == read_settings(source[1])
    config = changed(TrainConfig(), SETTINGS | {"model.weights": str(tmp_path / "detector.keras")})
    model = build_model(config.network, ["cat", "dog"])
    np.testing.assert_array_equal(arrays(model.neck)[0], arrays(source[0].neck)[0])


def test_backbone_weights_are_told_apart_by_content(source: tuple[retinanet.RetinaNet, Path], tmp_path: Path) -> None:
    source[0].backbone.save_weights(tmp_path / "some.weights.h5")
    model = build_model(
        changed(TrainConfig(), SETTINGS | {"model.weights": str(tmp_path / "some.weights.h5")}).network, ["a"]
    )
    for ours, theirs in zip(arrays(model.backbone), arrays(source[0].backbone), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_logits_with_a_background_go_to_another_such_head_alone() -> None:
    """Three outputs per anchor: cat, dog, background; to four: dog, fish, bird, background."""
    with_softmax = changed(TrainConfig(), SETTINGS | {"loss.classification": "softmax_cross_entropy"}).network
    source, target = build_model(with_softmax, ["cat", "dog"]), build_model(with_softmax, ["dog", "fish", "bird"])
    given = np.random.default_rng(0).normal(size=source.class_head.predictors[0].bias.shape)
    source.class_head.predictors[0].bias.assign(given)
    assert list(copy_logits(source, target)) == ["logits kept for 1 class (dog); new for 2 classes (fish, bird)"]
    taken = arrays(target.class_head.predictors[0])[1].reshape(-1, 4)
    np.testing.assert_allclose(taken[:, [0, 3]], given.reshape(-1, 3)[:, [1, 2]], rtol=1e-6)
    plain = build_model(changed(TrainConfig(), SETTINGS).network, ["cat", "dog"])
    assert list(copy_logits(plain, target)) == [
        "new logits for all classes: those of the starting weights know no background"
    ]
    (line,) = copy_logits(source, plain)
    assert line.endswith("are relative to a background")
