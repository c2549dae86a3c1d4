"""A RetinaNet from its settings."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from keras_retinanet.backbones import BACKBONES
from keras_retinanet.config import (
    AnchorConfig,
    AssignerConfig,
    DefaultBoxConfig,
    FilterConfig,
    LossConfig,
    ModelConfig,
    NetworkConfig,
    ResizeConfig,
    to_dict,
)
from keras_retinanet.config.architectures import default_network
from keras_retinanet.geometry.box_coder import BoxCoder
from keras_retinanet.geometry.configured_anchors import anchor_layer
from keras_retinanet.model.fpn import FeaturePyramid
from keras_retinanet.model.heads import Head, class_outputs
from keras_retinanet.model.retinanet import RetinaNet
from keras_retinanet.model.ssd import build_ssd_parts
from keras_retinanet.model.tower import SharedTower


def build(
    model: ModelConfig | None = None,
    *,
    class_names: Sequence[str],
    anchors: AnchorConfig | None = None,
    default_boxes: DefaultBoxConfig | None = None,
    assigner: AssignerConfig | None = None,
    loss: LossConfig | None = None,
    resize: ResizeConfig | None = None,
    filter: FilterConfig | None = None,
    backbone_options: Mapping[str, Any] | None = None,
    box_coder: BoxCoder | None = None,
) -> RetinaNet:
    """Builds a RetinaNet or an SSD from its settings, which default to those of its paper.

    Args:
        model: Architecture, backbone, its weights, and the sizes of pyramid and heads.
        class_names: Names of the labels `0 … K-1`.
        anchors: Anchors of each level.
        default_boxes: Default boxes of an SSD, in place of the architecture's own.
        assigner: Which anchor learns which box.
        loss: Names and constants of the losses.
        resize: How images become network input.
        filter: Defaults of the inference model.
        backbone_options: Further arguments of the backbone, such as `ResNetOptions`.
        box_coder: Box coder, where its settings differ from the defaults of `model.box_coder`.

    Returns:
        A built, uncompiled model.

    Raises:
        ValueError: Unknown backbone, no list of class names, or numbers of levels and of anchor sizes that differ.

    Example:
        >>> model = build(ModelConfig(backbone="resnet18", weights="none"), class_names=["cat", "dog"])
        >>> model.class_head.outputs_per_anchor
        2
    """
    if isinstance(class_names, str) or not len(class_names):
        raise ValueError(f"class_names must be a list with at least one name, as ['cat', 'dog'], not {class_names!r}.")
    own = default_network(model or ModelConfig())
    given: dict[str, Any] = {
        "anchors": anchors, "default_boxes": default_boxes, "assigner": assigner, "loss": loss, "resize": resize,
        "filter": filter,
    }  # fmt: skip
    config = dataclasses.replace(own, **{name: group for name, group in given.items() if group is not None})
    parts = _build_retinanet_parts if config.model.architecture == "retinanet" else build_ssd_parts
    return RetinaNet(
        *parts(config, len(class_names), backbone_options or {}, box_coder),
        class_names=class_names,
        assigner_config=config.assigner,
        loss_config=config.loss,
        resize_config=config.resize,
        filter_config=config.filter,
        metadata={"model": to_dict(config.model)},
        name=config.model.architecture,
    )


def _build_retinanet_parts(
    config: NetworkConfig, num_classes: int, backbone_options: Mapping[str, Any], box_coder: BoxCoder | None
) -> tuple[Any, ...]:
    """The positional arguments of `RetinaNet`."""
    model = config.model
    if model.backbone not in BACKBONES:
        raise ValueError(f"Unknown backbone {model.backbone!r}; known are {', '.join(BACKBONES)}.")
    anchors = anchor_layer(config)
    neck = _build_neck(model)
    if len(neck.levels) != len(anchors.bases):
        raise ValueError(
            f"The pyramid has the levels {', '.join(neck.levels)}: anchors need {len(neck.levels)} sizes and "
            f"strides; received sizes {anchors.sizes} and strides {anchors.strides}."
        )
    counts = anchors.num_anchors
    head: dict[str, Any] = {
        "num_anchors": counts[0] if len(set(counts)) == 1 else counts,
        "is_shared": model.has_shared_heads,
        **_tower_settings(model),
    }
    if model.has_shared_tower:
        head["depth"] = 0
    coder = box_coder or BoxCoder(model.box_coder, reg_max=model.reg_max, name="box_coder")
    return (
        BACKBONES[model.backbone](weights=None if model.weights == "none" else model.weights, **backbone_options),
        neck,
        Head(**head, **class_outputs(config.loss, num_classes, config.model.prior), name="class_head"),
        Head(coder.num_deltas, **head, has_quality=model.has_quality, name="box_head"),
        anchors,
        coder,
    )


def _build_neck(model: ModelConfig) -> FeaturePyramid | SharedTower:
    arguments: dict[str, Any] = {
        "width": model.fpn_width,
        "min_level": model.min_level,
        "max_level": model.max_level,
        "p6_source": model.p6_source,
        "stride_padding": model.stride_padding,
        "has_relu_before_p7": model.has_relu_before_p7,
        "norm": model.fpn_norm,
        "norm_epsilon": model.fpn_norm_epsilon,
        "norm_momentum": model.norm_momentum,
        "has_bias": model.has_fpn_bias,
        "activation": model.activation,
        "has_output_activation": model.has_fpn_activation,
        "carried": model.fpn_carried,
        "has_top_output": model.has_top_output,
        "extra_input": model.extra_input,
        "is_separable": model.is_fpn_separable,
    }
    if model.has_shared_tower:
        return SharedTower(arguments, _tower_settings(model), name="shared_tower")
    return FeaturePyramid(**arguments, name="feature_pyramid")


def _tower_settings(model: ModelConfig) -> dict[str, Any]:
    return {
        "width": model.head_width,
        "depth": model.head_depth,
        "norm": model.head_norm,
        "norm_epsilon": model.head_norm_epsilon,
        "norm_momentum": model.norm_momentum,
        "has_bias": model.has_head_bias,
        "activation": model.activation,
        "is_separable": model.is_head_separable,
    }
