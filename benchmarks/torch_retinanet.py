"""RetinaNet with a ResNet-50 in plain PyTorch: the peer that the other files here measure against.

The layers of torchvision's `retinanet_resnet50_fpn` with trainable batch normalisation and P6 from C5, written again
because its compiled operators come only with some builds. Same anchors, box coder, loss and filter as ours.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

STRIDES = (8, 16, 32, 64, 128)


class FrozenBatchNorm2d(nn.Module):
    """Batch normalisation by stored statistics and weights that do not learn, as torchvision's pretrained backbones."""

    def __init__(self, channels: int, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.epsilon = epsilon
        for name, value in (("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0), ("running_var", 1.0)):
            self.register_buffer(name, torch.full((channels,), value))

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        scale = self.weight * (self.running_var + self.epsilon).rsqrt()
        shift = self.bias - self.running_mean * scale
        return x * scale.to(x.dtype).reshape(1, -1, 1, 1) + shift.to(x.dtype).reshape(1, -1, 1, 1)


def freeze_batch_norm(module: nn.Module, damping: float = 1.0) -> None:
    """Replaces each batch normalisation by a frozen one; the last of each block has the scale `damping`."""
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            frozen = FrozenBatchNorm2d(child.num_features, child.eps)
            frozen.weight *= damping if name == "bn3" else 1.0
            setattr(module, name, frozen)
        else:
            freeze_batch_norm(child, damping)


class Bottleneck(nn.Module):
    """1x1, 3x3 with the stride, 1x1, each with batch normalisation."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = 4 * width
        self.conv1, self.bn1 = nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
        self.shortcut = None
        if stride != 1 or inputs != outputs:
            conv = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.shortcut = nn.Sequential(conv, nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        y = functional.relu(self.bn1(self.conv1(x)))
        y = functional.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return functional.relu(y + (x if self.shortcut is None else self.shortcut(x)))


def _stage(inputs: int, width: int, blocks: int, stride: int) -> nn.Sequential:
    rest = [Bottleneck(4 * width, width, 1) for _ in range(blocks - 1)]
    return nn.Sequential(Bottleneck(inputs, width, stride), *rest)


def _head(outputs: int, bias: float, depth: int = 4, has_norm: bool = False) -> nn.Sequential:
    convs = [nn.Conv2d(256, 256, 3, padding=1, bias=not has_norm) for _ in range(depth)]
    for conv in convs:
        nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
    last = nn.Conv2d(256, outputs, 3, padding=1)
    nn.init.normal_(last.weight, std=0.01)
    nn.init.constant_(last.bias, bias)
    norms = [nn.GroupNorm(32, 256) if has_norm else nn.Identity() for _ in convs]
    steps = [layer for conv, norm in zip(convs, norms, strict=True) for layer in (conv, norm, nn.ReLU())]
    return nn.Sequential(*steps, last)


class TorchRetinaNet(nn.Module):
    """Images `(B, 3, H, W)`, 0–255, to deltas `(B, A, 4)` and logits `(B, A, K)`.

    Args:
        num_classes: `K`.
        depth: Convolutions of a head before its last one.
        has_norm: They are followed by group normalisation.
    """

    def __init__(self, num_classes: int = 80, depth: int = 4, has_norm: bool = False) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.stem, self.bn = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        widths, blocks, strides, inputs = (64, 128, 256, 512), (3, 4, 6, 3), (1, 2, 2, 2), (64, 256, 512, 1024)
        self.stages = nn.ModuleList(map(_stage, inputs, widths, blocks, strides))
        self.lateral = nn.ModuleList(nn.Conv2d(width, 256, 1) for width in (512, 1024, 2048))
        self.output = nn.ModuleList(nn.Conv2d(256, 256, 3, padding=1) for _ in range(3))
        self.p6, self.p7 = nn.Conv2d(2048, 256, 3, 2, 1), nn.Conv2d(256, 256, 3, 2, 1)
        self.class_head = _head(9 * num_classes, -math.log(99), depth, has_norm)
        self.box_head = _head(9 * 4, 0.0, depth, has_norm)
        self.register_buffer("mean", torch.tensor([123.675, 116.28, 103.53]).reshape(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor([58.395, 57.12, 57.375]).reshape(1, 3, 1, 1))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:  # noqa: D102
        pyramid = self.pyramid((images - self.mean) / self.std)
        deltas = torch.cat([_rows(self.box_head(p), 4) for p in pyramid], dim=1)
        logits = torch.cat([_rows(self.class_head(p), self.num_classes) for p in pyramid], dim=1)
        return deltas.float(), logits.float()

    def pyramid(self, x: Tensor) -> list[Tensor]:
        """P3 to P7."""
        x = functional.max_pool2d(functional.relu(self.bn(self.stem(x))), 3, 2, 1)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        tops = [self.lateral[2](maps[3])]
        for level in (1, 0):
            side = self.lateral[level](maps[level + 1])
            tops.insert(0, side + functional.interpolate(tops[0], size=side.shape[-2:], mode="nearest"))
        p6 = self.p6(maps[3])
        return [*(conv(top) for conv, top in zip(self.output, tops, strict=True)), p6, self.p7(functional.relu(p6))]


def _rows(x: Tensor, values: int) -> Tensor:
    return x.permute(0, 2, 3, 1).reshape(x.shape[0], -1, values)


def make_anchors(height: int, width: int, device: torch.device | str = "cpu") -> list[Tensor]:
    """Anchors `(A_level, 4)` of each level, nine a cell."""
    levels = []
    for stride in STRIDES:
        shapes = [
            (4 * stride * 2 ** (octave / 3) / math.sqrt(ratio), 4 * stride * 2 ** (octave / 3) * math.sqrt(ratio))
            for ratio in (0.5, 1.0, 2.0)
            for octave in range(3)
        ]
        half = torch.tensor(shapes, device=device) / 2  # (9, 2)
        xs = (torch.arange(math.ceil(width / stride), device=device) + 0.5) * stride
        ys = (torch.arange(math.ceil(height / stride), device=device) + 0.5) * stride
        centres = torch.stack(torch.meshgrid(xs, ys, indexing="xy"), dim=-1).reshape(-1, 1, 2)
        levels.append(torch.cat([centres - half, centres + half], dim=-1).reshape(-1, 4))
    return levels


def decode(deltas: Tensor, anchors: Tensor, height: int, width: int) -> Tensor:
    """Boxes of centre-size deltas, clipped to the image."""
    size = anchors[:, 2:] - anchors[:, :2]
    centre = anchors[:, :2] + size / 2 + deltas[..., :2] * size
    half = size * deltas[..., 2:].clamp(max=math.log(1000 / 16)).exp() / 2
    boxes = torch.cat([centre - half, centre + half], dim=-1)
    return torch.minimum(boxes.clamp(min=0), boxes.new_tensor([width, height, width, height]))


def detect(logits: Tensor, deltas: Tensor, anchors: list[Tensor], height: int, width: int) -> list[Tensor]:
    """Of each image `(boxes, scores, labels)`: 1,000 a level above 0.05, suppression by class at 0.5, the best 300."""
    boxes = decode(deltas, torch.cat(anchors), height, width)
    return [_detect_one(*image, [len(level) for level in anchors]) for image in zip(logits, boxes, strict=True)]


def _detect_one(logits: Tensor, boxes: Tensor, sizes: list[int]) -> tuple[Tensor, Tensor, Tensor]:
    num_classes, kept, start = logits.shape[-1], [], 0
    for level in logits.split(sizes):
        flat = level.flatten()
        pairs = torch.nonzero(flat > math.log(0.05 / 0.95))[:, 0]
        values, order = flat[pairs].topk(min(1000, len(pairs)))
        kept.append((values, pairs[order] + start * num_classes))
        start += len(level)
    values, order = torch.cat([values for values, _ in kept]).sort(descending=True)
    pairs = torch.cat([pairs for _, pairs in kept])[order]
    boxes, labels = boxes[pairs // num_classes], pairs % num_classes
    index = _suppress(boxes, labels)
    return boxes[index], values[index].sigmoid(), labels[index]


def _suppress(boxes: Tensor, labels: Tensor, threshold: float = 0.5, most: int = 300) -> Tensor:
    """Positions kept of boxes in descending order: the first left, without those it suppresses, and again."""
    area = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1)
    left, kept = torch.arange(len(boxes), device=boxes.device), []
    while len(left) and len(kept) < most:
        first, left = left[0], left[1:]
        kept.append(first)
        rest = boxes[left]
        sides = torch.minimum(rest[:, 2:], boxes[first, 2:]) - torch.maximum(rest[:, :2], boxes[first, :2])
        shared = sides.clamp(min=0).prod(dim=1)
        iou = shared / (area[left] + area[first] - shared)
        left = left[~((iou > threshold) & (labels[left] == labels[first]))]
    return torch.stack(kept) if kept else left


def compute_loss(logits: Tensor, deltas: Tensor, anchors: Tensor, boxes: list[Tensor], labels: list[Tensor]) -> Tensor:
    """Focal loss (α 0.25, γ 2) and smooth L1 (β 1/9), summed and divided by the positives of the batch."""
    total, positives = logits.new_zeros(()), logits.new_zeros(())
    for image_logits, image_deltas, image_boxes, image_labels in zip(logits, deltas, boxes, labels, strict=True):
        best, owner = _pairwise_iou(anchors, image_boxes).max(dim=1)
        is_object = best >= 0.5
        targets = functional.one_hot(image_labels[owner], logits.shape[-1]).to(logits.dtype) * is_object[:, None]
        is_used = is_object | (best < 0.4)
        total = total + (_focal(image_logits, targets) * is_used[:, None]).sum()
        wanted = _encode(image_boxes[owner][is_object], anchors[is_object])
        total = total + functional.smooth_l1_loss(image_deltas[is_object], wanted, beta=1 / 9, reduction="sum")
        positives = positives + is_object.sum()
    return total / positives.clamp(min=1)


def _focal(logits: Tensor, targets: Tensor) -> Tensor:
    entropy = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    p = logits.sigmoid()
    miss = p + targets - 2 * p * targets
    return entropy * miss**2 * (0.75 - 0.5 * targets)


def _encode(boxes: Tensor, anchors: Tensor) -> Tensor:
    size, anchor_size = boxes[:, 2:] - boxes[:, :2], anchors[:, 2:] - anchors[:, :2]
    shift = (boxes[:, :2] + size / 2 - anchors[:, :2] - anchor_size / 2) / anchor_size
    return torch.cat([shift, (size / anchor_size).log()], dim=1)


def _pairwise_iou(one: Tensor, other: Tensor) -> Tensor:
    low = torch.maximum(one[:, None, :2], other[:, :2])
    high = torch.minimum(one[:, None, 2:], other[:, 2:])
    shared = (high - low).clamp(min=0).prod(dim=-1)
    area = [(boxes[:, 2:] - boxes[:, :2]).prod(dim=1) for boxes in (one, other)]
    return shared / (area[0][:, None] + area[1] - shared)
