"""Settings of TensorFlow's detectors, and detectors of their layouts written without their libraries."""

from __future__ import annotations

import copy
import functools
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
import yaml
from PIL import Image

from keras_retinanet import Detector
from keras_retinanet.cli import convert_data, convert_model, evaluate, train
from keras_retinanet.cli.import_checkpoint import main as import_main
from keras_retinanet.config import AnchorConfig, ModelConfig, ResizeConfig
from keras_retinanet.data.preparation import fit_image
from keras_retinanet.importers import Blueprint, CheckpointError, Overrides, describe_checkpoint, import_checkpoint
from keras_retinanet.importers.assemble import weighted_layers
from keras_retinanet.importers.blueprint import by_part
from keras_retinanet.importers.tf_object_detection import _backbone_namer, _name_head_layer, _name_neck_layer
from keras_retinanet.importers.tf_settings import Fields
from keras_retinanet.inference import load_model
from keras_retinanet.model.build import build
from keras_retinanet.serving.model_versions import model_source

PIPELINE = """
model { ssd {
  num_classes: 2
  box_coder { faster_rcnn_box_coder { y_scale: 10.0 x_scale: 20.0 height_scale: 5.0 width_scale: 4.0 } }
  anchor_generator { multiscale_anchor_generator { anchor_scale: 3.0 aspect_ratios: [1.0, 2.0] scales_per_octave: 1 } }
  image_resizer { fixed_shape_resizer { height: 64 width: 96 } }
  box_predictor { weight_shared_convolutional_box_predictor {
    depth: 8 num_layers_before_predictor: 1 share_prediction_tower: true use_depthwise: true
    conv_hyperparams { activation: RELU_6 batch_norm { epsilon: 0.01 decay: 0.9 scale: true } } } }
  feature_extractor { type: 'ssd_mobilenet_v1_fpn_keras' use_depthwise: true
    fpn { min_level: 3 max_level: 7 additional_layer_depth: 8 }
    conv_hyperparams { activation: RELU_6 batch_norm { epsilon: 0.002 decay: 0.99 scale: true } }
    override_base_feature_extractor_hyperparams: true }
  post_processing { batch_non_max_suppression { score_threshold: 1e-8 iou_threshold: 0.6 max_detections_per_class: 10
    max_total_detections: 20 } score_converter: SIGMOID }
} }
"""


def holder(variables: Mapping[str, tf.Variable]) -> tf.Module:
    """Objects whose attributes lead to the variables: numbers are places in a list, as far as its ends are given."""
    root = tf.Module()
    inside: dict[str, dict[str, tf.Variable]] = {}
    for path, variable in variables.items():
        head, _, rest = path.partition("/")
        if rest:
            inside.setdefault(head, {})[rest] = variable
        else:
            root._track_trackable(variable, head)
    for head, below in inside.items():
        root._track_trackable(holder(below), head)
    return root


def optimizer_with(averages: Mapping[str, tf.Variable]) -> tf.Module:
    """What the checkpoint of an EMA optimizer is written from: averages by the names of their variables."""
    optimizer = tf.Module()
    optimizer.get_slot_names = lambda: ["average"]
    optimizer.get_slot = lambda variable, name: averages.get(variable.name.partition(":")[0])
    optimizer._create_or_restore_slot_variable = optimizer.get_slot
    return optimizer


def write_detector(folder: Path, seed: int = 0, columns: int = 3) -> dict[str, np.ndarray]:
    """A lite detector of the Object Detection API on a MobileNet, with random weights; its arrays by our names."""
    (folder / "pipeline.config").write_text(PIPELINE)
    blank = build(
        ModelConfig(
            "mobilenet", "none", fpn_width=8, head_width=8, head_depth=1, head_norm="batch", p6_source="P5",
            stride_padding="same", fpn_norm="batch", has_fpn_bias=False, has_top_output=False, is_fpn_separable=True,
            is_head_separable=True, has_shared_tower=True,
        ),
        class_names=[str(index) for index in range(columns)],
        anchors=AnchorConfig(ratios=(1.0, 0.5), scales=(1.0,)),
    )  # fmt: skip

    place = by_part(_backbone_namer("mobilenet"), _name_neck_layer, _name_head_layer)
    rng = np.random.default_rng(seed)
    variables, arrays = {}, {}
    for path, layer in weighted_layers(blank):
        for weight in layer.weights:
            kind = weight.name
            if isinstance(layer, keras.layers.DepthwiseConv2D) and kind == "kernel":
                kind = "depthwise_kernel"
            value = rng.standard_normal(weight.shape).astype(np.float32)
            if value.ndim == 4:  # so that neither maps nor rounding errors grow from layer to layer
                fan = value[..., 0].size if "depthwise" not in kind else 9
                value *= np.sqrt(2 / fan)
            else:
                value = 0.1 * (np.abs(value) + 10 if kind in ("gamma", "moving_variance") else value)
            name = f"{place(path)}/{kind}"
            arrays[f"{path}/{kind}"] = value
            if name.startswith("backbone/"):
                inner = name.removeprefix("backbone/")
                name = f"_feature_extractor/classification_backbone/layer_with_weights-{len(variables)}/{kind}"
                variables[name] = tf.Variable(value, name=inner)
            else:
                variables[name] = tf.Variable(value, name=name)
    (folder / "checkpoint").mkdir()
    name = "_box_predictor/_box_prediction_head/_box_encoder_layers/0/bias"
    optimizer = optimizer_with({name: tf.Variable(variables[name] + 1)})
    tf.train.Checkpoint(model=holder(variables), optimizer=optimizer).save(str(folder / "checkpoint" / "ckpt"))
    return arrays


def test_averages_are_read_where_the_library_evaluates_with_them(detector, tmp_path) -> None:
    """The file has an average, one more than the weight, of the biases of the boxes alone."""
    folder, arrays = detector
    bias, kernel = (arrays[f"box_head/final/{kind}"] for kind in ("bias", "pointwise_kernel"))
    place = "_box_predictor/_box_prediction_head/_box_encoder_layers/0"
    file = tmp_path / "pipeline.config"
    for value, said, expected in (("true", "were taken", bias + 1), ("false", "were left out", bias)):
        file.write_text(PIPELINE + f"eval_config {{ use_moving_averages: {value} }}")
        found = describe_checkpoint(folder, overrides=Overrides(config_file=file))
        assert any(f"averages of the weights {said}" in note for note in found.notes)
        np.testing.assert_array_equal(found.tensors[f"{place}/bias"], expected)
        np.testing.assert_array_equal(found.tensors[f"{place}/pointwise_kernel"], kernel)


@pytest.fixture(scope="module")
def detector(tmp_path_factory) -> tuple[Path, dict[str, np.ndarray]]:
    folder = tmp_path_factory.mktemp("lite")
    return folder, write_detector(folder)


def test_a_lite_detector_is_read_completely(detector) -> None:
    folder, arrays = detector
    model, report, blueprint = import_checkpoint(folder)
    assert report.missing == report.unused == ()
    assert blueprint.model == ModelConfig(
        "mobilenet", "none", p6_source="P5", stride_padding="same", has_relu_before_p7=False, fpn_width=8, head_width=8,
        head_depth=1, head_norm="batch", head_norm_epsilon=0.01, activation="relu6", norm_momentum=0.9,
        fpn_norm="batch", fpn_norm_epsilon=0.002, has_fpn_bias=False, has_fpn_activation=True, fpn_carried="output",
        has_top_output=False, extra_input="finished", is_fpn_separable=True, is_head_separable=True,
        has_shared_tower=True,
    )  # fmt: skip
    assert blueprint.anchors == AnchorConfig(
        sizes=(24, 48, 96, 192, 384), ratios=(1.0, 0.5), scales=(1.0,), offset_rule="divisible"
    )
    assert blueprint.resize == ResizeConfig(shape=(64, 96), shape_mode="stretch", method="tf1", pad_multiple=1)
    assert model.box_coder.std == (0.05, 0.1, 0.25, 0.2)
    assert model.class_names == ("class_0", "class_1")
    norm = model.backbone.get_layer("conv_dw_1_bn")
    assert norm.epsilon == 0.002
    np.testing.assert_array_equal(norm.gamma, arrays["backbone/conv_dw_1_bn/gamma"])
    kernel = arrays["class_head/final/pointwise_kernel"].reshape(8, 2, 3)[..., 1:].reshape(1, 1, 8, 4)
    np.testing.assert_array_equal(model.class_head.predictors[0].pointwise_kernel, kernel)
    boxes = arrays["box_head/final/bias"].reshape(2, 4)[:, [1, 0, 3, 2]].reshape(-1)
    np.testing.assert_array_equal(model.box_head.predictors[0].bias, boxes)
    np.testing.assert_array_equal(model.neck.level_norms[2][0].beta, arrays["tower/norm0_2/beta"])


def test_label_maps_name_the_columns(detector, tmp_path) -> None:
    """Column 0 is the background; the id 1 has no name, so its column is left out."""
    folder, arrays = detector
    (tmp_path / "pipeline.config").write_text(PIPELINE)
    (tmp_path / "label_map.pbtxt").write_text("item { id: 2 name: 'n02' display_name: 'cat' }")
    overrides = Overrides(config_file=tmp_path / "pipeline.config")
    model, _, _ = import_checkpoint(folder / "checkpoint" / "ckpt-1", overrides=overrides)
    assert model.class_names == ("cat",)
    bias = arrays["class_head/final/bias"].reshape(2, 3)[:, 2]
    np.testing.assert_array_equal(model.class_head.predictors[0].bias, bias)


def test_the_label_map_that_the_settings_name(detector, tmp_path) -> None:
    """Its path is relative to the folder in which the training ran, here two above the settings."""
    place = tmp_path / "models" / "mine"
    place.mkdir(parents=True)
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "map.pbtxt").write_text("item { id: 1 name: 'ant' } item { id: 2 name: 'bee' }")
    overrides = Overrides(config_file=place / "pipeline.config")
    for named, expected in (("annotations/map.pbtxt", ("ant", "bee")), ("gone/map.pbtxt", ("class_0", "class_1"))):
        reader = f"train_input_reader {{ label_map_path: '{named}' }}"
        (place / "pipeline.config").write_text(f"{PIPELINE}\n{reader}")
        assert describe_checkpoint(detector[0], overrides=overrides).class_names == expected


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("SIGMOID", "SOFTMAX", "score_converter is SOFTMAX"),
        ("ssd_mobilenet_v1_fpn_keras", "ssd_efficientnet-b0_bifpn_keras", "ssd_efficientnet-b0_bifpn_keras"),
        ("num_classes: 2", "num_classes: 7", "names 7 classes"),
        ("model { ssd", "model { faster_rcnn", "is faster_rcnn; ssd"),
        ("multiscale_anchor_generator", "ssd_anchor_generator", "ssd_anchor_generator"),
        ("faster_rcnn_box_coder", "mean_stddev_box_coder", "mean_stddev_box_coder"),
        ("height: 64", "height: 64 resize_method: AREA", "resize_method is 'AREA'"),
        ("anchor_scale: 3.0", "anchor_scale: 'big'", "anchor_scale is 'big'"),
        ("scales_per_octave: 1", "scales_per_octave: 4", "2 anchors per cell"),
        ("RELU_6 batch_norm { epsilon: 0.01", "SIGMOID batch_norm { epsilon: 0.01", "activation is SIGMOID"),
        ("RELU_6 batch_norm { epsilon: 0.01", "RELU batch_norm { epsilon: 0.01", "relu6 and relu"),
        ("depth: 8 num", "depth: 8 kernel_size: 5 num", "kernel_size is 5"),
        ("iou_threshold: 0.6", "iou_threshold: 0.6 soft_nms_sigma: 0.5", "soft_nms_sigma is 0.5"),
        ("iou_threshold: 0.6", "iou_threshold: 0.6 iou_treshold: 0.5", "suppression.iou_treshold is not known"),
        ("model { ssd {", "model { ssd { mask_head_config { mask_height: 5 }", "ssd.mask_head_config is not known"),
        (
            "use_depthwise: true\n    fpn",
            "use_depthwise: true use_explicit_padding: true fpn",
            "use_explicit_padding is T",
        ),
        ("fpn { min_level: 3", "fpn { min_level: 2", "min_level is 3, max_level is 7; those of the feature"),
        ("fpn { min_level: 3", "fpn { min_level: 4", "fpn: min_level is 4"),
        (
            "RELU_6 batch_norm { epsilon: 0.01",
            "RELU_6 group_norm { } batch_norm { epsilon: 0.01",
            "group_norm is not known",
        ),
        (
            "score_converter: SIGMOID",
            "score_converter: SIGMOID calibration_config { }",
            "calibration_config is not known",
        ),
        ("model {", "model {{", "line 2"),
        ("y_scale: 10.0", "y_scale: 0.0", "y_scale is 0; it has to be greater than 0"),
        ("aspect_ratios: [1.0, 2.0]", "aspect_ratios: [1.0, -2.0]", "aspect_ratios is -2"),
    ],
)
def test_what_cannot_be_imported_is_named(detector, tmp_path, old: str, new: str, said: str) -> None:
    assert old in PIPELINE
    (tmp_path / "pipeline.config").write_text(PIPELINE.replace(old, new))
    with pytest.raises(CheckpointError, match=re.escape(said)):
        describe_checkpoint(detector[0], overrides=Overrides(config_file=tmp_path / "pipeline.config"))


def test_images_that_keep_their_proportions(detector, tmp_path) -> None:
    resizer = "keep_aspect_ratio_resizer { min_dimension: 64 max_dimension: 96 }"
    text = PIPELINE.replace("fixed_shape_resizer { height: 64 width: 96 }", resizer)
    text = text.replace("use_depthwise: true\n    fpn", "use_depthwise: true pad_to_multiple: 32\n    fpn")
    (tmp_path / "pipeline.config").write_text(text)
    blueprint = describe_checkpoint(detector[0], overrides=Overrides(config_file=tmp_path / "pipeline.config"))
    assert blueprint.resize == ResizeConfig(64, 96, rounding="even", method="tf1", pad_multiple=32)
    assert blueprint.anchors.offset_rule == "always", "the sides are not known before"


def test_images_that_are_padded_to_a_square(detector, tmp_path) -> None:
    """No side is longer than 96 pixels, so a multiple of 96 is 96. Offsets follow the sides, known before."""
    file, padded = tmp_path / "pipeline.config", "max_dimension: 96 pad_to_max_dimension: true"

    def describe(more: str = "", pad: str = "") -> Blueprint:
        resizer = f"keep_aspect_ratio_resizer {{ min_dimension: 64 {padded} {more} }}"
        text = PIPELINE.replace("fixed_shape_resizer { height: 64 width: 96 }", resizer)
        file.write_text(text.replace("use_depthwise: true\n    fpn", f"use_depthwise: true {pad} fpn"))
        return describe_checkpoint(detector[0], overrides=Overrides(config_file=file))

    blueprint = describe()
    assert blueprint.resize == ResizeConfig(64, 96, rounding="even", method="tf1", pad_multiple=96)
    assert blueprint.anchors.offset_rule == "divisible"
    assert fit_image(100, 100, blueprint.resize).batch_shape == (96, 96)
    for more, pad, said in (
        ("per_channel_pad_value: 9", "", "per_channel_pad_value"),
        ("", "pad_to_multiple: 64", "64"),
    ):
        with pytest.raises(CheckpointError, match=said):
            describe(more, pad)


def test_norms_and_suppression_of_other_kinds(detector, tmp_path) -> None:
    text = PIPELINE.replace("batch_norm { epsilon: 0.002", "sync_batch_norm { epsilon: 0.002")
    text = text.replace("iou_threshold: 0.6", "iou_threshold: 0.6 use_class_agnostic_nms: true")
    (tmp_path / "pipeline.config").write_text(text)
    blueprint = describe_checkpoint(detector[0], overrides=Overrides(config_file=tmp_path / "pipeline.config"))
    assert (blueprint.model.fpn_norm_epsilon, blueprint.backbone_options["norm_epsilon"]) == (0.002, 0.002)
    assert (blueprint.filter.nms, blueprint.filter.max_per_class) == ("agnostic", None)


def test_settings_that_are_missing(detector, tmp_path) -> None:
    for file in (detector[0] / "checkpoint").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    with pytest.raises(CheckpointError, match=r"no pipeline\.config in its folder or above\. Give --weights-config"):
        describe_checkpoint(tmp_path / "ckpt-1")
    with pytest.raises(CheckpointError, match="There is no file"):
        describe_checkpoint(tmp_path / "ckpt-1", overrides=Overrides(config_file=tmp_path / "pipeline.config"))


def test_the_command_writes_a_snapshot(detector, tmp_path, capsys) -> None:
    out = tmp_path / "lite.keras"
    arguments = [str(detector[0] / "checkpoint" / "ckpt-1"), str(out), "--verify"]
    assert import_main(arguments) == 0
    shown = capsys.readouterr().out
    assert "source    tf_object_detection" in shown
    assert " 0 unused, 0 missing" in shown
    assert load_model(out).backbone.get_layer("normalize").mean == (127.5, 127.5, 127.5)


@pytest.mark.slow
def test_four_commands(detector, tmp_path, capsys) -> None:
    """Evaluate, fine-tune on the records of the Object Detection API, convert, answer."""
    write_coco(tmp_path / "coco")
    records = tmp_path / "records"
    assert convert_data.main([f"coco:{tmp_path / 'coco'}", str(records), "--to", "tfrecord"]) == 0
    checkpoint = str(detector[0] / "checkpoint" / "ckpt-1")
    assert evaluate.main([str(records), "--set", "train", str(detector[0]), "--batch-size", "2"]) == 0
    words = ["--weights", checkpoint, "--epochs", "1", "--steps", "1", "--batch-size", "1", "--augment", "none"]
    words += ["--mixed-precision", "none"]  # exports compute in float32, which the snapshot is compared with
    words += ["--weights-config", str(detector[0] / "pipeline.config"), "--snapshot-path", str(tmp_path / "runs")]
    assert train.main([str(records), *words]) == 0
    assert "logits kept for 2 classes" in capsys.readouterr().out
    (run,) = (tmp_path / "runs").iterdir()
    tuned = load_model(run / "last.keras", compile=False)
    assert tuned.box_coder.std == (0.05, 0.1, 0.25, 0.2)
    assert tuned.anchors.offset_rule == "divisible"
    assert tuned.resize_config.shape == (64, 96)
    assert tuned.backbone.get_layer("normalize").mean == (127.5, 127.5, 127.5)
    image = np.asarray(Image.open(tmp_path / "coco" / "train" / "a.png"))
    wanted = Detector(run / "last.keras").detect_one(image)
    for name, file in (("saved_model", "served"), ("onnx", "a.onnx"), ("openvino", "ov"), ("litert", "a.tflite")):
        assert convert_model.main([str(run / "last.keras"), str(tmp_path / file), "--format", name]) == 0
        opened = model_source(str(tmp_path / file)).newest().open()  # as `retinanet-serve` opens it
        (found,) = opened.detect([image])
        count = min(10, len(wanted.scores))
        np.testing.assert_allclose(found["scores"][:count], wanted.scores[:count], atol=1e-3)


def write_coco(folder: Path) -> None:
    rng = np.random.default_rng(0)
    (folder / "train").mkdir(parents=True)
    images = [{"id": index, "file_name": f"{name}.png", "width": 90, "height": 60} for index, name in enumerate("ab")]
    for image in images:
        Image.fromarray(rng.integers(0, 256, (60, 90, 3), np.uint8)).save(folder / "train" / image["file_name"])
    boxes = [(0, 1, [5, 5, 40, 40]), (1, 2, [20, 10, 50, 45])]
    annotations = [
        {"id": index, "image_id": image, "category_id": label, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
        for index, (image, label, box) in enumerate(boxes)
    ]
    categories = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    (folder / "annotations").mkdir()
    table = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "annotations" / "instances_train.json").write_text(json.dumps(table))


PARAMS: dict[str, Any] = {
    "model": {
        "anchor": {"anchor_size": 4.0, "aspect_ratios": [0.5, 1.0, 2.0], "num_scales": 3},
        "backbone": {"type": "resnet", "resnet": {"model_id": 18}},
        "decoder": {"type": "fpn", "fpn": {"num_filters": 256}},
        "detection_generator": {"max_num_detections": 50, "box_coder_weights": [10.0, 20.0, 5.0, 4.0]},
        "head": {"num_convs": 4}, "input_size": [64, 96, 3], "max_level": 7, "min_level": 3,
        "norm_activation": {"activation": "swish", "norm_epsilon": 0.01}, "num_classes": 4,
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def garden(tmp_path_factory) -> Path:
    """What the importer reads before it builds anything: the shapes of a few kernels."""
    folder = tmp_path_factory.mktemp("garden")
    (folder / "params.yaml").write_text(yaml.safe_dump({"task": PARAMS}))
    shapes = {
        "head/_classifier/kernel": (3, 3, 8, 36), "head/_box_regressor/kernel": (3, 3, 8, 36),
        "head/_box_convs/0/kernel": (3, 3, 8, 8), "decoder/lateral/kernel": (1, 1, 512, 8),
        "backbone/layer_with_weights-0/kernel": (7, 7, 3, 64),
    }  # fmt: skip
    names = {"decoder/lateral/kernel": "lateral_5/kernel"}
    variables = {path: tf.Variable(tf.zeros(shape), name=names.get(path, path)) for path, shape in shapes.items()}
    parts = {part: holder(_below(variables, part)) for part in ("head", "decoder", "backbone")}
    tf.train.Checkpoint(**parts, global_step=tf.Variable(1)).save(str(folder / "ckpt"))
    return folder


@pytest.mark.parametrize(
    ("name", "expected"), [("ckpt-7", 9), ("average_weights-7", 1), ("best_ckpt-7", 1)], ids=["ckpt", "ema", "best"]
)
def test_averages_of_model_garden_are_its_weights(garden, tmp_path, name: str, expected: float) -> None:
    """The last two are written with weights and averages swapped, so that a slot then holds the weight of training."""
    kernels = {
        part: tf.Variable(tf.ones((3, 3, 8, 36)), name=f"head/{part}/kernel")
        for part in ("_classifier", "_box_regressor")
    }
    other = {"_box_convs/0/kernel": tf.Variable(tf.ones((3, 3, 8, 8)), name="tower")}
    head = holder({**{f"{part}/kernel": kernel for part, kernel in kernels.items()}, **other})
    optimizer = optimizer_with({kernel.name.partition(":")[0]: tf.Variable(9 * kernel) for kernel in kernels.values()})
    below = {
        "decoder": {"lateral/kernel": tf.Variable(tf.zeros((1, 1, 512, 8)), name="lateral_5/kernel")},
        "backbone": {"layer_with_weights-0/kernel": tf.Variable(tf.zeros((7, 7, 3, 64)))},
    }
    parts = {part: holder(variables) for part, variables in below.items()}
    tf.train.Checkpoint(head=head, optimizer=optimizer, **parts).write(str(tmp_path / name))
    found = describe_checkpoint(tmp_path / name, overrides=Overrides(config_file=garden / "params.yaml"))
    for part in kernels:
        assert (found.tensors[f"head/{part}/kernel"] == expected).all()
    assert (found.tensors["head/_box_convs/0/kernel"] == 1).all(), "it has no average"
    assert any("averages" in note for note in found.notes)


def _below(variables: Mapping[str, tf.Variable], part: str) -> dict[str, tf.Variable]:
    return {path.partition("/")[2]: value for path, value in variables.items() if path.startswith(f"{part}/")}


def test_settings_of_model_garden(garden) -> None:
    blueprint = describe_checkpoint(garden)
    assert blueprint.source == "model_garden"
    assert blueprint.model == ModelConfig(
        "resnet18", "none", p6_source="P5", stride_padding="same", fpn_width=8, head_width=8, head_norm="batch",
        head_norm_epsilon=0.01, has_head_bias=True, activation="swish", fpn_norm="batch", fpn_norm_epsilon=0.01,
    )  # fmt: skip
    assert blueprint.anchors == AnchorConfig(ratios=(2.0, 1.0, 0.5))
    assert blueprint.anchor_order == (0, 3, 6, 1, 4, 7, 2, 5, 8)
    assert blueprint.kept_classes == (1, 2, 3), "column 0 is the background"
    assert blueprint.box_coder["std"] == (0.05, 0.1, 0.25, 0.2)
    assert blueprint.resize == ResizeConfig(shape=(64, 96), rounding="even", method="float", pad_multiple=128)
    assert (blueprint.filter.max_per_class, blueprint.filter.top_k_scope) == (50, "class")
    assert blueprint.place("backbone/stage3_block1_shortcut_conv") == "backbone/layer_with_weights-4/_shortcut"
    assert blueprint.place("box_head/norm2_4") == "head/_box_norms/4/2"
    assert blueprint.place("neck/norm6") == "decoder/norm_6"


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("backbone/type", "spinenet", "is a spinenet"),
        ("backbone/resnet/model_id", 10, "ResNet-10; 18, 34, 50"),
        ("backbone/resnet/se_ratio", 0.25, "se_ratio is 0.25"),
        ("backbone/resnet/stem_type", "v1", "stem_type is 'v1'"),
        ("decoder/type", "nasfpn", "is a nasfpn"),
        ("decoder/fpn/fusion_type", "concat", "fusion_type is 'concat'"),
        ("head/share_level_convs", False, "share_level_convs is False"),
        ("head/attribute_heads", [{"name": "depth"}], "attribute_heads"),
        ("norm_activation/activation", "mish", "'mish'"),
        ("num_classes", 9, "names 9 classes"),
        ("input_size", [], "no height and width"),
        ("min_level", 4, "min_level is 4"),
        ("head/num_conv", 3, "head.num_conv is not known"),
        ("backbone/resnet/dropout", 0.5, "resnet.dropout is not known"),
        ("detection_generator/nms_version", "v3", "nms_version is 'v3'"),
        ("detection_generator/soft_nms_sigma", 0.5, "soft_nms_sigma is 0.5"),
        ("anchor/num_scales", 2, "9 anchors per cell"),
        ("anchor/aspect_ratios", [0.0, 1.0, 2.0], "aspect_ratios is 0"),
        ("detection_generator/box_coder_weights", [1.0, 1.0], "has 2 numbers; four are needed"),
    ],
)
def test_what_cannot_be_imported_from_model_garden_is_named(garden, tmp_path, path: str, value: Any, said: str) -> None:
    task = copy.deepcopy(PARAMS)
    *above, last = path.split("/")
    functools.reduce(lambda inside, name: inside.setdefault(name, {}), above, task["model"])[last] = value
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({"task": task}))
    with pytest.raises(CheckpointError, match=re.escape(said)):
        describe_checkpoint(garden, overrides=Overrides(config_file=tmp_path / "params.yaml"))


def test_fields_have_types_and_defaults() -> None:
    fields = Fields({"a": [1, 2], "b": True, "m": [{"x": 3}], "n": [1, 2.5]}, "file")
    assert fields.get("a", 0) == 2
    assert fields.get("a", 0.0) == 2.0
    assert fields.get("c", "none") == "none"
    assert fields.message("m").get("x", 0) == 3
    assert fields.message("absent").names == ()
    assert fields.numbers("n", ()) == (1.0, 2.5)
    for call in (
        lambda: fields.get("b", "text"), lambda: fields.message("a"), lambda: fields.numbers("b", ()),
        lambda: fields.only("z"), lambda: fields.require({"a": 1}),
    ):  # fmt: skip
        with pytest.raises(CheckpointError, match="file"):
            call()
