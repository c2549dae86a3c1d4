"""Recognises the ResNet in a checkpoint of another library."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from keras_retinanet.backbones.torch_weights import find_groups
from keras_retinanet.config import BackboneName
from keras_retinanet.importers.blueprint import CheckpointError

DEPTHS: dict[tuple[tuple[int, ...], bool], BackboneName] = {
    ((2, 2, 2, 2), False): "resnet18",
    ((3, 4, 6, 3), False): "resnet34",
    ((3, 4, 6, 3), True): "resnet50",
    ((3, 4, 23, 3), True): "resnet101",
    ((3, 8, 36, 3), True): "resnet152",
}
"""Blocks per stage, and whether they are bottlenecks → our backbone."""


def find_resnet(names: Iterable[str], block: str, bottleneck: str) -> BackboneName:
    """Recognises a ResNet by the names of its tensors.

    Args:
        names: Names of all tensors.
        block: Regular expression of a name inside a residual block, with the groups `stage` (2 … 5, or 1 … 4) and
            `block`.
        bottleneck: Regular expression of a name that only bottlenecks have, such as a third convolution.

    Returns:
        Name of the backbone.

    Raises:
        CheckpointError: No ResNet here has these numbers of blocks.
    """
    names = list(names)
    found = [match for name in names if (match := re.match(block, name))]
    blocks: dict[int, set[str]] = {}
    for match in found:
        blocks.setdefault(int(match["stage"]), set()).add(match["block"])
    counts = tuple(len(blocks[stage]) for stage in sorted(blocks))
    has_bottlenecks = any(re.match(bottleneck, name) for name in names)
    if (counts, has_bottlenecks) not in DEPTHS:
        kind = "bottlenecks" if has_bottlenecks else "basic blocks"
        raise CheckpointError(
            f"The backbone has stages of {counts or 'no'} {kind}; ResNet-18, 34, 50, 101 and 152 can be imported."
        )
    return DEPTHS[counts, has_bottlenecks]


def group_options(tensors: Mapping[str, np.ndarray], kernel: str, backbone: BackboneName) -> dict[str, Any]:
    """The options of a ResNeXt or a wide ResNet in a checkpoint of PyTorch.

    Args:
        tensors: The checkpoint's.
        kernel: Name of the first 3x3 kernel of stage 2.
        backbone: The ResNet of its depth.

    Returns:
        Fields of `ResNetOptions`; none for a plain ResNet.
    """
    shape = tensors[kernel].shape if kernel in tensors else ()
    is_known = len(shape) == 4 and shape[1] and shape[0] % shape[1] == 0
    if backbone in ("resnet18", "resnet34") or not is_known or shape[:2] == (64, 64):
        return {}
    groups, width = find_groups(shape)
    return {"groups": groups, "group_width": width}
