"""RetinaNet of torchvision: `retinanet_resnet50_fpn` (v1), `…_fpn_v2`, and the same class on other ResNets or ResNeXts.

Anchors with integer corners, centred from the corner of the image on, strides `image side // grid side`, sizes rounded
down, images resized in floating point without rounding. The published v1 runs with a batch normalisation epsilon of 0
and computes P6 from P5. MLPerf's benchmark is v1 on a ResNeXt-50 32x4d.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from keras_retinanet.backbones.normalize import TORCH
from keras_retinanet.backbones.resnet_names import torch_resnet_names
from keras_retinanet.config import BackboneName, FilterConfig, ModelConfig, ResizeConfig
from keras_retinanet.importers import torchvision_ssd
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
from keras_retinanet.importers.resnet_depths import find_resnet, group_options
from keras_retinanet.weight_files.pickle_stubs import Settings
from keras_retinanet.weight_files.weight_file import WeightFile

FPN = "backbone.fpn."
MLPERF_CLASSES = 264
"""Classes of Open Images in MLPerf's benchmark."""
_CLASS, _BOX = "head.classification_head.", "head.regression_head."


def recognises(file: WeightFile) -> bool:
    """Whether the tensors are those of torchvision's RetinaNet or SSD."""
    return f"{_CLASS}cls_logits.weight" in file.tensors or torchvision_ssd.recognises(file)


def with_new_names(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Renames tensors to the current names; the published v1 file has older ones.

    Args:
        tensors: Tensors by old or new names.

    Returns:
        The same tensors by new names, in the same order.
    """
    is_old = any(re.match(r"head\.\w+_head\.conv\.\d+\.weight$", name) for name in tensors)
    renamed = {}
    for name, value in tensors.items():
        new = re.sub(r"^(backbone\.fpn\.(?:inner|layer)_blocks\.\d+)\.(weight|bias)$", r"\1.0.\2", name)
        if is_old:  # the old numbers count activations too
            new = re.sub(
                r"^(head\.\w+_head\.conv)\.(\d+)\.(weight|bias)$",
                lambda found: f"{found[1]}.{int(found[2]) // 2}.0.{found[3]}",
                new,
            )
        renamed[new] = value
    return renamed


def name_layers(min_level: int) -> Callable[[str], str]:
    """The function from the path of one of our layers to torchvision's name: see `Blueprint.place`.

    Args:
        min_level: Finest level of the pyramid.

    Returns:
        The function.
    """
    return by_part(torch_resnet_names("backbone.body."), _neck_namer(min_level), _name_head_layer)


def describe(file: WeightFile, overrides: Overrides) -> Blueprint:
    """Reads the blueprint of a checkpoint.

    Args:
        file: The opened checkpoint.
        overrides: The user's settings.

    Returns:
        The blueprint of the detector.

    Raises:
        CheckpointError: The detector cannot be imported; the message states why.
    """
    if torchvision_ssd.recognises(file):
        return torchvision_ssd.describe(file, overrides)
    tensors = with_new_names(file.tensors)
    notes: list[str] = []
    backbone = find_resnet(
        tensors, r"backbone\.body\.layer(?P<stage>\d)\.(?P<block>\d+)\.conv1\.", r".*layer1\.0\.conv3"
    )
    levels = _find_levels(tensors)
    count, classes = count_anchors_and_classes(
        shape_of(tensors, f"{_BOX}bbox_reg.weight")[0], shape_of(tensors, f"{_CLASS}cls_logits.weight")[0]
    )
    names, kept = find_classes(classes, None, overrides, notes)
    fixed = {"offset": 0.0, "is_rounded": True, "stride_mode": "grid"}
    network = _read_network(tensors, backbone, levels)
    groups = group_options(tensors, "backbone.body.layer1.0.conv2.weight", backbone)
    epsilon = overrides.norm_epsilon
    if epsilon is None:
        epsilon = 1e-5 if groups else _choose_epsilon(tensors, network, file.beside, notes)
    resize = ResizeConfig(800, 1333, rounding="floor", method="float")
    if groups and classes == MLPERF_CLASSES:
        resize = ResizeConfig(method="float", shape=(800, 800), shape_mode="stretch")
        notes.append("A ResNeXt with 264 classes is MLPerf's, which stretches images to 800×800.")
    return Blueprint(
        "torchvision",
        tensors,
        name_layers(levels[0]),
        TORCH_SPELLING,
        network,
        names,
        find_anchors(count, range(levels[0], levels[1] + 1), fixed, overrides, notes),
        replaced(resize, overrides.resize),
        replaced(FilterConfig(0.05, 0.5, 300, 1000), overrides.filter),
        kept_classes=kept,
        backbone_options={"stride_on": "3x3", "epsilon": epsilon, "normalization": TORCH, **groups},
        notes=tuple(notes),
    )


def _read_network(tensors: Mapping[str, np.ndarray], backbone: BackboneName, levels: tuple[int, int]) -> ModelConfig:
    return torch_network(
        tensors,
        backbone,
        levels,
        lateral=f"{FPN}inner_blocks.0.0.weight",
        p6=f"{FPN}extra_blocks.p6.weight",
        tower=f"{_CLASS}conv.0.0.weight",
        depth=count_consecutive(tensors, f"{_CLASS}conv.{{}}.0.weight"),
        is_grouped=f"{_CLASS}conv.0.1.weight" in tensors,
    )


def _find_levels(tensors: Mapping[str, np.ndarray]) -> tuple[int, int]:
    count = count_consecutive(tensors, f"{FPN}inner_blocks.{{}}.0.weight")
    extras = [level for level in (6, 7) if f"{FPN}extra_blocks.p{level}.weight" in tensors]
    if count not in (3, 4) or extras not in ([6], [6, 7]):
        raise CheckpointError(
            f"The pyramid has {count} lateral levels and the extra levels {extras or 'none, or a pooled one'}; three "
            "or four (from C3 or C2) with P6 and P7 as convolutions can be imported (`LastLevelP6P7`)."
        )
    return 6 - count, extras[-1]


def _choose_epsilon(
    tensors: Mapping[str, np.ndarray], network: ModelConfig, beside: Mapping[str, Any], notes: list[str]
) -> float:
    """Epsilon of the batch normalisation: 0 for torchvision's own COCO weights of v1, else 1e-5.

    Those weights are of a ResNet-50 with P6 from P5 and frozen normalisation, which has no counters. The arguments of
    the library's training script, if stored, show whether a run started from them.
    """
    has_counters = any(name.endswith("num_batches_tracked") for name in tensors)
    is_v1 = (network.backbone, network.p6_source, network.head_norm) == ("resnet50", "P5", "none")
    stored = beside.get("args")
    arguments = stored.values if isinstance(stored, Settings) else {}
    if has_counters or not is_v1:
        return 1e-5
    if "weights" in arguments and "weights_backbone" in arguments:
        return 0.0 if arguments["weights"] else 1e-5
    notes.append(
        "Batch normalisation epsilon 0, as torchvision runs its published v1 weights; for a model that was trained "
        "without starting from these, give --norm-epsilon 1e-5."
    )
    return 0.0


def _neck_namer(min_level: int) -> Callable[[str, int], str]:
    def place(kind: str, level: int) -> str:
        if kind == "extra":
            return f"{FPN}extra_blocks.p{level}"
        return f"{FPN}{'inner' if kind == 'lateral' else 'layer'}_blocks.{level - min_level}.0"

    return place


def _name_head_layer(head: str, layer: str) -> str:
    if layer == "final":
        return f"{_CLASS}cls_logits" if head == "class_head" else f"{_BOX}bbox_reg"
    return f"{_CLASS if head == 'class_head' else _BOX}conv.{layer[4:]}.{0 if layer.startswith('conv') else 1}"
