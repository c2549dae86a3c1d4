"""RetinaNet of MMDetection 2 and 3, after its specification: no checkpoint of it was at hand to compare with.

No ReLU between P6 and P7; boxes grow and shrink by a limited factor; those without area are dropped before suppression;
images resized as OpenCV does. `style="caffe"` ResNets read blue first and have the stride in the 1x1 convolution.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from keras_retinanet.backbones.normalize import TORCH
from keras_retinanet.backbones.resnet_names import torch_resnet_names
from keras_retinanet.config import FilterConfig, ResizeConfig
from keras_retinanet.importers.blueprint import TORCH_SPELLING, Blueprint, CheckpointError, Overrides, by_part
from keras_retinanet.importers.detectron2 import MEAN_ONLY
from keras_retinanet.importers.heads_found import (
    count_anchors_and_classes,
    count_consecutive,
    find_anchors,
    find_classes,
    replaced,
    shape_of,
    torch_network,
)
from keras_retinanet.importers.resnets import find_resnet
from keras_retinanet.weight_files.weight_file import WeightFile

LOG_LIMIT = abs(math.log(16 / 1000))
"""Limit of `dw` and `dh` in both directions (`wh_ratio_clip`)."""


def recognises(file: WeightFile) -> bool:
    """Whether the tensors are those of MMDetection's RetinaNet."""
    return "bbox_head.retina_cls.weight" in file.tensors


def describe(file: WeightFile, overrides: Overrides) -> Blueprint:
    """Finds out what a checkpoint holds. Arguments, answer and errors as `torchvision.describe`."""
    tensors, notes = file.tensors, list[str]()
    meta = file.beside.get("meta")
    meta = meta if isinstance(meta, dict) else {}
    _check_version(meta, notes)
    settings = str(meta.get("config") or meta.get("cfg") or "")
    backbone = find_resnet(
        tensors, r"backbone\.layer(?P<stage>\d)\.(?P<block>\d+)\.conv1\.", r"backbone\.layer1\.0\.conv3"
    )
    levels = _levels(tensors, settings)
    count, classes = count_anchors_and_classes(
        shape_of(tensors, "bbox_head.retina_reg.weight")[0], shape_of(tensors, "bbox_head.retina_cls.weight")[0]
    )
    names, kept = find_classes(classes, _class_names(meta, classes), overrides, notes)
    style = _style(settings, overrides, notes)
    return Blueprint(
        "mmdetection",
        tensors,
        by_part(torch_resnet_names("backbone."), _neck(levels[0]), _head),
        TORCH_SPELLING,
        torch_network(
            tensors,
            backbone,
            levels,
            lateral="neck.lateral_convs.0.conv.weight",
            p6=f"neck.fpn_convs.{6 - levels[0]}.conv.weight",
            tower="bbox_head.cls_convs.0.conv.weight",
            depth=count_consecutive(tensors, "bbox_head.cls_convs.{}.conv.weight"),
            is_grouped="bbox_head.cls_convs.0.gn.weight" in tensors,
            has_relu_before_p7="relu_before_extra_convs=True" in settings.replace(" ", ""),
        ),
        names,
        find_anchors(count, range(levels[0], levels[1] + 1), {"offset": 0.0}, overrides, notes),
        replaced(ResizeConfig(800, 1333, method="cv2"), overrides.resize),
        replaced(FilterConfig(0.05, 0.5, 100, 1000, drop_empty=True), overrides.filter),
        kept_classes=kept,
        backbone_options={
            "stride_on": "1x1" if style == "caffe" else "3x3",
            "epsilon": 1e-5,
            "normalization": MEAN_ONLY if style == "caffe" else TORCH,
        },
        box_coder={"max_log_scale": LOG_LIMIT, "min_log_scale": -LOG_LIMIT},
        notes=(*notes, "MMDetection's numbers follow its specification; no checkpoint of it was compared."),
    )


def _check_version(meta: Mapping[str, Any], notes: list[str]) -> None:
    version = meta.get("mmdet_version")
    if isinstance(version, str) and (found := re.match(r"(\d+)\.", version)):
        if int(found[1]) < 2:
            raise CheckpointError(
                f"It was written by MMDetection {version}; before 2.0 labels began with the background and anchors "
                "were others. Upgrade it with MMDetection's own tools/model_converters/upgrade_model_version.py."
            )
    else:
        notes.append("The file does not tell its version of MMDetection; 2.0 or later is assumed.")


def _class_names(meta: Mapping[str, Any], count: int) -> tuple[str, ...] | None:
    described = meta.get("dataset_meta")
    found = (described.get("CLASSES") or described.get("classes")) if isinstance(described, dict) else None
    found = found or meta.get("CLASSES")
    if not isinstance(found, (list, tuple)) or any(not isinstance(name, str) for name in found):
        return None
    return tuple(found) if len(set(found)) == len(found) == count else None


def _style(settings: str, overrides: Overrides, notes: list[str]) -> str:
    if overrides.style is not None:
        return overrides.style
    found = re.search(r"style\s*=\s*['\"](pytorch|caffe)['\"]", settings)
    if found is None:
        notes.append("The file does not tell the style of its ResNet: 'pytorch' is assumed (--style caffe).")
    return found[1] if found else "pytorch"


def _levels(tensors: Mapping[str, np.ndarray], settings: str) -> tuple[int, int]:
    laterals = count_consecutive(tensors, "neck.lateral_convs.{}.conv.weight")
    outputs = count_consecutive(tensors, "neck.fpn_convs.{}.conv.weight")
    if laterals not in (3, 4) or not 0 <= outputs - laterals <= 2:
        raise CheckpointError(f"The pyramid has {laterals} lateral and {outputs} output convolutions.")
    if "on_lateral" in settings:
        raise CheckpointError("Its P6 is made from a lateral map (add_extra_convs='on_lateral'), which ours has not.")
    return 6 - laterals, 5 + outputs - laterals


def _neck(min_level: int) -> Callable[[str, int], str]:
    return lambda kind, level: f"neck.{'lateral' if kind == 'lateral' else 'fpn'}_convs.{level - min_level}.conv"


def _head(head: str, layer: str) -> str:
    if layer == "final":
        return "bbox_head.retina_cls" if head == "class_head" else "bbox_head.retina_reg"
    tower = "cls_convs" if head == "class_head" else "reg_convs"
    return f"bbox_head.{tower}.{layer[4:]}.{'conv' if layer.startswith('conv') else 'gn'}"
