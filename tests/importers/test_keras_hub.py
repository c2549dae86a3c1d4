"""A preset that KerasHub itself writes, against what KerasHub answers."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest

from keras_retinanet.config import FilterConfig
from keras_retinanet.importers import CheckpointError, describe_checkpoint, import_checkpoint
from keras_retinanet.importers.keras_hub import _find_resnet, _read_filter, _read_preprocessing, order_convolutions
from keras_retinanet.model.detection_model import DetectionModel

SIDE = 96


def randomize(model: Any) -> None:
    rng = np.random.default_rng(0)
    for variable in model.weights:
        z = rng.standard_normal(variable.shape).astype(np.float32)
        if len(variable.shape) == 4:
            variable.assign(z * np.sqrt(2 / np.prod(variable.shape[:-1])))
        elif variable.name == "gamma":
            variable.assign((1 + 0.1 * z) * 0.5)
        elif variable.name == "moving_variance":
            variable.assign(1 + 0.2 * np.abs(z))
        else:
            variable.assign(0.1 * z)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A detector of KerasHub on ResNet-18 with group normalisation in its heads, and its preset."""
    # KerasHub uses private names of Keras, so that a release of it may not be importable with the next Keras
    keras_hub = pytest.importorskip("keras_hub", exc_type=ImportError)
    encoder = keras_hub.models.ResNetBackbone(
        [64], [7], [64, 128, 256, 512], [2, 2, 2, 2], [1, 2, 2, 2], "basic_block", image_shape=(None, None, 3)
    )
    backbone = keras_hub.models.RetinaNetBackbone(encoder, 3, 7, use_p5=True, image_shape=(None, None, 3))
    converter = keras_hub.layers.RetinaNetImageConverter(
        image_size=(SIDE, SIDE), scale=[1 / 58, 1 / 57, 1 / 56], offset=[-2.1, -2.0, -1.8],
        crop_to_aspect_ratio=False, pad_to_aspect_ratio=True,
    )  # fmt: skip
    preprocessor = keras_hub.models.RetinaNetObjectDetectorPreprocessor(image_converter=converter)
    model = keras_hub.models.RetinaNetObjectDetector(
        backbone, num_classes=3, use_prediction_head_norm=True, preprocessor=preprocessor
    )
    randomize(model)
    folder = tmp_path_factory.mktemp("hub") / "preset"
    model.save_to_preset(str(folder))
    return SimpleNamespace(model=model, converter=converter, folder=folder, imported=import_checkpoint(folder))


def test_every_tensor_has_its_place(hub: SimpleNamespace) -> None:
    assert hub.imported.report.unused == hub.imported.report.missing == ()
    assert hub.imported.blueprint.source == "keras_hub"
    assert hub.imported.blueprint.model.backbone == "resnet18"
    assert hub.imported.model.filter_config.score_threshold == 0.5
    coder = hub.imported.model.box_coder
    assert (coder.coder, coder.std) == ("center", (1, 1, 1, 1))
    assert (coder.max_log_scale, coder.min_log_scale) == (None, None), "KerasHub decodes boxes of any size"


@pytest.mark.parametrize("sides", [(96, 96), (64, 160)])
def test_raw_answers_and_detections(sides: tuple[int, int], hub: SimpleNamespace) -> None:
    images = np.random.default_rng(1).integers(0, 256, (1, *sides, 3)).astype(np.float32)
    prepared = images * np.float32(hub.converter.scale) + np.float32(hub.converter.offset)
    theirs = hub.model(prepared)
    ours = hub.imported.model(images)
    np.testing.assert_allclose(ours["logits"], theirs["cls_logits"], atol=1e-3)
    np.testing.assert_allclose(ours["deltas"], theirs["bbox_regression"], atol=1e-4)
    expected = hub.model.decode_predictions(theirs, prepared)
    expected = {name: np.asarray(value)[0] for name, value in expected.items()}
    found = {name: np.asarray(value)[0] for name, value in DetectionModel(hub.imported.model)(images).items()}
    count = int(found["num_detections"])
    assert count == int(expected["num_detections"]) > 5
    np.testing.assert_array_equal(found["labels"][:count], expected["labels"][:count])
    boxes = expected["boxes"][:count][:, [1, 0, 3, 2]]
    np.testing.assert_allclose(found["boxes"][:count], boxes, atol=2e-2)


def test_an_image_of_the_presets_size_is_normalised_alike(hub: SimpleNamespace) -> None:
    image = np.random.default_rng(2).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    theirs = np.asarray(hub.converter(image.astype(np.float32)[None]))
    ours = np.asarray(hub.imported.model.backbone.get_layer("normalize")(image[None]))
    np.testing.assert_allclose(ours, theirs, atol=1e-4)
    assert hub.imported.model.resize_config.max_side == SIDE


def test_the_order_of_a_block_with_a_shortcut() -> None:
    """As KerasHub numbers `stack0_block0_{1, 2, 0, 3}_conv`, then the next block."""
    assert order_convolutions("resnet50")[:8] == [
        (0, 0, 0), (2, 1, 1), (2, 1, 2), (2, 1, 0), (2, 1, 3), (2, 2, 1), (2, 2, 2), (2, 2, 3),
    ]  # fmt: skip
    assert len(order_convolutions("resnet50")) == 53
    assert order_convolutions("resnet18")[:6] == [(0, 0, 0), (2, 1, 1), (2, 1, 2), (2, 2, 1), (2, 2, 2), (3, 1, 1)]


def test_other_folders_and_broken_presets(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="holds no RetinaNet"):
        describe_checkpoint(tmp_path)
    task = {"class_name": "RetinaNetObjectDetector", "config": {"backbone": {"class_name": "X", "config": {}}}}
    (tmp_path / "task.json").write_text(json.dumps(task))
    for name in ("model.weights.h5", "task.weights.h5"):
        keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save_weights(tmp_path / name)
    with pytest.raises(CheckpointError, match=r"task\.json lacks"):
        describe_checkpoint(tmp_path)


def test_image_converters_of_every_form(tmp_path: Path) -> None:
    def images(**converter: Any) -> Any:
        return _read_preprocessing(
            tmp_path, {"preprocessor": {"config": {"image_converter": {"config": converter}}}}, notes
        )

    notes: list[str] = []
    resize, pixels = images(scale=1 / 255, offset=None, image_size=[320, 512], pad_to_aspect_ratio=True)
    assert (resize.max_side, resize.is_square, resize.antialias) == (512, True, False)
    assert images(antialias=True)[0].antialias
    assert pixels.std == pytest.approx((255, 255, 255))
    assert pixels.mean == pytest.approx((0, 0, 0))
    assert images(scale=[0.5, 0.25, 0.1], offset=[-1, -2, 3])[1].mean == pytest.approx((2, 8, -30))
    assert ["320×512, centred on black" in note or "stretched" in note for note in notes] == [True] * 3
    for wrong in ({"scale": [1, 2]}, {"offset": "x"}, {"image_size": 512}, {"scale": -1}):
        with pytest.raises(CheckpointError, match=r"It (normalises|makes) images"):
            images(**wrong)


def test_thresholds_may_be_numbers_of_any_kind() -> None:
    found = _read_filter({"confidence_threshold": 1, "iou_threshold": 0.5, "max_detections": 50.0})
    assert found == FilterConfig(1.0, 0.5, 50, 5000, nms="agnostic", clip="never")
    assert type(found.max_detections) is int


def test_other_networks_are_refused_by_what_they_are() -> None:
    encoder = {
        "input_conv_filters": [64], "input_conv_kernel_sizes": [7], "stackwise_num_filters": [64, 128, 256, 512],
        "stackwise_num_strides": [1, 2, 2, 2], "use_pre_activation": False, "block_type": "basic_block",
        "stackwise_num_blocks": [2, 2, 2, 2],
    }  # fmt: skip
    parts = {"image_encoder": {"class_name": "ResNetBackbone"}}
    kind = {"class_name": "RetinaNetBackbone"}
    assert _find_resnet(kind, encoder, parts) == "resnet18"
    with pytest.raises(CheckpointError, match="pyramid has batch normalisation"):
        _find_resnet(kind, encoder, parts | {"use_fpn_batch_norm": True})
    with pytest.raises(CheckpointError, match=r"another one than ResNet-18.*'use_pre_activation': True"):
        _find_resnet(kind, encoder | {"use_pre_activation": True}, parts)
    with pytest.raises(CheckpointError, match="on a DenseNetBackbone"):
        _find_resnet(kind, encoder, {"image_encoder": {"class_name": "DenseNetBackbone"}})
