"""Weights of KerasCV's RetinaNet: by the names that it writes, and against the library where it is installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

from keras_retinanet.importers import CheckpointError, describe_checkpoint, import_checkpoint
from keras_retinanet.importers.keras_hub import order_convolutions
from keras_retinanet.model.detection_model import DetectionModel

CLASSES = 3
SIDE = 128


def shapes(classes: int) -> dict[str, tuple[int, ...]]:
    """The arrays that KerasCV 0.9 writes for a ResNet-18, with 64 in place of 256 channels."""
    found: dict[str, tuple[int, ...]] = {}

    def add(name: str, *shape: int, has_bias: bool = True) -> None:
        found[f"{name}/vars/0"] = shape
        found.update({f"{name}/vars/1": shape[-1:]} if has_bias else {})

    inputs = {0: 3, 1: 64}
    encoder = "layers/functional/layers/"
    for index, (stage, block, number) in enumerate(order_convolutions("resnet18")):
        own = 64 if stage == 0 else 32 * 2 ** (stage - 1)
        size = 7 if stage == 0 else 1 if number == 0 else 3
        is_first = stage > 2 and block == 1 and number in (0, 1)
        tail = f"_{index}" if index else ""
        add(f"{encoder}conv2d{tail}", size, size, inputs.get(index, own // 2 if is_first else own), own, has_bias=False)
        found |= {f"{encoder}batch_normalization{tail}/vars/{part}": (own,) for part in range(4)}
    for level, channels in ((3, 128), (4, 256), (5, 512)):
        add(f"layers/feature_pyramid/conv_c{level}_1x1", 1, 1, channels, 64)
        add(f"layers/feature_pyramid/conv_c{level}_3x3", 3, 3, 64, 64)
    add("layers/feature_pyramid/conv_c6_3x3", 3, 3, 512, 64)
    add("layers/feature_pyramid/conv_c7_3x3", 3, 3, 64, 64)
    for head, outputs in (("prediction_head", 36), ("prediction_head_1", 9 * classes)):
        for tail in ("", "_1", "_2"):
            add(f"layers/{head}/conv_layers/conv2d{tail}", 3, 3, 64, 64)
        add(f"layers/{head}/prediction_layer", 3, 3, 64, outputs)
    return found


def write(path: Path, table: dict[str, tuple[int, ...]]) -> Path:
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        for name, shape in table.items():
            file[name] = (0.1 * rng.standard_normal(shape)).astype(np.float32)
    return path


def test_every_array_has_its_place(tmp_path: Path) -> None:
    path = write(tmp_path / "a.weights.h5", shapes(CLASSES))
    model, report, blueprint = import_checkpoint(path)
    assert (blueprint.source, report.unused, report.missing) == ("keras_cv", (), ())
    assert (model.anchors.is_clipped, model.box_coder.std, model.class_head.depth) == (True, (0.1, 0.1, 0.2, 0.2), 3)
    with h5py.File(path) as file:  # (dy, dx, dh, dw) of 3 ratios in each of 3 scales become (dx, …), ratio by ratio
        stored = file["layers/prediction_head/prediction_layer/vars/1"][()].reshape(3, 3, 4)
        np.testing.assert_array_equal(
            np.asarray(model.box_head.predictors[0].bias).reshape(3, 3, 4), stored.swapaxes(0, 1)[..., [1, 0, 3, 2]]
        )
        shortcut = file["layers/functional/layers/conv2d_6/vars/0"][()]
    np.testing.assert_array_equal(model.backbone.get_layer("stage3_block1_shortcut_conv").kernel, shortcut)


def test_another_backbone_is_named(tmp_path: Path) -> None:
    table = {name: shape for name, shape in shapes(CLASSES).items() if "conv2d_19" not in name}
    with pytest.raises(CheckpointError, match=r"19 convolutions; KerasCV's ResNet-18"):
        describe_checkpoint(write(tmp_path / "a.weights.h5", table))


def test_the_head_of_boxes_comes_first_unless_its_size_says_otherwise(tmp_path: Path) -> None:
    table = shapes(4)  # 36 outputs in both
    assert (
        describe_checkpoint(write(tmp_path / "a.weights.h5", table))
        .place("box_head/final")
        .endswith("head/prediction_layer")
    )
    for name in [name for name in table if "head/prediction_layer" in name]:
        other = name.replace("prediction_head/", "prediction_head_1/")
        table[name], table[other] = (*table[other][:-1], 45), table[name]
    assert (
        describe_checkpoint(write(tmp_path / "b.weights.h5", table))
        .place("box_head/final")
        .endswith("head_1/prediction_layer")
    )


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("blocks", ["basic_block", pytest.param("block", marks=pytest.mark.slow)])
def test_equals_the_library(blocks: str, tmp_path: Path) -> None:
    keras_cv: Any = pytest.importorskip("keras_cv")
    backbone = keras_cv.models.ResNetBackbone(
        stackwise_filters=[64, 128, 256, 512],
        stackwise_blocks=[2, 2, 2, 2] if blocks == "basic_block" else [3, 4, 6, 3],
        stackwise_strides=[1, 2, 2, 2], include_rescaling=True, block_type=blocks,
    )  # fmt: skip
    theirs = keras_cv.models.RetinaNet(backbone=backbone, num_classes=CLASSES, bounding_box_format="xyxy")
    rng = np.random.default_rng(0)
    for variable in theirs.weights:
        z = rng.standard_normal(variable.shape).astype(np.float32)
        if len(variable.shape) == 4:
            gain = 0.1 if variable.shape[-1] in (36, 9 * CLASSES) else 1.5
            variable.assign(z * np.sqrt(gain / np.prod(variable.shape[:-1])))
        elif variable.name in ("gamma", "moving_variance"):
            variable.assign(0.5 + 0.1 * np.abs(z))
        else:
            variable.assign(0.1 * z)
    theirs.save_weights(tmp_path / "a.weights.h5")
    ours, report, _ = import_checkpoint(tmp_path / "a.weights.h5")
    assert report.unused == report.missing == ()
    images = rng.uniform(0, 255, (1, SIDE, SIDE, 3)).astype(np.float32)
    expected, found = theirs(images), ours(images)
    order = np.arange(9).reshape(3, 3).T.ravel()
    for name, key, columns, tolerance in (
        ("deltas", "box", [1, 0, 3, 2], 1e-4),
        ("logits", "classification", [0, 1, 2], 1e-3),
    ):
        wanted = np.asarray(expected[key])[0]
        wanted = wanted.reshape(-1, 9, wanted.shape[-1])[:, order][..., columns].reshape(wanted.shape)
        np.testing.assert_allclose(np.asarray(found[name])[0], wanted, atol=tolerance)
    wanted = theirs.decode_predictions(expected, images)
    detections = DetectionModel(ours)(images)
    count = int(wanted["num_detections"][0])
    assert int(detections["num_detections"][0]) == count > 3
    np.testing.assert_allclose(detections["boxes"][0, :count], wanted["boxes"][0, :count], atol=2e-2)
    np.testing.assert_array_equal(detections["labels"][0, :count], wanted["classes"][0, :count])
    np.testing.assert_allclose(detections["scores"][0, :count], wanted["confidence"][0, :count], atol=2e-4)
    keras.backend.clear_session()
