"""Which settings of a model torchvision's RetinaNets have, and the arguments that make one with the others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import keras
from keras import layers

from keras_retinanet.config import FilterConfig, ResizeConfig
from keras_retinanet.geometry.box_coder import MAX_LOG_SCALE
from keras_retinanet.model.detection_model import DetectionModel
from keras_retinanet.model.fpn import FeaturePyramid
from keras_retinanet.model.retinanet import RetinaNet

V1, V2 = "retinanet_resnet50_fpn", "retinanet_resnet50_fpn_v2"
_SIZES = tuple((side, int(side * 2 ** (1 / 3)), int(side * 2 ** (2 / 3))) for side in (32, 64, 128, 256, 512))
_RATIOS = (0.5, 1.0, 2.0)
_PYRAMID = {
    "width": 256, "min_level": 3, "max_level": 7, "stride_padding": "symmetric", "has_relu_before_p7": True,
    "norm": "none", "has_bias": True, "activation": "relu", "has_output_activation": False, "carried": "sum",
    "has_top_output": True, "is_separable": False,
}  # fmt: skip
_HEAD = {
    "width": 256, "depth": 4, "activation": "relu", "is_separable": False, "is_shared": True, "has_quality": False,
    "has_background": False,
}  # fmt: skip
_BACKBONE = {
    "stride_on": "3x3", "stem_padding": "symmetric", "pool_padding": "symmetric", "block_padding": "symmetric",
    "activation": "relu", "groups": 1, "group_width": 64,
}  # fmt: skip
_ANCHORS = {
    "offset": 0.0, "is_rounded": True, "stride_mode": "grid", "offset_rule": "always", "is_clipped": False
}  # fmt: skip
_CODER = {"coder": "center", "max_log_scale": MAX_LOG_SCALE, "min_log_scale": None}


class UnsupportedSettingError(ValueError):
    """A setting of a model that torchvision's RetinaNets do not have."""


class Setting(NamedTuple):
    """A setting of a model, next to the only value that torchvision has."""

    name: str
    found: Any
    allowed: Any


def choose_builder(network: RetinaNet) -> str:
    """Chooses the function of torchvision that builds the same network.

    Args:
        network: The network.

    Returns:
        `V1` or `V2`.

    Raises:
        UnsupportedSettingError: Neither does; the message names the settings that differ.
    """
    wrong = [setting for setting in _iterate_settings(network) if setting.found != setting.allowed]
    if wrong:
        listed = "; ".join(f"{name} is {found!r}, not {allowed!r}" for name, found, allowed in wrong)
        raise UnsupportedSettingError(f"torchvision has no RetinaNet with these settings: {listed}.{_advise(wrong)}")
    norm, source = network.class_head.norm, network.neck.p6_source
    builder = {("none", "P5"): V1, ("group", "C5"): V2}.get((norm, source))
    if builder is None:
        raise UnsupportedSettingError(
            f"model.head_norm is {norm!r} with model.p6_source {source!r}; torchvision has 'none' with 'P5' "
            f"({V1}) and 'group' with 'C5' ({V2})."
        )
    if builder == V2 and set(network.anchors.num_anchors) != {9}:
        raise UnsupportedSettingError(f"The anchors are {network.anchors.num_anchors} per cell; {V2} has 9.")
    return builder


def _iterate_settings(network: RetinaNet) -> Iterator[Setting]:
    yield Setting("model.backbone", network.backbone.name, "resnet50")
    if network.backbone.name != "resnet50":
        return
    options = _read_options(network.backbone)
    yield from (Setting(f"backbone {name}", options[name], allowed) for name, allowed in _BACKBONE.items())
    yield Setting("model.has_shared_tower", not isinstance(network.neck, FeaturePyramid), False)
    if isinstance(network.neck, FeaturePyramid):
        yield from (Setting(f"pyramid {name}", getattr(network.neck, name), _PYRAMID[name]) for name in _PYRAMID)
    for part in ("class_head", "box_head"):
        head = getattr(network, part)
        yield from (Setting(f"{part} {name}", getattr(head, name), allowed) for name, allowed in _HEAD.items())
        if head.norm == "group":
            yield Setting(f"{part} has_bias", head.has_bias, False)
            yield Setting(f"{part} norm_epsilon", head.norm_epsilon, 1e-5)
    yield from (Setting(f"anchors.{name}", getattr(network.anchors, name), _ANCHORS[name]) for name in _ANCHORS)
    yield from (Setting(f"box coder {name}", getattr(network.box_coder, name), _CODER[name]) for name in _CODER)


def _read_options(backbone: keras.Model) -> dict[str, Any]:
    """The `ResNetOptions` that a ResNet of bottlenecks was built with, from its layers."""
    names = {layer.name for layer in backbone.layers}

    def padding(layer: str) -> str:
        return "symmetric" if layer in names else "same"

    first, second = (backbone.get_layer(f"stage3_block1_conv{index}") for index in (1, 2))
    strided = 1 if first.strides[0] > 1 else 2
    relu = backbone.get_layer("stem_relu")
    return {
        "stride_on": "1x1" if strided == 1 else "3x3",
        "stem_padding": padding("stem_pad"),
        "pool_padding": padding("stem_pool_pad"),
        "block_padding": "symmetric" if strided == 1 else padding("stage3_block1_pad2"),
        "activation": "relu" if isinstance(relu, layers.ReLU) else relu.activation.__name__,
        "groups": second.groups,
        "group_width": backbone.get_layer("stage2_block1_conv2").kernel.shape[2],
    }


def _advise(wrong: list[Setting]) -> str:
    """What to do about the setting that most models differ in."""
    if any(name.startswith(("backbone ", "anchors.")) for name, _, _ in wrong):
        return (
            " To train a model that it has, start from a checkpoint of torchvision: `retinanet-train … --weights "
            "retinanet_resnet50_fpn_v2_coco.pth` keeps network and anchors."
        )
    return ""


def builder_arguments(model: DetectionModel) -> dict[str, Any]:
    """The arguments that make torchvision's model preprocess and filter as this one, where they are not its defaults.

    Args:
        model: The model.

    Returns:
        Name → value.
    """
    network, filter = model.network, model.filter_config
    pixels = network.backbone.get_layer("normalize")
    resize = network.resize_config
    mean, std = ([round(value / 255, 9) for value in values] for values in (pixels.mean, pixels.std))
    arguments = {
        "min_size": resize.min_side,
        "max_size": resize.max_side,
        "image_mean": mean,
        "image_std": std,
        "score_thresh": filter.score_threshold,
        "nms_thresh": filter.nms_threshold,
        "detections_per_img": filter.max_detections,
        "topk_candidates": filter.top_k,
    }
    usual = {
        "min_size": 800, "max_size": 1333, "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225],
        "score_thresh": 0.05, "nms_thresh": 0.5, "detections_per_img": 300, "topk_candidates": 1000,
    }  # fmt: skip
    return {name: value for name, value in arguments.items() if value != usual[name]}


def anchor_cells(network: RetinaNet) -> tuple[tuple[tuple[float, ...], ...], tuple[float, ...]] | None:
    """The sizes of each level and the ratios for torchvision's `AnchorGenerator`; `None` for its defaults.

    Args:
        network: The network.

    Returns:
        Sizes per level, and ratios (height over width).
    """
    anchors = network.anchors
    sizes = tuple(
        tuple(int(round(size * scale, 6)) if anchors.has_whole_sizes else size * scale for scale in scales)
        for size, scales in zip(anchors.sizes, anchors.level_scales, strict=True)
    )
    return None if (sizes, anchors.ratios) == (_SIZES, _RATIOS) else (sizes, anchors.ratios)


def list_differences(resize: ResizeConfig, filter: FilterConfig) -> list[str]:
    """What torchvision does differently before and after the network, which no argument of it changes.

    Args:
        resize: The model's rule.
        filter: Its filter.

    Returns:
        One sentence per difference.
    """
    notes = []
    if resize.shape or resize.is_square:
        notes.append(f"Images are {resize} here; torchvision resizes them by their sides.")
    elif (resize.rounding, resize.method, resize.pad_multiple) != ("floor", "float", 32) or resize.antialias:
        notes.append(
            f"torchvision rounds the resized sides down, keeps fractions of pixels and pads to a multiple of 32; here "
            f"they are rounded to {resize.rounding!r} with method {resize.method!r}, padded to {resize.pad_multiple}."
        )
    usual = FilterConfig(
        filter.score_threshold, filter.nms_threshold, filter.max_detections, filter.top_k,
        quality_score=filter.quality_score,
    )  # fmt: skip
    own = [f"{name} {value!r}" for name, value in vars(filter).items() if value != getattr(usual, name)]
    if own:
        notes.append(f"The filter has settings that torchvision has not: {', '.join(own)}.")
    return notes
