"""The backbones of fizyr's snapshots: recognised by their layers, with the name of each of our layers in them."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_retinanet.backbones.normalize import CAFFE, TF, PixelStatistics
from keras_retinanet.backbones.resnet_names import place_of
from keras_retinanet.config import BackboneName
from keras_retinanet.importers.blueprint import CheckpointError, Overrides
from keras_retinanet.importers.fizyr_model_config import FizyrSettings
from keras_retinanet.importers.head_shapes import shape_of
from keras_retinanet.importers.resnet_depths import find_resnet

TF_BGR = PixelStatistics(TF.mean, TF.std, is_bgr=True)
"""fizyr's "tf" mode: pixels in -1 … 1, in BGR order."""
STEMS = {"padded": "symmetric", "same": "same"}
MOBILENET_PADS = {"symmetric": [[1, 1], [1, 1]], "corner": [[0, 1], [0, 1]]}
_MOBILENETS: dict[int, BackboneName] = {8: "mobilenet_025", 16: "mobilenet_050", 24: "mobilenet_075", 32: "mobilenet"}
_DENSENETS: dict[tuple[int, int], BackboneName] = {
    (24, 16): "densenet121",
    (32, 32): "densenet169",
    (48, 32): "densenet201",
}


@dataclass(frozen=True)
class FoundBackbone:
    """The backbone of a snapshot.

    Attributes:
        name: Name in `BACKBONES`.
        options: Its arguments.
        place: Function from our layer's name to the snapshot's.
    """

    name: BackboneName
    options: Mapping[str, Any]
    place: Callable[[str], str]


def find_backbone(
    layers: Collection[str],
    tensors: Mapping[str, np.ndarray],
    stored: FizyrSettings,
    overrides: Overrides,
    notes: list[str],
) -> FoundBackbone:
    """Recognises the backbone of a snapshot.

    Args:
        layers: Names of all layers, including those without weights, which distinguish the two stems of ResNet.
        tensors: Arrays by layer and kind.
        stored: Settings in the model's description.
        overrides: The user's settings.
        notes: Remarks are appended.

    Returns:
        The backbone.

    Raises:
        CheckpointError: There is no such backbone here.
    """
    if "bn_conv1" in layers:
        return _describe_resnet(layers, stored, overrides, notes)
    if "conv_dw_1" in layers:
        return _describe_mobilenet(layers, tensors, stored)
    if "conv1/conv" in layers or "conv2_block1_0_bn" in layers:
        return _describe_densenet(layers)
    if "block1_conv1" in layers:
        return FoundBackbone("vgg19" if "block3_conv4" in layers else "vgg16", {"normalization": CAFFE}, _keep_name)
    raise CheckpointError(
        f"Its backbone begins with {', '.join(map(repr, list(layers)[:4]))}; ResNet-50, 101, 152, VGG, MobileNet and "
        "DenseNet can be imported. SE-Nets and EfficientNets of other packages cannot."
    )


def _keep_name(layer: str) -> str:
    return layer


def _describe_resnet(
    layers: Collection[str], stored: FizyrSettings, overrides: Overrides, notes: list[str]
) -> FoundBackbone:
    names = sorted(layers)
    name = find_resnet(names, r"res(?P<stage>\d)(?P<block>[a-z]\d*)_branch2a$", r"res2a_branch2c$")
    stem = overrides.stem or ("padded" if "padding_conv1" in layers else "same")
    notes.append(f"Stem of keras-resnet {'0.1 (padded)' if stem == 'padded' else '0.2 (same)'}; --stem says otherwise.")
    is_numbered = {stage: f"res{stage}b1_branch2a" in layers for stage in (2, 3, 4, 5)}
    options = {
        "stem_padding": STEMS[stem],
        "pool_padding": "same",
        "epsilon": 1e-5 if stored.epsilon is None else stored.epsilon,
        "normalization": CAFFE,
    }

    def place(layer: str) -> str:
        kind, stage, block, index = place_of(layer)
        if stage == 0:
            return "conv1" if kind == "conv" else "bn_conv1"
        letter = f"b{block - 1}" if is_numbered[stage] and block > 1 else "abcdefghijklmnopqrstuvwxyz"[block - 1]
        branch = f"branch2{'abc'[index - 1]}" if index else "branch1"
        return f"{'res' if kind == 'conv' else 'bn'}{stage}{letter}_{branch}"

    return FoundBackbone(name, options, place)


def _describe_mobilenet(
    layers: Collection[str], tensors: Mapping[str, np.ndarray], stored: FizyrSettings
) -> FoundBackbone:
    width = shape_of(tensors, "conv1/kernel")[-1]
    if width not in _MOBILENETS:
        raise CheckpointError(f"Its MobileNet begins with {width} channels; α of 0.25, 0.5, 0.75 and 1 have 8 to 32.")
    # Keras 2.1.6 padded in front of every depthwise convolution, later ones only where it has a stride.
    padded = "symmetric" if "conv_pad_1" in layers else "corner"
    if stored.stem_pad not in (None, MOBILENET_PADS[padded]):
        raise CheckpointError(f"Its MobileNet pads images by {stored.stem_pad}, which no version of Keras does.")
    options = {
        "normalization": TF_BGR,
        "stem_padding": padded if "conv1_pad" in layers else "same",
        "block_padding": padded if "conv_pad_2" in layers else "same",
    }
    return FoundBackbone(_MOBILENETS[width], options, _keep_name)


def _describe_densenet(layers: Collection[str]) -> FoundBackbone:
    blocks = tuple(
        max((int(m[1]) for name in layers if (m := re.match(rf"conv{stage}_block(\d+)_1_conv$", name))), default=0)
        for stage in (4, 5)
    )
    if blocks not in _DENSENETS:
        raise CheckpointError(f"Its DenseNet has {blocks[0]} and {blocks[1]} layers in the last two blocks.")
    name = _DENSENETS[blocks]
    # fizyr cuts before the last normalisation, which keras.applications' weights end with.
    options = {"normalization": TF_BGR, "taps": {"C5": f"conv5_block{blocks[1]}_concat"}}
    return FoundBackbone(name, options, lambda layer: re.sub(r"^conv1_(conv|bn)$", r"conv1/\1", layer))
