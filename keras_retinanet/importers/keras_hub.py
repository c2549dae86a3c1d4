"""RetinaNet presets of KerasHub: a folder with `task.json`, `model.weights.h5` and `task.weights.h5`.

Torchvision's network and anchors with TensorFlow's "same" padding on the coarse levels, another epsilon in the heads,
and its own postprocessing: no limit on growth in box decoding, class-agnostic NMS, no clipping.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_retinanet.backbones.normalize import PixelStatistics
from keras_retinanet.backbones.resnet_names import place_of
from keras_retinanet.config import BackboneName, FilterConfig, ModelConfig, ResizeConfig
from keras_retinanet.importers.blueprint import Blueprint, CheckpointError, Overrides, Spelling, by_part
from keras_retinanet.importers.head_shapes import (
    MAX_SCALES,
    count_anchors_and_classes,
    count_consecutive,
    find_anchors,
    find_classes,
    replaced,
    shape_of,
)
from keras_retinanet.importers.resnet_depths import DEPTHS
from keras_retinanet.weight_files.keras_hdf5 import read_tree
from keras_retinanet.weight_files.weight_file import WeightFile

TASK, TASK_WEIGHTS, MODEL_WEIGHTS = "task.json", "task.weights.h5", "model.weights.h5"
KERAS3_SPELLING = Spelling(
    {"kernel": "0", "bias": "1", "gamma": "0", "beta": "1", "moving_mean": "2", "moving_variance": "3"},
    "/vars/",
    is_transposed=False,
)
_FPN, _ENCODER = "model/layers/feature_pyramid/", "model/layers/functional/layers/"
_HEADS = {"box_head": "task/layers/prediction_head", "class_head": "task/layers/prediction_head_1"}
_RESNET = {
    "input_conv_filters": [64], "input_conv_kernel_sizes": [7], "stackwise_num_filters": [64, 128, 256, 512],
    "stackwise_num_strides": [1, 2, 2, 2], "use_pre_activation": False,
}  # fmt: skip


def recognises(file: WeightFile) -> bool:
    """Whether the folder is a preset of KerasHub's RetinaNet."""
    if file.layout != "folder" or not (file.path / TASK).is_file():
        return False
    try:
        return str(_read_json(file.path / TASK).get("class_name")) == "RetinaNetObjectDetector"
    except CheckpointError:
        return False


def describe(file: WeightFile, overrides: Overrides) -> Blueprint:
    """Reads the blueprint of a checkpoint. Arguments, result and errors as `torchvision.describe`."""
    task = _require_config(_read_json(file.path / TASK))
    tensors, notes = _read_tensors(file.path), list[str]()
    try:
        backbone = _require_config(task["backbone"])
        levels = range(int(backbone["min_level"]), int(backbone["max_level"]) + 1)
        if not 2 <= levels.start < levels.stop <= 8:
            raise CheckpointError(f"Its pyramid runs from level {levels.start} to {levels.stop - 1}.")
        name = _find_resnet(task["backbone"], _require_config(backbone["image_encoder"]), backbone)
        anchors = _read_anchors(_require_config(task["anchor_generator"]), levels)
        filter = _read_filter(_require_config(task["prediction_decoder"]))
        is_grouped = bool(task["use_prediction_head_norm"])
        resize, pixels = _read_preprocessing(file.path, task, notes)
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{TASK} lacks something or is wrong: {type(error).__name__} {error}.") from error
    count, classes = count_anchors_and_classes(
        *(shape_of(tensors, f"{_HEADS[head]}/prediction_layer/vars/0")[-1] for head in ("box_head", "class_head"))
    )
    names, kept = find_classes(classes, None, overrides, notes)
    return Blueprint(
        "keras_hub",
        tensors,
        by_part(_backbone_namer(name), _neck_namer(levels[0]), _name_head_layer),
        KERAS3_SPELLING,
        _read_network(tensors, name, levels, is_grouped=is_grouped, has_c5=bool(backbone["use_p5"])),
        names,
        find_anchors(count, levels, anchors, overrides, notes),
        replaced(resize, overrides.resize),
        replaced(filter, overrides.filter),
        kept_classes=kept,
        backbone_options={"stride_on": "3x3", "epsilon": 1e-5, "normalization": pixels},
        box_coder={"max_log_scale": None},
        is_not_weight=lambda tensor: "seed_generator" in tensor or tensor.startswith("task/optimizer/"),
        notes=tuple(notes),
    )


def _read_network(
    tensors: Mapping[str, np.ndarray], name: BackboneName, levels: Sequence[int], *, is_grouped: bool, has_c5: bool
) -> ModelConfig:
    tower = f"{_HEADS['box_head']}/conv_layers/conv2d"
    return ModelConfig(
        name,
        "none",
        min_level=levels[0],
        max_level=levels[-1],
        p6_source="C5" if has_c5 else "P5",
        stride_padding="same",
        fpn_width=shape_of(tensors, f"{_FPN}lateral_conv_layers/conv2d/vars/0")[-1],
        head_width=shape_of(tensors, f"{tower}/vars/0")[-1],
        head_depth=1 + count_consecutive(tensors, f"{tower}_{{}}/vars/0", start=1),
        head_norm="group" if is_grouped else "none",
        head_norm_epsilon=1e-3,
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path.name} cannot be read: {error}.") from error
    if not isinstance(found, dict):
        raise CheckpointError(f"{path.name} holds a {type(found).__name__}.")
    return found


def _require_config(serialised: Any) -> dict[str, Any]:
    config = serialised.get("config") if isinstance(serialised, dict) else None
    if not isinstance(config, dict):
        raise CheckpointError(f"{TASK} lacks the settings of a part.")
    return config


def _find_resnet(
    serialised: Mapping[str, Any], encoder: Mapping[str, Any], backbone: Mapping[str, Any]
) -> BackboneName:
    kind, of = serialised.get("class_name"), backbone["image_encoder"].get("class_name")
    if kind != "RetinaNetBackbone" or of != "ResNetBackbone":
        raise CheckpointError(f"It is a {kind} on a {of}; a RetinaNetBackbone on a ResNetBackbone can be imported.")
    if backbone.get("use_fpn_batch_norm"):
        raise CheckpointError("Its pyramid has batch normalisation; one of plain convolutions can be imported.")
    wrong = {name: encoder.get(name) for name, value in _RESNET.items() if encoder.get(name) != value}
    key = tuple(encoder["stackwise_num_blocks"]), encoder["block_type"] == "bottleneck_block"
    if wrong or key not in DEPTHS or encoder["block_type"] not in ("bottleneck_block", "basic_block"):
        raise CheckpointError(f"Its ResNet is another one than ResNet-18, 34, 50, 101 or 152: {wrong or key}.")
    return DEPTHS[key]


def _read_anchors(generator: Mapping[str, Any], levels: Sequence[int]) -> dict[str, Any]:
    count = int(generator["num_scales"])
    if not 1 <= count <= MAX_SCALES:
        raise CheckpointError(f"{TASK} names {count} scales of anchors.")
    return {
        "sizes": tuple(float(generator["anchor_size"]) * 2**level for level in levels),
        "ratios": tuple(float(ratio) for ratio in generator["aspect_ratios"]),
        "scales": tuple(2 ** (index / count) for index in range(count)),
        "offset": 0.0,
        "is_rounded": True,
        "stride_mode": "grid",
    }


def _read_filter(decoder: Mapping[str, Any]) -> FilterConfig:
    return FilterConfig(
        float(decoder["confidence_threshold"]),
        float(decoder["iou_threshold"]),
        int(decoder["max_detections"]),
        top_k=5000,
        nms="agnostic",
        clip="never",
    )


def _read_preprocessing(
    folder: Path, task: Mapping[str, Any], notes: list[str]
) -> tuple[ResizeConfig, PixelStatistics]:
    """The resize rule and the normalisation of the preset's preprocessor."""
    stored = task.get("preprocessor") or (
        _read_json(folder / "preprocessor.json") if (folder / "preprocessor.json").is_file() else None
    )
    converter = _require_config(_require_config(stored)["image_converter"]) if stored else {}
    scale, offset = _read_channels(converter.get("scale"), 1.0), _read_channels(converter.get("offset"), 0.0)
    if min(scale) <= 0:
        raise CheckpointError(f"It normalises images with scale {scale} and offset {offset}.")
    std = tuple(1 / value for value in scale)
    mean = tuple(-shift * own for shift, own in zip(offset, std, strict=True))
    size = converter.get("image_size") or (800, 800)
    if not isinstance(size, (list, tuple)) or [type(side) for side in size] != [int, int]:
        raise CheckpointError(f"It makes images of the size {size}; two whole numbers can be imported.")
    way = "centred on black" if converter.get("pad_to_aspect_ratio") else "stretched or cropped"
    notes.append(
        f"KerasHub makes images {size[0]}×{size[1]}, {way}; here they keep their proportions, are placed in "
        "the corner, and are padded with the mean. On images of that size the outputs are equal."
    )
    side = int(max(size))
    antialias = bool(converter.get("antialias", False))
    return ResizeConfig(side, side, is_square=True, antialias=antialias), PixelStatistics(mean, std)  # type: ignore[arg-type]


def _read_channels(value: Any, default: float) -> tuple[float, ...]:
    """One number per channel, from a list, from one number for all channels, or from the default."""
    values = [default] if value is None else value if isinstance(value, (list, tuple)) else [value]
    if len(values) not in (1, 3) or any(not isinstance(number, (int, float)) for number in values):
        raise CheckpointError(f"It normalises images with {value!r}; one number or three can be imported.")
    return tuple(float(number) for number in values) * (3 if len(values) == 1 else 1)


def _read_tensors(folder: Path) -> dict[str, np.ndarray]:
    tensors = {f"model/{name}": value for name, value in read_tree(folder / MODEL_WEIGHTS).items()}
    return tensors | {f"task/{name}": value for name, value in read_tree(folder / TASK_WEIGHTS).items()}


def _backbone_namer(name: BackboneName) -> Callable[[str], str]:
    """Names of the backbone's layers, which are numbered by class in the order in which Keras lists them."""
    order = order_convolutions(name)

    def place(layer: str) -> str:
        kind, stage, block, index = place_of(layer)
        base = "conv2d" if kind == "conv" else "batch_normalization"
        return _ENCODER + number_name(base, order.index((stage, block, index)))

    return place


def _neck_namer(min_level: int) -> Callable[[str, int], str]:
    def place(kind: str, level: int) -> str:
        group = "lateral" if kind == "lateral" else "output"
        return f"{_FPN}{group}_conv_layers/{number_name('conv2d', level - min_level)}"

    return place


def _name_head_layer(head: str, layer: str) -> str:
    if layer == "final":
        return f"{_HEADS[head]}/prediction_layer"
    if layer.startswith("norm"):
        return f"{_HEADS[head]}/group_norm_layers/{number_name('group_normalization', int(layer[4:]))}"
    return f"{_HEADS[head]}/conv_layers/{number_name('conv2d', int(layer[4:]))}"


def number_name(base: str, index: int) -> str:
    """The name that Keras gives to the layer of this index among those of its class."""
    return f"{base}_{index}" if index else base


def order_convolutions(name: BackboneName) -> list[tuple[int, int, int]]:
    """The convolutions of a ResNet in the order in which Keras lists them.

    Args:
        name: Its name.

    Returns:
        Stage, block and index (0: shortcut) of each; the shortcut comes before the last of its block.
    """
    blocks, has_bottlenecks = next(key for key, value in DEPTHS.items() if value == name)
    order = [(0, 0, 0)]
    last = 3 if has_bottlenecks else 2
    for stage, count in enumerate(blocks, start=2):
        for block in range(1, count + 1):
            has_shortcut = block == 1 and (stage > 2 or has_bottlenecks)
            order += [(stage, block, index) for index in (*range(1, last), *([0] if has_shortcut else []), last)]
    return order
