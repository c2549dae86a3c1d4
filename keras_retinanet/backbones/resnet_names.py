"""Names of the layers of `backbones.resnet`, and what other frameworks call them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal, NamedTuple, cast


class Place(NamedTuple):
    """Position of a layer in a ResNet."""

    kind: Literal["conv", "bn"]
    stage: int
    """2 … 5, 0 for the stem."""
    block: int
    """From 1, 0 for the stem."""
    number: int
    """Of the convolution in its block, from 1; 0 for the projection of the shortcut and for the stem."""


def place_of(layer: str) -> Place:
    """Position of a layer with weights, from its name such as `stage3_block1_conv2`."""
    if layer.startswith("stem_"):
        return Place(cast(Literal["conv", "bn"], layer.removeprefix("stem_")), 0, 0, 0)
    match = re.fullmatch(r"stage(\d)_block(\d+)_(shortcut_)?(conv|bn)(\d?)", layer)
    assert match is not None, layer
    return Place(cast(Literal["conv", "bn"], match[4]), int(match[1]), int(match[2]), int(match[5] or 0))


def torch_resnet_names(prefix: str) -> Callable[[str], str]:
    """From our layer's name to that of torchvision, timm and MMDetection.

    Args:
        prefix: Prefix of every name, such as `"backbone.body."`.

    Returns:
        `stage3_block1_conv2` → `<prefix>layer2.0.conv2`.
    """

    def spell(layer: str) -> str:
        kind, stage, block, index = place_of(layer)
        if stage == 0:
            return f"{prefix}{kind}1"
        tail = f"{kind}{index}" if index else f"downsample.{0 if kind == 'conv' else 1}"
        return f"{prefix}layer{stage - 1}.{block - 1}.{tail}"

    return spell
