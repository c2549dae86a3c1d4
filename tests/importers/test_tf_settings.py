"""Settings of TensorFlow's detectors, and detectors of their layouts written without their libraries."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_retinanet.cli.import_checkpoint import main as import_main
from keras_retinanet.config import AnchorConfig, ModelConfig, ResizeConfig
from keras_retinanet.importers import CheckpointError, Overrides, describe_checkpoint, import_checkpoint
from keras_retinanet.importers.assemble import weighted_layers
from keras_retinanet.importers.tf_settings import Fields
from keras_retinanet.inference import load_model
from keras_retinanet.model.build import build

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
    from keras_retinanet.importers.blueprint import by_part
    from keras_retinanet.importers.tf_object_detection import _backbone_namer, _name_head_layer, _name_neck_layer

    place = by_part(_backbone_namer("mobilenet"), _name_neck_layer, _name_head_layer)
    rng = np.random.default_rng(seed)
    variables, arrays = {}, {}
    for path, layer in weighted_layers(blank):
        for weight in layer.weights:
            kind = weight.name
            if isinstance(layer, keras.layers.DepthwiseConv2D) and kind == "kernel":
                kind = "depthwise_kernel"
            value = rng.normal(0, 0.3, weight.shape).astype(np.float32)
            value = np.abs(value) + 1 if kind in ("gamma", "moving_variance") else value
            name = f"{place(path)}/{kind}"
            arrays[f"{path}/{kind}"] = value
            if name.startswith("backbone/"):
                inner = name.removeprefix("backbone/")
                name = f"_feature_extractor/classification_backbone/layer_with_weights-{len(variables)}/{kind}"
                variables[name] = tf.Variable(value, name=inner)
            else:
                variables[name] = tf.Variable(value, name=name)
    (folder / "checkpoint").mkdir()
    tf.train.Checkpoint(model=holder(variables)).save(str(folder / "checkpoint" / "ckpt"))
    return arrays


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
        ("depth: 8", "depth: 8 kernel_size: 5", "kernel_size is 5"),
        ("iou_threshold: 0.6", "iou_threshold: 0.6 use_class_agnostic_nms: true", "use_class_agnostic_nms is True"),
        ("model {", "model {{", "line 2"),
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
