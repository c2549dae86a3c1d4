"""RetinaNet of KerasCV 0.9 on its ResNets: a `.weights.h5` of Keras 3.

TensorFlow's "same" padding throughout, three convolutions in each head, anchors cut to the padded image, deltas with
y first times (0.1, 0.1, 0.2, 0.2), class-agnostic NMS at a score of 0.5. The file holds weights only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from keras_retinanet.backbones.normalize import PixelStatistics
from keras_retinanet.backbones.resnet_names import place_of
from keras_retinanet.config import BackboneName, FilterConfig, ModelConfig, ResizeConfig
from keras_retinanet.importers.blueprint import Blueprint, CheckpointError, Overrides, by_part
from keras_retinanet.importers.head_shapes import (
    count_anchors_and_classes,
    count_consecutive,
    find_anchors,
    find_classes,
    replaced,
    scale_major_order,
    shape_of,
)
from keras_retinanet.importers.keras_hub import KERAS3_SPELLING, number_name, order_convolutions
from keras_retinanet.importers.resnet_depths import DEPTHS
from keras_retinanet.weight_files.keras_hdf5 import has_array, read_tree
from keras_retinanet.weight_files.weight_file import WeightFile

_FPN, _ENCODER = "layers/feature_pyramid/", "layers/functional/layers/"
_HEADS = ("layers/prediction_head", "layers/prediction_head_1")
_RESCALING = PixelStatistics((0.0, 0.0, 0.0), (255.0, 255.0, 255.0))


def recognises(file: WeightFile) -> bool:
    """Whether the file holds weights of KerasCV's RetinaNet."""
    return file.layout == "keras3_hdf5" and has_array(file.path, f"{_FPN}conv_c3_1x1/vars/0")


def describe(file: WeightFile, overrides: Overrides) -> Blueprint:
    """Reads the blueprint of a checkpoint. Arguments, result and errors as `torchvision.describe`."""
    tensors, notes = read_tree(file.path), list[str]()
    name = _find_resnet(tensors)
    heads = _find_heads(tensors)
    outputs = [shape_of(tensors, f"{heads[head]}/prediction_layer/vars/0")[-1] for head in ("box_head", "class_head")]
    count, classes = count_anchors_and_classes(*outputs)
    names, kept = find_classes(classes, None, overrides, notes)
    fixed = {"ratios": (2.0, 1.0, 0.5), "offset": 0.5, "is_clipped": True}  # ½, 1, 2 as width over height
    anchors = find_anchors(count, range(3, 8), fixed, overrides, notes)
    notes.append(
        "The file holds neither anchors nor preprocessing: KerasCV's default anchors were taken, pixels are divided by "
        "255 (`include_rescaling=True`; else give --pixel-mean and --pixel-std), and images become 640×640, their "
        "proportions kept (--image-max-side)."
    )
    return Blueprint(
        "keras_cv",
        tensors,
        by_part(_backbone_namer(name), _name_neck_layer, _head_namer(heads)),
        KERAS3_SPELLING,
        _read_network(tensors, name, heads),
        names,
        anchors,
        replaced(ResizeConfig(640, 640, is_square=True, method="float"), overrides.resize),
        replaced(FilterConfig(0.5, 0.5, 100, top_k=5000, nms="agnostic", clip="never"), overrides.filter),
        kept_classes=kept,
        anchor_order=scale_major_order(anchors),
        box_order=(1, 0, 3, 2),
        backbone_options={
            "stride_on": "1x1", "epsilon": 1.001e-5, "normalization": _RESCALING,
            "stem_padding": "same", "pool_padding": "same", "block_padding": "same",
        },
        box_coder={"std": (0.1, 0.1, 0.2, 0.2), "max_log_scale": None},
        is_not_weight=lambda tensor: "seed_generator" in tensor or tensor.startswith(("optimizer/", "vars/")),
        notes=tuple(notes),
    )  # fmt: skip


def _read_network(tensors: Mapping[str, np.ndarray], name: BackboneName, heads: Mapping[str, str]) -> ModelConfig:
    tower = f"{heads['class_head']}/conv_layers/conv2d"
    return ModelConfig(
        name,
        "none",
        stride_padding="same",
        fpn_width=shape_of(tensors, f"{_FPN}conv_c3_1x1/vars/0")[-1],
        head_width=shape_of(tensors, f"{tower}/vars/0")[-1],
        head_depth=1 + count_consecutive(tensors, f"{tower}_{{}}/vars/0", start=1),
    )


def _find_resnet(tensors: Mapping[str, np.ndarray]) -> BackboneName:
    """The ResNet whose kernels, in Keras' order, have the shapes of the file."""
    count = 1 + count_consecutive(tensors, f"{_ENCODER}conv2d_{{}}/vars/0", start=1)
    for (_, has_bottlenecks), name in DEPTHS.items():
        order = order_convolutions(name)
        first = shape_of(tensors, f"{_ENCODER}conv2d_1/vars/0")[0]
        if len(order) == count and first == (1 if has_bottlenecks else 3):
            return name
    raise CheckpointError(
        f"Its backbone has {count} convolutions; KerasCV's ResNet-18, 34, 50, 101 and 152 (not V2) can be imported."
    )


def _find_heads(tensors: Mapping[str, np.ndarray]) -> dict[str, str]:
    """Which head is which: boxes have 36 outputs, and Keras lists their head first."""
    sizes = [shape_of(tensors, f"{head}/prediction_layer/vars/0")[-1] for head in _HEADS]
    box, label = reversed(_HEADS) if sizes[0] != 36 and sizes[1] == 36 else _HEADS
    return {"box_head": box, "class_head": label}


def _backbone_namer(name: BackboneName) -> Callable[[str], str]:
    order = order_convolutions(name)

    def place(layer: str) -> str:
        kind, stage, block, index = place_of(layer)
        base = "conv2d" if kind == "conv" else "batch_normalization"
        return _ENCODER + number_name(base, order.index((stage, block, index)))

    return place


def _name_neck_layer(kind: str, level: int) -> str:
    return f"{_FPN}conv_c{level}_{'1x1' if kind == 'lateral' else '3x3'}"


def _head_namer(heads: Mapping[str, str]) -> Callable[[str, str], str]:
    def place(head: str, layer: str) -> str:
        if layer == "final":
            return f"{heads[head]}/prediction_layer"
        return f"{heads[head]}/conv_layers/{number_name('conv2d', int(layer[4:]))}"

    return place
