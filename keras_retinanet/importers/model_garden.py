"""RetinaNet of TensorFlow's Model Garden (`official/vision`): training checkpoints, exported ones and SavedModels.

Batch normalisation after each pyramid level and, with weights of its own for each level, in the heads; levels 6 and 7
are made from maps before it. Anchors are ordered scale by scale, boxes are (y, x, h, w), and the first class is the
background. Images fit into a fixed height and width, to which boxes are clipped.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from keras_retinanet.backbones.normalize import TORCH
from keras_retinanet.backbones.resnet_names import place_of
from keras_retinanet.config import BackboneName, FilterConfig, ModelConfig, ResizeConfig
from keras_retinanet.importers.blueprint import KERAS_SPELLING, Blueprint, CheckpointError, Overrides, by_part
from keras_retinanet.importers.head_shapes import (
    count_anchors_and_classes,
    find_anchors,
    find_classes,
    replaced,
    scale_major_order,
    shape_of,
)
from keras_retinanet.importers.resnet_depths import DEPTHS
from keras_retinanet.importers.tf_settings import Fields, find_settings, read_levels
from keras_retinanet.weight_files.tf_checkpoint import TfCheckpoint
from keras_retinanet.weight_files.weight_file import WeightFile

SETTINGS = "params.yaml"
_ROOTS = (("backbone", "decoder", "head"), ("model/_backbone", "model/_decoder", "model/_head"))
"""Where a training checkpoint and an exported detector have their parts."""
_PARTS = ("backbone", "decoder", "head")
_SWAPPED = ("average_weights", "best_ckpt")
"""Checkpoints in which the library has swapped weights and averages: those of `ema_checkpoints`, and the best one."""
_HEADS = {"class_head": ("_cls_convs", "_cls_norms", "_classifier"),
          "box_head": ("_box_convs", "_box_norms", "_box_regressor")}  # fmt: skip
_MODEL = (
    "num_classes", "input_size", "min_level", "max_level", "anchor", "backbone", "decoder", "head",
    "detection_generator", "norm_activation",
)  # fmt: skip
_RESNET = (
    "model_id", "depth_multiplier", "stem_type", "se_ratio", "stochastic_depth_drop_rate", "scale_stem",
    "resnetd_shortcut", "replace_stem_max_pool", "bn_trainable",
)  # fmt: skip
_HEAD = (
    "num_convs", "num_filters", "use_separable_conv", "attribute_heads", "share_classification_heads",
    "share_level_convs",
)  # fmt: skip
_GENERATOR = (
    "apply_nms", "pre_nms_top_k", "pre_nms_score_threshold", "nms_iou_threshold", "max_num_detections", "nms_version",
    "nms_v3_refinements", "use_cpu_nms", "soft_nms_sigma", "use_class_agnostic_nms", "box_coder_weights",
    "tflite_post_processing", "return_decoded", "decode_boxes",
)  # fmt: skip
_NECK = {"lateral": "lateral", "output": "post_hoc", "extra": "coarser", "norm": "norm"}


def recognises(file: WeightFile) -> bool:
    """Whether the variables are those of Model Garden's RetinaNet."""
    return file.tf is not None and _find_roots(file.tf) is not None


def _find_roots(checkpoint: TfCheckpoint) -> tuple[tuple[str, ...], ...] | None:
    for roots in _ROOTS:
        paths = tuple(tuple(root.split("/")) for root in roots)
        if any(checkpoint.variables(*paths[2], "_classifier")):
            return paths
    return None


def describe(file: WeightFile, overrides: Overrides) -> Blueprint:
    """Reads the blueprint of a checkpoint. Arguments, result and errors as `torchvision.describe`."""
    assert file.tf is not None
    settings = find_settings(file.tf.prefix, overrides.config_file, SETTINGS, f"--weights-config {SETTINGS}")
    task, notes = read_task(settings), list[str]()
    model = task.message("model").require_known(*_MODEL)
    tensors = _read_tensors(file.tf, _find_averages(file.tf, notes))
    backbone = _find_backbone(model.message("backbone"))
    network = _read_network(tensors, backbone, model)
    kernel = "pointwise_kernel" if network.is_head_separable else "kernel"
    count, columns = count_anchors_and_classes(
        *(shape_of(tensors, f"head/{_HEADS[head][2]}/{kernel}")[-1] for head in ("box_head", "class_head"))
    )
    if (stated := model.get("num_classes", columns)) != columns:
        raise CheckpointError(
            f"{SETTINGS} names {stated} classes, the class head has {columns}: it is another model's."
        )
    levels = range(network.min_level, network.max_level + 1)
    anchors = find_anchors(count, levels, _read_anchors(model.message("anchor"), levels), overrides, notes)
    names, kept = find_classes(columns - 1, None, overrides, notes)
    norm = model.message("norm_activation")
    return Blueprint(
        "model_garden",
        tensors,
        by_part(_backbone_namer(backbone), _name_neck_layer, _name_head_layer),
        KERAS_SPELLING,
        network,
        names,
        anchors,
        replaced(_read_resize(task, levels, notes), overrides.resize),
        replaced(_read_filter(model.message("detection_generator"), notes), overrides.filter),
        kept_classes=tuple(1 + index for index in (range(columns - 1) if kept is None else kept)),
        anchor_order=scale_major_order(anchors),
        box_order=(1, 0, 3, 2),
        backbone_options={
            "stride_on": "3x3", "stem_padding": "same", "pool_padding": "same", "block_padding": "same",
            "epsilon": norm.get("norm_epsilon", 0.001), "momentum": norm.get("norm_momentum", 0.99),
            "activation": network.activation, "has_first_projection": True, "normalization": TORCH,
        },
        box_coder={"std": _read_box_std(model.message("detection_generator"))},
        is_not_weight=lambda _: False,
        notes=tuple(notes),
    )  # fmt: skip


def read_task(path: Path) -> Fields:
    """Reads `task` of a `params.yaml`.

    Args:
        path: The file.

    Returns:
        Its fields.

    Raises:
        CheckpointError: It is not such a file, or describes another kind of detector.
    """
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise CheckpointError(f"{path}: cannot be read as YAML: {error}.") from error
    task = Fields(found if isinstance(found, Mapping) else {}, SETTINGS).message("task")
    if "model" not in task or "anchor" not in task.message("model"):
        raise CheckpointError(f"{path}: task.model.anchor is missing; params.yaml of a RetinaNet is needed.")
    return task


def _find_averages(checkpoint: TfCheckpoint, notes: list[str]) -> dict[str, str]:
    """Key of each weight that has an average → key of the average, with which the library evaluates."""
    averages = checkpoint.slot_keys("average")
    if averages and checkpoint.prefix.name.startswith(_SWAPPED):
        notes.append("The weights are averages of an EMA optimizer: the library saves this checkpoint with them.")
        return {}
    if averages:
        notes.append("The averages of the EMA optimizer were taken, with which the library evaluates.")
    return averages


def _read_tensors(checkpoint: TfCheckpoint, averages: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Arrays by part and path; those of the pyramid by their names in Keras, as their order depends on the backbone."""
    roots = _find_roots(checkpoint)
    assert roots is not None
    tensors = {}
    for part, root in zip(_PARTS, roots, strict=True):
        for variable in checkpoint.variables(*root):
            path = variable.path[len(root) :]
            name = variable.full_name if part == "decoder" else "/".join(path)
            tensors[f"{part}/{name}"] = checkpoint.read(averages.get(variable.key, variable.key))
    return tensors


def _find_backbone(backbone: Fields) -> BackboneName:
    kind = backbone.get("type", "resnet")
    if kind != "resnet":
        raise CheckpointError(f"Its backbone is a {kind}; ResNets can be imported.")
    resnet = backbone.message("resnet").require_known(*_RESNET)
    resnet.require(
        {
            "stem_type": "v0", "resnetd_shortcut": False, "se_ratio": 0.0, "replace_stem_max_pool": False,
            "depth_multiplier": 1.0,
        }
    )  # fmt: skip
    depth = resnet.get("model_id", 50)
    names = {name.removeprefix("resnet"): name for name in DEPTHS.values()}
    if str(depth) not in names:
        raise CheckpointError(f"Its backbone is ResNet-{depth}; {', '.join(names)} can be imported.")
    return names[str(depth)]


def _read_network(tensors: Mapping[str, np.ndarray], backbone: BackboneName, model: Fields) -> ModelConfig:
    decoder, head, norm = (model.message(name) for name in ("decoder", "head", "norm_activation"))
    if decoder.get("type", "fpn") != "fpn":
        raise CheckpointError(f"Its pyramid is a {decoder.get('type', '')}; fpn can be imported.")
    fpn = decoder.message("fpn").require_known("num_filters", "fusion_type", "use_separable_conv", "use_keras_layer")
    fpn.require({"fusion_type": "sum", "use_separable_conv": False})
    head.require_known(*_HEAD)
    norm.require_known("activation", "use_sync_bn", "norm_momentum", "norm_epsilon")
    head.require({"share_level_convs": True, "share_classification_heads": False, "attribute_heads": []})
    activation = norm.get("activation", "relu")
    if activation not in ("relu", "relu6", "swish"):
        raise CheckpointError(f"{norm.where}.activation is {activation!r}; relu, relu6 and swish can be imported.")
    is_separable, levels = bool(head.get("use_separable_conv", False)), read_levels(model)
    tower = f"head/{_HEADS['box_head'][0]}/0/{'pointwise_kernel' if is_separable else 'kernel'}"
    return ModelConfig(
        backbone,
        "none",
        min_level=levels[0],
        max_level=levels[-1],
        p6_source="P5",
        stride_padding="same",
        fpn_width=shape_of(tensors, "decoder/lateral_5/kernel")[-1],
        head_width=shape_of(tensors, tower)[-1],
        head_depth=head.get("num_convs", 4),
        head_norm="batch",
        head_norm_epsilon=norm.get("norm_epsilon", 0.001),
        has_head_bias=True,
        activation=activation,
        norm_momentum=norm.get("norm_momentum", 0.99),
        fpn_norm="batch",
        fpn_norm_epsilon=norm.get("norm_epsilon", 0.001),
        is_head_separable=is_separable,
    )


def _read_anchors(anchor: Fields, levels: range) -> dict[str, Any]:
    anchor.require_known("num_scales", "aspect_ratios", "anchor_size")
    scales = anchor.get("num_scales", 3)
    return {
        "sizes": tuple(anchor.get("anchor_size", 4.0) * 2**level for level in levels),
        "ratios": anchor.inverses("aspect_ratios", (0.5, 1.0, 2.0)),  # they are width over height
        "scales": tuple(2 ** (index / scales) for index in range(scales)),
        "offset": 0.5,
    }


def _read_box_std(generator: Fields) -> tuple[float, ...]:
    """Factors on our deltas (x, y, w, h); the file has divisors (y, x, h, w)."""
    factors = generator.inverses("box_coder_weights", (1.0, 1.0, 1.0, 1.0))
    if len(factors) != 4:
        raise CheckpointError(f"{generator.where}.box_coder_weights has {len(factors)} numbers; four are needed.")
    y, x, h, w = factors
    return x, y, w, h


def _read_resize(task: Fields, levels: range, notes: list[str]) -> ResizeConfig:
    sides = [int(side) for side in task.message("model").numbers("input_size", ())][:2]
    if len(sides) < 2 or min(sides) < 1:
        raise CheckpointError(
            f"{task.where}.model.input_size has no height and width; images of a fixed size can be imported."
        )
    parser = task.message("validation_data").message("parser")
    if not parser.get("keep_aspect_ratio", True):
        notes.append(
            "The parser of the library stretches images; an exported detector keeps their proportions, as here."
        )
    return ResizeConfig(
        shape=tuple(sides), shape_mode="fit", rounding="even", method="float", pad_multiple=2 ** levels[-1]
    )


def _read_filter(generator: Fields, notes: list[str]) -> FilterConfig:
    generator.require_known(*_GENERATOR)
    generator.require({"soft_nms_sigma": 0.0, "apply_nms": True, "decode_boxes": True})
    if (version := generator.get("nms_version", "v2")) not in ("v1", "v2", "batched"):
        raise CheckpointError(f"{generator.where}.nms_version is {version!r}; v1, v2 and batched can be imported.")
    count = generator.get("max_num_detections", 100)
    threshold = generator.get("nms_iou_threshold", 0.5)
    if threshold < 0.5 and version == "v2":
        notes.append(
            "Below an IoU of 0.5, the library's suppression (v2) also counts boxes that were suppressed themselves."
        )
    return FilterConfig(
        generator.get("pre_nms_score_threshold", 0.05),
        threshold,
        count,
        generator.get("pre_nms_top_k", 5000),
        nms="agnostic" if generator.get("use_class_agnostic_nms", False) else "per_class",
        clip_frame="shape",
        top_k_scope="class",
        max_per_class=count,
    )


def _backbone_namer(backbone: BackboneName) -> Any:
    """Blocks have numbers over all stages, after the convolution and normalisation of the stem."""
    counts = next(blocks for (blocks, _), name in DEPTHS.items() if name == backbone)

    def place(layer: str) -> str:
        kind, stage, block, number = place_of(layer)
        if stage == 0:
            return f"backbone/layer_with_weights-{0 if kind == 'conv' else 1}"
        index = 2 + sum(counts[: stage - 2]) + block - 1
        name = f"_norm{number}" if kind == "bn" else f"_conv{number}" if number else "_shortcut"
        return f"backbone/layer_with_weights-{index}/{name}"

    return place


def _name_neck_layer(kind: str, level: int) -> str:
    return f"decoder/{_NECK[kind]}_{level}"


def _name_head_layer(head: str, layer: str) -> str:
    convolutions, norms, final = _HEADS[head]
    if layer == "final":
        return f"head/{final}"
    found = re.fullmatch(r"norm(\d+)_(\d+)", layer)
    return f"head/{norms}/{found[2]}/{found[1]}" if found else f"head/{convolutions}/{layer[4:]}"
