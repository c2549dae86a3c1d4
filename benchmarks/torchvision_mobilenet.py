"""The backbone of the peer in `recipe_peers.py`: MobileNet with a feature pyramid, from the weights of Keras."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

STRIDED = (2, 4, 6, 12)
"""Depthwise convolutions that halve the map."""
ENDS = (5, 11, 13)
"""Blocks whose outputs are C3, C4 and C5."""


class _Convolution(nn.Module):
    """Convolution, batch normalisation and ReLU6; a strided one pads right and bottom, as Keras does."""

    def __init__(self, weights: dict[str, list[Any]], name: str, norm: str, stride: int) -> None:
        super().__init__()
        kernel = torch.from_numpy(weights[name][0])
        is_depthwise = "dw" in name
        order = (2, 3, 0, 1) if is_depthwise else (3, 2, 0, 1)
        kernel = kernel.permute(*order).contiguous()
        side = kernel.shape[-1]
        groups = len(kernel) if is_depthwise else 1
        padding = side // 2 if stride == 1 else 0
        self.pad = nn.ZeroPad2d((0, 1, 0, 1)) if stride == 2 else nn.Identity()
        inputs = groups if is_depthwise else kernel.shape[1]
        self.conv = nn.Conv2d(inputs, len(kernel), side, stride, padding, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(len(kernel), eps=1e-3)
        values = [self.norm.weight, self.norm.bias, self.norm.running_mean, self.norm.running_var]
        with torch.no_grad():
            self.conv.weight.copy_(kernel)
            for target, value in zip(values, weights[norm], strict=True):
                target.copy_(torch.from_numpy(value))

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.relu6(self.norm(self.conv(self.pad(x))))


class MobileNetPyramid(nn.Module):
    """Images in [-1, 1] to P3 … P7 of 256 channels.

    Args:
        weights: Layer of `keras.applications.MobileNet` → its arrays.
    """

    out_channels = 256

    def __init__(self, weights: dict[str, list[Any]]) -> None:
        super().__init__()
        blocks = [_Convolution(weights, "conv1", "conv1_bn", 2)]
        self.stages, widths = nn.ModuleList(), []
        for number in range(1, 14):
            stride = 2 if number in STRIDED else 1
            blocks.append(_Convolution(weights, f"conv_dw_{number}", f"conv_dw_{number}_bn", stride))
            blocks.append(_Convolution(weights, f"conv_pw_{number}", f"conv_pw_{number}_bn", 1))
            if number in ENDS:
                self.stages.append(nn.Sequential(*blocks))
                widths.append(blocks[-1].conv.out_channels)
                blocks = []
        self.fpn = FeaturePyramidNetwork(widths, 256, extra_blocks=LastLevelP6P7(widths[-1], 256))

    def forward(self, x: Tensor) -> OrderedDict[str, Tensor]:  # noqa: D102
        maps = OrderedDict()
        for number, stage in enumerate(self.stages):
            maps[str(number)] = x = stage(x)
        return self.fpn(maps)
