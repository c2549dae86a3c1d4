"""Snapshots of fizyr/keras-retinanet: `.h5` of training and inference models, whole or weights alone.

Corner coding, BGR, images without padding, boxes that end one pixel before the edge, TensorFlow's "same" padding on the
coarse levels. The settings are read from the JSON of the model's description; nothing in it is deserialised.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_retinanet.config import FilterConfig, ModelConfig, ResizeConfig
from keras_retinanet.importers.blueprint import KERAS_SPELLING, Blueprint, CheckpointError, Overrides, by_part
from keras_retinanet.importers.fizyr_backbones import find_backbone
from keras_retinanet.importers.fizyr_model_config import FizyrSettings, read_model_config
from keras_retinanet.importers.head_shapes import (
    count_anchors_and_classes,
    find_anchors,
    find_classes,
    replaced,
    shape_of,
)
from keras_retinanet.weight_files.keras_hdf5 import KerasHdf5
from keras_retinanet.weight_files.weight_file import WeightFile

SUBMODELS = {"class_head": "classification", "box_head": "regression"}
FIRST_VERSION, FIRST_SURE_VERSION = (2, 1, 3), (2, 1, 6)
"""Keras of January 2018; and of 23 April 2018, four days after fizyr changed the coding of boxes."""


def recognises(file: WeightFile) -> bool:
    """Whether the layers are those of fizyr's RetinaNet."""
    return file.keras is not None and "regression_submodel" in file.keras.layers


def describe(file: WeightFile, overrides: Overrides) -> Blueprint:
    """Reads the blueprint of a checkpoint. Arguments, result and errors as `torchvision.describe`."""
    if file.keras is None:
        raise CheckpointError("fizyr's snapshots are HDF5 files of Keras 2.")
    notes: list[str] = []
    _check_version(file.keras.version, notes)
    stored = read_model_config(file.keras.config)
    tensors = named_arrays(file.keras)
    backbone = find_backbone(file.keras.layers, tensors, stored, overrides, notes)
    levels = _find_levels(tensors)
    depth = _count_convolutions(tensors, "regression")
    count, classes = count_anchors_and_classes(
        shape_of(tensors, "pyramid_regression/bias")[0], shape_of(tensors, "pyramid_classification/bias")[0]
    )
    names, kept = find_classes(classes, None, overrides, notes)
    return Blueprint(
        "fizyr",
        tensors,
        by_part(backbone.place, _name_neck_layer, _name_head_layer),
        KERAS_SPELLING,
        ModelConfig(
            backbone.name,
            "none",
            min_level=levels[0],
            max_level=levels[-1],
            stride_padding="same",
            fpn_width=shape_of(tensors, "C5_reduced/kernel")[-1],
            head_width=shape_of(tensors, "pyramid_regression_0/kernel")[-1],
            head_depth=depth,
            box_coder="corner",
        ),
        names,
        find_anchors(count, levels, _read_anchors(stored, levels, notes), overrides, notes),
        replaced(
            ResizeConfig(800, 1333, pad_multiple=1, rounding="even", method="cv2", has_one_scale=True), overrides.resize
        ),
        replaced(FilterConfig(0.05, 0.5, 300, 5000, clip_margin=1), {**stored.filter, **overrides.filter}),
        kept_classes=kept,
        backbone_options=backbone.options,
        box_coder={"std": stored.std},
        is_not_weight=lambda name: re.match(r"anchors(_\d+)?/", name) is not None,
        notes=tuple(notes),
    )


def named_arrays(keras: KerasHdf5) -> dict[str, np.ndarray]:
    """Names the arrays by layer and kind, such as `conv1/kernel`.

    Their saved names are not used, because they depend on how many models the process had built. In a submodel the
    convolutions are in order, kernel before bias; the last one is the output.

    Args:
        keras: Content of the file.

    Returns:
        Name → array in the file's order.

    Raises:
        CheckpointError: A submodel holds something else.
    """
    arrays: dict[str, np.ndarray] = {}
    for layer, saved in keras.layers.items():
        purpose = layer.removesuffix("_submodel")
        if layer.endswith("_submodel") and purpose in SUBMODELS.values():
            if len(saved) < 4 or len(saved) % 2 or any(value.ndim != 4 for _, value in saved[::2]):
                raise CheckpointError(f"{layer!r} is not a sequence of convolutions with biases.")
            for position, (_, value) in enumerate(saved):
                index = "" if position >= len(saved) - 2 else f"_{position // 2}"
                arrays[f"pyramid_{purpose}{index}/{'bias' if position % 2 else 'kernel'}"] = value
        else:
            for name, value in saved:
                arrays[f"{layer}/{name.rpartition('/')[2]}"] = value
    return arrays


def _check_version(version: str | None, notes: list[str]) -> None:
    found = re.match(r"(\d+)\.(\d+)\.(\d+)", version or "")
    if found is None:
        return
    numbers = tuple(int(part) for part in found.groups())
    if numbers < FIRST_VERSION:
        raise CheckpointError(
            f"It was written with Keras {version}, before 2018: such snapshots code boxes by centre and size, and the "
            "library's layers were others. Convert it with the keras-retinanet of that time, or train again."
        )
    if numbers < FIRST_SURE_VERSION:
        notes.append(
            f"Written with Keras {version}: where the snapshot is from before 19 April 2018, fizyr coded boxes in "
            "another way, and the boxes will be wrong. Look at some detections."
        )


def _find_levels(tensors: Mapping[str, np.ndarray]) -> list[int]:
    levels = [level for level in range(2, 8) if f"P{level}/kernel" in tensors]
    if levels not in (list(range(low, high)) for low in (2, 3) for high in (6, 7, 8)):
        raise CheckpointError(f"The pyramid has the levels {levels}; from 2 or 3 to 5, 6 or 7 can be imported.")
    return levels


def _count_convolutions(tensors: Mapping[str, np.ndarray], purpose: str) -> int:
    return sum(re.fullmatch(rf"pyramid_{purpose}_\d+/kernel", name) is not None for name in tensors)


def _read_anchors(stored: FizyrSettings, levels: list[int], notes: list[str]) -> dict[str, Any]:
    if not stored.anchors:
        return {}
    if len(stored.anchors["sizes"]) != len(levels):
        raise CheckpointError(
            f"It describes {len(stored.anchors['sizes'])} levels of anchors for {len(levels)} of maps."
        )
    notes.append("Anchors are those stored in the file.")
    return stored.anchors


def _name_neck_layer(kind: str, level: int) -> str:
    return f"C{level}_reduced" if kind == "lateral" else f"P{level}"


def _name_head_layer(head: str, layer: str) -> str:
    return f"pyramid_{SUBMODELS[head]}{'' if layer == 'final' else f'_{layer[4:]}'}"
