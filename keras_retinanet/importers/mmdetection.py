"""RetinaNet of MMDetection 2 and 3. If the file holds a config, as the trainer writes it, its settings are used.

No ReLU between P6 and P7; box sizes are limited in both directions; boxes without area are dropped before NMS; images
resized as by OpenCV. ResNets of `style="caffe"` take BGR and have the stride in the 1x1 convolution.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np

from keras_retinanet.backbones.resnet_names import torch_resnet_names
from keras_retinanet.config import BackboneName, FilterConfig, ModelConfig, ResizeConfig
from keras_retinanet.importers.blueprint import TORCH_SPELLING, Blueprint, CheckpointError, Overrides, by_part
from keras_retinanet.importers.head_shapes import (
    count_anchors_and_classes,
    count_consecutive,
    find_anchors,
    find_classes,
    replaced,
    shape_of,
    torch_network,
)
from keras_retinanet.importers.mmdetection_config import (
    anchors_of,
    filter_of,
    part,
    pixels_of,
    read_config,
    require_known_parts,
    resize_of,
)
from keras_retinanet.importers.resnet_depths import find_resnet, group_options
from keras_retinanet.weight_files.weight_file import WeightFile

LOG_LIMIT = abs(math.log(16 / 1000))
"""Limit of `dw` and `dh` in both directions (`wh_ratio_clip`)."""


def recognises(file: WeightFile) -> bool:
    """Whether the tensors are those of MMDetection's RetinaNet."""
    return "bbox_head.retina_cls.weight" in file.tensors


def describe(file: WeightFile, overrides: Overrides) -> Blueprint:
    """Reads the blueprint of a checkpoint. Arguments, result and errors as `torchvision.describe`."""
    tensors, notes = file.tensors, list[str]()
    meta = file.beside.get("meta")
    meta = meta if isinstance(meta, dict) else {}
    _check_version(meta, notes)
    settings = _read_settings(meta, notes)
    backbone = find_resnet(
        tensors, r"backbone\.layer(?P<stage>\d)\.(?P<block>\d+)\.conv1\.", r"backbone\.layer1\.0\.conv3"
    )
    levels = _find_levels(tensors, part(settings, "model", "neck"), notes)
    count, classes = count_anchors_and_classes(
        shape_of(tensors, "bbox_head.retina_reg.weight")[0], shape_of(tensors, "bbox_head.retina_cls.weight")[0]
    )
    names, kept = find_classes(classes, _read_class_names(meta, classes), overrides, notes)
    try:
        stored, network = _find_settings(settings, overrides, notes), _read_network(tensors, backbone, levels, settings)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"Its config cannot be read: {type(error).__name__} {error}.") from error
    return Blueprint(
        "mmdetection",
        tensors,
        by_part(torch_resnet_names("backbone."), _neck_namer(levels[0]), _name_head_layer),
        TORCH_SPELLING,
        network,
        names,
        find_anchors(count, range(levels[0], levels[1] + 1), stored.anchors, overrides, notes),
        replaced(ResizeConfig(800, 1333, method="cv2"), {**stored.resize, **overrides.resize}),
        replaced(FilterConfig(0.05, 0.5, 100, 1000, drop_empty=True), {**stored.filter, **overrides.filter}),
        kept_classes=kept,
        backbone_options=stored.backbone_options | group_options(tensors, "backbone.layer1.0.conv2.weight", backbone),
        box_coder={"std": stored.std, "max_log_scale": LOG_LIMIT, "min_log_scale": -LOG_LIMIT},
        notes=tuple(notes),
    )


class _FoundSettings(NamedTuple):
    """Settings of the config, completed with the library's defaults."""

    anchors: dict[str, Any]
    resize: dict[str, Any]
    filter: dict[str, Any]
    backbone_options: dict[str, Any]
    std: tuple[float, ...]


def _read_settings(meta: Mapping[str, Any], notes: list[str]) -> dict[str, Any]:
    """The config in the file's `meta`; empty if there is none that can be read."""
    text = meta.get("cfg") or meta.get("config")
    settings = read_config(text) if isinstance(text, str) else {}
    if "backbone" in settings:  # the model alone
        settings = {"model": settings}
    if "model" not in settings:
        notes.append("The file holds no config: the settings of MMDetection's own retinanet_* configs are assumed.")
    require_known_parts(settings)
    return settings


def _find_settings(settings: Mapping[str, Any], overrides: Overrides, notes: list[str]) -> _FoundSettings:
    style = overrides.style or part(settings, "model", "backbone").get("style")
    if style not in ("pytorch", "caffe"):
        if "model" not in settings:
            notes.append("The file does not hold the style of its ResNet: 'pytorch' is assumed (--style caffe).")
        style = "pytorch"
    coder = part(settings, "model", "bbox_head", "bbox_coder")
    return _FoundSettings(
        anchors_of(settings),
        resize_of(settings, notes),
        filter_of(settings, notes),
        {
            "stride_on": "1x1" if style == "caffe" else "3x3",
            "epsilon": float(part(settings, "model", "backbone", "norm_cfg").get("eps", 1e-5)),
            "normalization": pixels_of(settings, style),
        },
        tuple(float(value) for value in coder.get("target_stds", (1.0,) * 4)),
    )


def _read_network(
    tensors: Mapping[str, np.ndarray], backbone: BackboneName, levels: tuple[int, int], settings: Mapping[str, Any]
) -> ModelConfig:
    neck = part(settings, "model", "neck")
    network = torch_network(
        tensors,
        backbone,
        levels,
        lateral="neck.lateral_convs.0.conv.weight",
        p6=f"neck.fpn_convs.{6 - levels[0]}.conv.weight",
        tower="bbox_head.cls_convs.0.conv.weight",
        depth=count_consecutive(tensors, "bbox_head.cls_convs.{}.conv.weight"),
        is_grouped="bbox_head.cls_convs.0.gn.weight" in tensors,
        head_norm_epsilon=float(part(settings, "model", "bbox_head", "norm_cfg").get("eps", 1e-5)),
        has_relu_before_p7=neck.get("relu_before_extra_convs") is True,
    )
    sources: dict[Any, Literal["C5", "P5"]] = {"on_input": "C5", "on_output": "P5"}
    p6_source = sources.get(str(neck.get("add_extra_convs")))
    return network if p6_source is None else dataclasses.replace(network, p6_source=p6_source)


def _check_version(meta: Mapping[str, Any], notes: list[str]) -> None:
    version = meta.get("mmdet_version")
    if isinstance(version, str) and (found := re.match(r"(\d+)\.", version)):
        if int(found[1]) < 2:
            raise CheckpointError(
                f"It was written by MMDetection {version}; before 2.0 labels began with the background and anchors "
                "were others. Upgrade it with MMDetection's own tools/model_converters/upgrade_model_version.py."
            )
    else:
        notes.append("The file does not hold its version of MMDetection; 2.0 or later is assumed.")


def _read_class_names(meta: Mapping[str, Any], count: int) -> tuple[str, ...] | None:
    described = meta.get("dataset_meta")
    found = (described.get("CLASSES") or described.get("classes")) if isinstance(described, dict) else None
    found = found or meta.get("CLASSES")
    if not isinstance(found, (list, tuple)) or any(not isinstance(name, str) for name in found):
        return None
    return tuple(found) if len(set(found)) == len(found) == count else None


def _find_levels(tensors: Mapping[str, np.ndarray], neck: Mapping[str, Any], notes: list[str]) -> tuple[int, int]:
    laterals = count_consecutive(tensors, "neck.lateral_convs.{}.conv.weight")
    outputs = count_consecutive(tensors, "neck.fpn_convs.{}.conv.weight")
    if laterals not in (3, 4) or not 0 <= outputs - laterals <= 2:
        raise CheckpointError(f"The pyramid has {laterals} lateral and {outputs} output convolutions.")
    if neck.get("num_outs", outputs) != outputs:
        raise CheckpointError(
            f"Its pyramid has {neck['num_outs']} levels and {outputs} output convolutions: the others are pooled, "
            "which ours has not."
        )
    if outputs == laterals and not neck:
        notes.append("The pyramid is taken to end with P5; levels that are pooled from it would leave no trace.")
    if any(re.match(r"neck\.\w+\.\d+\.(bn|gn|norm)\.", name) for name in tensors):
        raise CheckpointError("Its pyramid has normalisation; one of plain convolutions can be imported.")
    if any(re.match(r"bbox_head\.\w+_convs\.\d+\.bn\.", name) for name in tensors):
        raise CheckpointError("Its heads have batch normalisation; group normalisation or none can be imported.")
    return 6 - laterals, 5 + outputs - laterals


def _neck_namer(min_level: int) -> Callable[[str, int], str]:
    return lambda kind, level: f"neck.{'lateral' if kind == 'lateral' else 'fpn'}_convs.{level - min_level}.conv"


def _name_head_layer(head: str, layer: str) -> str:
    if layer == "final":
        return "bbox_head.retina_cls" if head == "class_head" else "bbox_head.retina_reg"
    tower = "cls_convs" if head == "class_head" else "reg_convs"
    return f"bbox_head.{tower}.{layer[4:]}.{'conv' if layer.startswith('conv') else 'gn'}"
