"""RetinaNet of TensorFlow's Object Detection API, "SSD … FPN": checkpoints of TensorFlow 2 and exported detectors.

Its pyramid carries the finished level down and leaves P5 without a 3x3 convolution; every convolution of pyramid and
heads is followed by batch normalisation, in the heads with its own weights on each level. Images are stretched without
half-pixel centres; boxes are (y, x, h, w); the first class is the background.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from keras_retinanet.backbones.normalize import TF, PixelStatistics
from keras_retinanet.backbones.resnet_names import place_of
from keras_retinanet.config import BackboneName, ModelConfig
from keras_retinanet.importers.blueprint import KERAS_SPELLING, Blueprint, CheckpointError, Overrides, by_part
from keras_retinanet.importers.class_lists import CLASS_LISTS
from keras_retinanet.importers.head_shapes import (
    count_anchors_and_classes,
    find_anchors,
    find_classes,
    replaced,
    shape_of,
)
from keras_retinanet.importers.tf_pipeline_config import (
    SETTINGS,
    Norm,
    read_anchors,
    read_box_std,
    read_extractor,
    read_filter,
    read_label_map,
    read_norm,
    read_pipeline,
    read_predictor,
    read_resize,
    uses_averages,
)
from keras_retinanet.importers.tf_settings import Fields, find_settings, read_levels
from keras_retinanet.weight_files.tf_checkpoint import TfCheckpoint
from keras_retinanet.weight_files.weight_file import WeightFile

VGG_MEAN = PixelStatistics((123.68, 116.779, 103.939), (1.0, 1.0, 1.0))
"""Mean subtracted, red first."""
BACKBONES: dict[str, BackboneName] = {
    "ssd_resnet50_v1_fpn_keras": "resnet50",
    "ssd_resnet101_v1_fpn_keras": "resnet101",
    "ssd_resnet152_v1_fpn_keras": "resnet152",
    "ssd_mobilenet_v1_fpn_keras": "mobilenet",
    "ssd_mobilenet_v2_fpn_keras": "mobilenet_v2",
}
"""Type of the feature extractor → backbone."""
_TAPS = {"C2": "block_2_add", "C3": "block_5_add", "C4": "block_12_add", "C5": "out_relu"}
"""Where MobileNetV2's maps are taken."""
_ROOTS = ("model", "_model")
_FPN = "_feature_extractor/_fpn_features_generator/"
_COARSE = "_feature_extractor/_coarse_feature_layers/"
_TOWERS = "_box_predictor/_head_scope_conv_layers/"
_NORMS = "_box_predictor/_base_tower_layers_for_heads/"
_FINALS = {
    "box_head": "_box_predictor/_box_prediction_head/_box_encoder_layers/0",
    "class_head": "_box_predictor/_prediction_heads/class_predictions_with_background/_class_predictor_layers/0",
}
_BOXES, _CLASSES = "box_encodings", "class_predictions_with_background"
_TOWER_OF = {
    "box_head": ("BoxPredictionTower", _BOXES),
    "class_head": ("ClassPredictionTower", _CLASSES),
    "tower": ("PredictionTower", _BOXES),
}
_CLASSIFIER = "_feature_extractor/classification_backbone/"


def recognises(file: WeightFile) -> bool:
    """Whether the variables are those of a detector of the Object Detection API."""
    return file.tf is not None and _find_root(file.tf) is not None


def _find_root(checkpoint: TfCheckpoint) -> str | None:
    return next((root for root in _ROOTS if any(checkpoint.variables(root, "_box_predictor"))), None)


def describe(file: WeightFile, overrides: Overrides) -> Blueprint:
    """Reads the blueprint of a checkpoint. Arguments, result and errors as `torchvision.describe`."""
    assert file.tf is not None
    settings = find_settings(file.tf.prefix, overrides.config_file, SETTINGS, f"--weights-config {SETTINGS}")
    ssd, notes = read_pipeline(settings), list[str]()
    tensors = _read_tensors(file.tf, _find_averages(file.tf, settings, notes))
    extractor = read_extractor(ssd)
    backbone = _find_backbone(extractor)
    predictor = read_predictor(ssd)
    network, norm = _read_network(tensors, backbone, extractor, predictor)
    levels = range(network.min_level, network.max_level + 1)
    separable = "pointwise_kernel" if network.is_head_separable else "kernel"
    count, columns = count_anchors_and_classes(
        *(shape_of(tensors, f"{_FINALS[head]}/{separable}")[-1] for head in ("box_head", "class_head"))
    )
    names, kept = _find_names(columns, ssd, settings, overrides, notes)
    return Blueprint(
        "tf_object_detection",
        tensors,
        by_part(_backbone_namer(backbone), _name_neck_layer, _name_head_layer),
        KERAS_SPELLING,
        network,
        names,
        find_anchors(count, levels, read_anchors(ssd, levels), overrides, notes),
        replaced(read_resize(ssd, extractor), overrides.resize),
        replaced(read_filter(ssd), overrides.filter),
        kept_classes=kept,
        box_order=(1, 0, 3, 2),
        backbone_options=_backbone_options(backbone, norm, extractor, tensors),
        box_coder={"std": read_box_std(ssd), "max_log_scale": None},
        is_not_weight=lambda _: False,
        notes=tuple(notes),
    )


def _find_averages(checkpoint: TfCheckpoint, settings: Path, notes: list[str]) -> dict[str, str]:
    """Key of each weight → key of its average, where the library evaluates with averages."""
    averages = checkpoint.slot_keys("average")
    if averages and not uses_averages(settings):
        notes.append("The averages of the weights were left out, as eval_config.use_moving_averages is not true.")
        return {}
    if averages:
        notes.append("The averages of the weights were taken, as eval_config.use_moving_averages is true.")
    return averages


def _read_tensors(checkpoint: TfCheckpoint, averages: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Arrays by path below the detector; those of the backbone by their names in Keras."""
    root = _find_root(checkpoint)
    assert root is not None
    tensors = {}
    for part in ("_feature_extractor", "_box_predictor"):
        for variable in checkpoint.variables(root, part):
            name = "/".join(variable.path[1:])
            if name.startswith(_CLASSIFIER):
                name = "backbone/" + "/".join(variable.full_name.split("/")[-2:])
            tensors[name] = checkpoint.read(averages.get(variable.key, variable.key))
    return _with_scales(tensors)


def _with_scales(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Adds a factor of 1 and a shift of 0 to normalisations that have none (`scale: false`, `center: false`)."""
    for name in [name for name in tensors if name.endswith("/moving_mean")]:
        place = name.removesuffix("moving_mean")
        tensors.setdefault(f"{place}gamma", np.ones_like(tensors[name]))
        tensors.setdefault(f"{place}beta", np.zeros_like(tensors[name]))
    return tensors


def _find_backbone(extractor: Fields) -> BackboneName:
    kind = extractor.get("type", "")
    if kind not in BACKBONES:
        raise CheckpointError(
            f"Its feature extractor is {kind!r}; {', '.join(BACKBONES)} can be imported: those with FPN or FPNLite."
        )
    if BACKBONES[kind].startswith("resnet"):
        extractor.require({"depth_multiplier": 1.0})
    return BACKBONES[kind]


def _read_network(
    tensors: Mapping[str, np.ndarray], backbone: BackboneName, extractor: Fields, predictor: Fields
) -> tuple[ModelConfig, Norm]:
    """The network, and batch normalisation and activation of its backbone."""
    norm, own = read_norm(extractor), read_norm(predictor)
    if norm.activation != own.activation:
        raise CheckpointError(
            f"Pyramid and heads have different activations, {norm.activation} and {own.activation}; one for both can "
            "be imported."
        )
    levels = read_levels(extractor.message("fpn"))
    is_shared = bool(predictor.get("share_prediction_tower", False))
    is_fpn_separable = f"{_FPN}conv_layers/0/0/depthwise_kernel" in tensors
    tower = f"{_TOWERS}{'PredictionTower' if is_shared else 'BoxPredictionTower'}/0/"
    is_separable = f"{tower}depthwise_kernel" in tensors
    smoothing = f"{_FPN}conv_layers/0/"
    network = ModelConfig(
        backbone,
        "none",
        min_level=levels[0],
        max_level=levels[-1],
        p6_source="P5",
        stride_padding="same",
        has_relu_before_p7=False,
        fpn_width=shape_of(tensors, f"{_FPN}top_layers/0/kernel")[-1],
        head_width=shape_of(tensors, f"{tower}{'pointwise_kernel' if is_separable else 'kernel'}")[-1],
        head_depth=predictor.get("num_layers_before_predictor", 0),
        head_norm="batch" if f"{_NORMS}{_BOXES}/0/1/moving_mean" in tensors else "none",  # not if it is synchronised
        head_norm_epsilon=own.epsilon,
        has_head_bias=f"{tower}bias" in tensors,
        activation=norm.activation,  # type: ignore[arg-type]
        norm_momentum=own.momentum,
        fpn_norm="batch" if f"{smoothing}1/moving_mean" in tensors else "none",
        fpn_norm_epsilon=norm.epsilon,
        has_fpn_bias=f"{smoothing}0/bias" in tensors,
        has_fpn_activation=True,
        fpn_carried="output",
        has_top_output=False,
        extra_input="finished",
        is_fpn_separable=is_fpn_separable,
        is_head_separable=is_separable,
        has_shared_tower=is_shared,
    )
    is_overridden = extractor.get("override_base_feature_extractor_hyperparams", False)
    usual = Norm(
        "relu6" if backbone.startswith("mobilenet") else "relu",
        1e-3 if backbone.startswith("mobilenet") else 1e-5,
        0.997,
    )
    return network, norm if is_overridden else usual


def _backbone_options(
    backbone: BackboneName, norm: Norm, extractor: Fields, tensors: Mapping[str, np.ndarray]
) -> dict[str, Any]:
    if backbone.startswith("resnet"):
        return {
            "stride_on": "1x1", "stem_padding": "symmetric", "pool_padding": "same", "epsilon": norm.epsilon,
            "momentum": norm.momentum, "activation": norm.activation, "normalization": VGG_MEAN,
        }  # fmt: skip
    options = {
        "block_padding": "same",
        "normalization": TF,
        "norm_epsilon": norm.epsilon,
        "activation": norm.activation,
        "widths": {
            name.split("/")[1]: tensors[name].shape[-1]
            for name in tensors
            if name.startswith("backbone/") and name.endswith("/kernel")
        },
    }
    if backbone == "mobilenet_v2":
        options |= {"taps": _TAPS, "alpha": extractor.get("depth_multiplier", 1.0)}
    return options


def _find_names(
    columns: int, ssd: Fields, settings: Path, overrides: Overrides, notes: list[str]
) -> tuple[tuple[str, ...], tuple[int, ...] | None]:
    """Names of the labels, and the column of each."""
    has_background = ssd.get("add_background_class", True)
    count = columns - has_background
    stated = ssd.get("num_classes", count)
    if stated != count:
        raise CheckpointError(
            f"{SETTINGS} names {stated} classes, the class head has {count}: it belongs to another model."
        )
    named = None if overrides.class_names is not None else read_label_map(settings, count, notes)
    if named is None and overrides.class_names is None and count == 90:
        named = {number: name for number, name in enumerate(CLASS_LISTS[91]) if number and not name.startswith("N/A")}
        notes.append("There is no label map: the 80 of COCO's 90 ids that have objects were assumed (--class-names).")
    if named is None:
        names, _ = find_classes(count, None, overrides, notes)
        return names, tuple(range(has_background, columns))
    return tuple(named.values()), tuple(number - 1 + has_background for number in named)


def _backbone_namer(backbone: BackboneName) -> Any:
    def place(layer: str) -> str:
        if not backbone.startswith("resnet"):
            return f"backbone/{layer}"
        kind, stage, block, number = place_of(layer)
        return f"backbone/conv1_{kind}" if stage == 0 else f"backbone/conv{stage}_block{block}_{number}_{kind}"

    return place


def _name_neck_layer(kind: str, level: int) -> str:
    if kind == "lateral":
        return f"{_FPN}top_layers/0" if level == 5 else f"{_FPN}residual_blocks/{4 - level}/0"
    place = f"{_COARSE}{level - 6}" if level > 5 else f"{_FPN}conv_layers/{4 - level}"
    return f"{place}/{1 if kind == 'norm' else 0}"


def _name_head_layer(head: str, layer: str) -> str:
    if layer == "final":
        return _FINALS[head]
    tower, norms = _TOWER_OF[head]
    found = re.fullmatch(r"norm(\d+)_(\d+)", layer)
    if found:  # each convolution, normalisation and activation has a number
        return f"{_NORMS}{norms}/{found[2]}/{3 * int(found[1]) + 1}"
    return f"{_TOWERS}{tower}/{layer[4:]}"
