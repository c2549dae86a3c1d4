"""The settings and names that an importer reads from a checkpoint before a model is built."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from keras_retinanet.config import (
    AnchorConfig,
    DefaultBoxConfig,
    FilterConfig,
    LossConfig,
    ModelConfig,
    ResizeConfig,
    SourceName,
)


class CheckpointError(ValueError):
    """A checkpoint cannot be imported; the message states the reason and the fix."""


@dataclass(frozen=True)
class Spelling:
    """How a framework names and lays out the arrays of a layer.

    Attributes:
        kinds: Name of our variable → the framework's name.
        separator: Text between the layer's name and the array's.
        is_transposed: Whether kernels are `(out, in, height, width)` as in PyTorch.
    """

    kinds: Mapping[str, str]
    separator: str
    is_transposed: bool


TORCH_SPELLING = Spelling(
    {
        "kernel": "weight", "bias": "bias", "gamma": "weight", "beta": "bias",
        "moving_mean": "running_mean", "moving_variance": "running_var",
    },
    ".",
    is_transposed=True,
)  # fmt: skip
KERAS_SPELLING = Spelling({}, "/", is_transposed=False)


@dataclass(frozen=True)
class Overrides:
    """User settings that replace or complete those of a checkpoint.

    Attributes:
        anchors: Fields of `AnchorConfig`.
        resize: Fields of `ResizeConfig`.
        filter: Fields of `FilterConfig`.
        pixels: Fields of `PixelStatistics`: how the network's pixels were normalised.
        box_std: Four factors on the deltas, such as 1 / `BBOX_REG_WEIGHTS` of Detectron2.
        class_names: Names of all labels of the checkpoint.
        drop_unused_classes: Leave out those of torchvision's 91 classes that no object of COCO has.
        config_file: Settings of a TensorFlow detector: `pipeline.config` or `params.yaml`.
        norm_epsilon: Epsilon of the backbone's batch normalisation, for torchvision models trained without the COCO
            weights.
        style: Variant of MMDetection's ResNet: `"pytorch"` or `"caffe"`.
        stem: Stem of fizyr's ResNet: `"padded"` (keras-resnet 0.1) or `"same"` (0.2).
    """

    anchors: Mapping[str, Any] = field(default_factory=dict)
    resize: Mapping[str, Any] = field(default_factory=dict)
    filter: Mapping[str, Any] = field(default_factory=dict)
    pixels: Mapping[str, Any] = field(default_factory=dict)
    box_std: Sequence[float] | None = None
    class_names: Sequence[str] | None = None
    drop_unused_classes: bool = False
    config_file: Path | None = None
    norm_epsilon: float | None = None
    style: str | None = None
    stem: str | None = None


@dataclass(frozen=True)
class Blueprint:
    """A detector as settings and names: all that is needed to build it and to copy its weights.

    Attributes:
        source: Library that the checkpoint comes from.
        tensors: Name → array, with the names of the library's newest version.
        place: Function from the path of one of our layers, such as `backbone/stage3_block1_conv2`, `class_head/conv0`
            or `class_head/norm0_3` (of the fourth level), to the name of the layer in the checkpoint.
        spelling: How the arrays of a layer are named.
        model: The network. Its `weights` are `"none"`.
        class_names: Names of the labels that are kept.
        kept_classes: The checkpoint's index of each label and, last, of the background where the scores are a softmax
            over both; `None` keeps all.
        anchor_order: The checkpoint's index of each of our anchors in a cell; `None` if both orders are equal.
        box_order: The checkpoint's index of each of our four box outputs; `None` if both orders are equal.
        anchors: The anchors.
        resize: How images become network input.
        filter: How scored boxes become detections.
        backbone_options: Arguments of the backbone.
        box_coder: Arguments of `BoxCoder` other than `coder`.
        is_not_weight: Whether a tensor, by its name, is something else than a weight, such as a counter.
        notes: Assumptions and other remarks, one sentence each.
        default_boxes: The default boxes of an SSD, which has no other anchors.
        loss: Losses, where they decide the outputs of the class head: a softmax has one for the background.
    """

    source: SourceName
    tensors: Mapping[str, np.ndarray]
    place: Callable[[str], str]
    spelling: Spelling
    model: ModelConfig
    class_names: tuple[str, ...]
    anchors: AnchorConfig
    resize: ResizeConfig
    filter: FilterConfig
    kept_classes: tuple[int, ...] | None = None
    anchor_order: tuple[int, ...] | None = None
    box_order: tuple[int, ...] | None = None
    backbone_options: Mapping[str, Any] = field(default_factory=dict)
    box_coder: Mapping[str, Any] = field(default_factory=dict)
    is_not_weight: Callable[[str], bool] = lambda name: name.endswith("num_batches_tracked")
    notes: tuple[str, ...] = ()
    default_boxes: DefaultBoxConfig | None = None
    loss: LossConfig | None = None


def by_part(
    backbone: Callable[[str], str], neck: Callable[[str, int], str], head: Callable[[str, str], str]
) -> Callable[[str], str]:
    """Makes a `Blueprint.place` from one function per part.

    Args:
        backbone: Function from our layer's name to the checkpoint's.
        neck: Function of `"lateral"`, `"output"`, `"extra"` or `"norm"`, and the level.
        head: Function of `"class_head"`, `"box_head"` or `"tower"` (shared by both), and our layer: `conv0`, `norm0`,
            `norm0_3` (of the fourth level), `final`.

    Returns:
        Function from the path of a layer to its name in the checkpoint.
    """

    def place(path: str) -> str:
        part, _, layer = path.partition("/")
        if part == "backbone":
            return backbone(layer)
        if part == "neck":
            return neck(layer[:-1], int(layer[-1]))
        return head(part, layer)

    return place
