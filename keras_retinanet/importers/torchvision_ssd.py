"""SSD of torchvision: `ssd300_vgg16` and `ssdlite320_mobilenet_v3_large`.

Images are stretched to a square in floating point. Class 0 is the background, which comes last here; the other labels
are one lower. Default boxes, thresholds and box coding are those of the library's constructors.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from keras_retinanet.backbones.normalize import TF
from keras_retinanet.backbones.ssd_vgg import BLOCKS, SSD_VGG
from keras_retinanet.config import AnchorConfig, ArchitectureName, ModelConfig
from keras_retinanet.config.architectures import ARCHITECTURES, default_network
from keras_retinanet.importers.blueprint import TORCH_SPELLING, Blueprint, CheckpointError, Overrides
from keras_retinanet.importers.head_shapes import count_consecutive, find_classes, replaced, shape_of
from keras_retinanet.model.class_transfer import default_class_names
from keras_retinanet.model.ssd import BOX_STD
from keras_retinanet.weight_files.weight_file import WeightFile

_CLASS, _BOX = "head.classification_head.module_list.", "head.regression_head.module_list."
_SQUEEZED = (3, 4, 5, 10, 11, 12, 13, 14)
"""Blocks of MobileNetV3-Large with squeeze and excitation."""
_SPELLING = dataclasses.replace(TORCH_SPELLING, kinds={**TORCH_SPELLING.kinds, "scale": "scale_weight"})


def recognises(file: WeightFile) -> bool:
    """Whether the tensors are those of torchvision's SSD."""
    return f"{_CLASS}0.weight" in file.tensors or f"{_CLASS}0.1.weight" in file.tensors


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
    tensors, notes = file.tensors, list[str]()
    is_lite = f"{_CLASS}0.1.weight" in tensors
    name: ArchitectureName = "ssdlite320_mobilenet_v3_large" if is_lite else "ssd300_vgg16"
    config = default_network(ModelConfig(weights="none", architecture=name))
    final = f"{_CLASS}{{}}.1.weight" if is_lite else f"{_CLASS}{{}}.weight"
    names, kept = _find_classes(_count_classes(tensors, final, ARCHITECTURES[name].map_sides), overrides, notes)
    return Blueprint(
        "torchvision",
        tensors,
        _lite_namer() if is_lite else _vgg_namer(),
        _SPELLING,
        config.model,
        names,
        AnchorConfig(),
        replaced(config.resize, {"method": "float", **overrides.resize}),
        replaced(config.filter, overrides.filter),
        kept_classes=kept,
        backbone_options=_read_lite_options(tensors) if is_lite else {"normalization": SSD_VGG},
        box_coder={"std": BOX_STD},
        notes=tuple(notes),
        default_boxes=config.default_boxes,
        loss=dataclasses.replace(config.loss, classification="multibox"),
    )


def _count_classes(tensors: Mapping[str, np.ndarray], pattern: str, map_sides: tuple[int, ...]) -> int:
    """Classes of the heads, the background included."""
    if (count := count_consecutive(tensors, pattern)) != len(map_sides):
        raise CheckpointError(f"The heads have {count} maps; an SSD of torchvision has {len(map_sides)}.")
    boxes = shape_of(tensors, pattern.format(0).replace(_CLASS, _BOX))[0]
    classes, rest = divmod(shape_of(tensors, pattern.format(0))[0], max(boxes // 4, 1))
    if boxes % 4 or rest or classes < 2:
        raise CheckpointError(f"A box head of {boxes} channels and {classes} classes belong to no SSD.")
    return classes


def _find_classes(count: int, overrides: Overrides, notes: list[str]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Names of the labels, and the checkpoint's index of each, then that of the background."""
    given = overrides.class_names
    if given is not None and len(given) != count - 1:
        raise CheckpointError(
            f"The class head has {count - 1} classes and the background; --class-names names {len(given)}."
        )
    with_background = dataclasses.replace(overrides, class_names=None if given is None else ("", *given))
    names, kept = find_classes(count, None, with_background, notes)
    if kept is not None:
        return names, (*kept, 0)
    names = default_class_names(count - 1) if names == default_class_names(count) else names[1:]
    return names, (*range(1, count), 0)


def _read_lite_options(tensors: Mapping[str, np.ndarray]) -> dict[str, Any]:
    last = shape_of(tensors, "backbone.features.1.3.0.weight")[0]
    return {"normalization": TF, "padding": "symmetric", "has_reduced_tail": last < 960}


def _lite_namer() -> Callable[[str], str]:
    """Places of the layers of SSDLite320; blocks are an expansion, a depthwise convolution, a squeeze, a projection."""
    normalised = {"backbone/conv": "backbone.features.0.0", "backbone/conv_1": "backbone.features.1.3"}
    places: dict[str, str] = {}
    for block in range(15):
        name = f"backbone/expanded_conv_{block}_" if block else "backbone/expanded_conv_"
        place = f"backbone.features.0.{block + 1}.block" if block < 12 else f"backbone.features.1.{block - 12}.block"
        place = place if block != 12 else "backbone.features.1.0"
        parts = ("expand", "depthwise", "squeeze_excite", "project")
        has = {"expand": block > 0, "squeeze_excite": block in _SQUEEZED}
        for index, part in enumerate(part for part in parts if has.get(part, True)):
            if part == "squeeze_excite":
                squeeze = {f"{name}{part}_conv": f"{place}.{index}.fc1", f"{name}{part}_conv_1": f"{place}.{index}.fc2"}
                places |= squeeze
            else:
                normalised[f"{name}{part}"] = f"{place}.{index}"
    normalised["backbone/expanded_conv_12_expand"] = "backbone.features.0.13"  # the end of the first map
    for level in range(4):
        normalised |= {f"neck/extra{level + 2}_{part}": f"backbone.extra.{level}.{part - 1}" for part in (1, 2, 3)}
    for head, own in {"class_head": _CLASS, "box_head": _BOX}.items():
        layers = {"conv0": "0.0", "norm0": "0.1", "final": "1"}
        places |= {f"{head}/{name}{k}": f"{own}{k}.{place}" for name, place in layers.items() for k in range(6)}
    places |= {name: f"{place}.0" for name, place in normalised.items()}
    places |= {f"{name}_bn": f"{place}.1" for name, place in normalised.items()}
    return places.__getitem__


def _vgg_namer() -> Callable[[str], str]:
    """Places of the layers of SSD300; torchvision counts activations and pools, too."""
    places, number = {"backbone/fc6": "backbone.extra.0.7.1", "backbone/fc7": "backbone.extra.0.7.3"}, 0
    for block, (_, convolutions) in enumerate(BLOCKS, 1):
        for index in range(1, convolutions + 1):
            own = f"backbone.features.{number}" if block < 5 else f"backbone.extra.0.{2 * index - 1}"
            places[f"backbone/block{block}_conv{index}"] = own
            number += 2
        number += 1
    places["neck/conv4_3_norm"] = "backbone"
    for extra in range(1, 5):
        places |= {f"neck/conv{7 + extra}_{part}": f"backbone.extra.{extra}.{2 * part - 2}" for part in (1, 2)}
    heads = {"class_head": _CLASS, "box_head": _BOX}
    places |= {f"{head}/final{level}": f"{place}{level}" for head, place in heads.items() for level in range(6)}
    return places.__getitem__
