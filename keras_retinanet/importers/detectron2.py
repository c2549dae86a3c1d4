"""RetinaNet of Detectron2: pickles of NumPy arrays from its model zoo, and `.pth` files of its trainer.

BGR with the mean subtracted; the stride in the 1x1 convolution; anchors centred on the corner of each cell, ordered
scale by scale; boxes clipped after NMS; images resized as by Pillow.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import numpy as np

from keras_retinanet.backbones.normalize import PixelStatistics
from keras_retinanet.backbones.resnet_names import place_of
from keras_retinanet.config import BackboneName, FilterConfig, ModelConfig, ResizeConfig
from keras_retinanet.importers.blueprint import TORCH_SPELLING, Blueprint, CheckpointError, Overrides, by_part
from keras_retinanet.importers.head_shapes import (
    anchors_from_cells,
    count_anchors_and_classes,
    find_anchors,
    find_classes,
    replaced,
    scale_major_order,
    shape_of,
    torch_network,
)
from keras_retinanet.importers.resnet_depths import find_resnet, group_options
from keras_retinanet.weight_files.weight_file import WeightFile

MEAN_ONLY = PixelStatistics((123.675, 116.28, 103.53), (1.0, 1.0, 1.0), is_bgr=True)
_BODY = "backbone.bottom_up."
_BUFFER = re.compile(r"pixel_(mean|std)$|anchor_generator\.cell_anchors\.\d+$|.*num_batches_tracked$")


def recognises(file: WeightFile) -> bool:
    """Whether the tensors are those of Detectron2's RetinaNet."""
    return "head.cls_score.weight" in file.tensors and any(name.startswith(_BODY) for name in file.tensors)


def with_statistics(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Adds mean 0 and variance 1 to norms of the backbone that have none.

    Caffe2's backbones hold only a factor and a shift; Detectron2 adds the same values on loading.

    Args:
        tensors: The checkpoint's.

    Returns:
        These tensors and the added ones.
    """
    completed = dict(tensors)
    for name, factor in tensors.items():
        norm = name.removesuffix(".weight")
        if name.startswith(_BODY) and norm.endswith(".norm") and f"{norm}.running_mean" not in tensors:
            completed.setdefault(f"{norm}.running_mean", np.zeros(factor.shape, np.float32))
            completed.setdefault(f"{norm}.running_var", np.ones(factor.shape, np.float32))
    return completed


def describe(file: WeightFile, overrides: Overrides) -> Blueprint:
    """Reads the blueprint of a checkpoint. Arguments, result and errors as `torchvision.describe`."""
    tensors, notes = with_statistics(file.tensors), list[str]()
    backbone = find_resnet(tensors, rf"{_BODY}res(?P<stage>\d)\.(?P<block>\d+)\.conv1\.", rf"{_BODY}res2\.0\.conv3")
    levels = _find_levels(tensors)
    convolutions = _find_convolutions(tensors)
    _check_norms(tensors)
    count, classes = count_anchors_and_classes(
        shape_of(tensors, "head.bbox_pred.weight")[0], shape_of(tensors, "head.cls_score.weight")[0]
    )
    names, kept = find_classes(classes, None, overrides, notes)
    stored = {"offset": 0.0} | _read_anchors(tensors, notes)
    groups = group_options(tensors, f"{_BODY}res2.0.conv2.weight", backbone)
    anchors = find_anchors(count, range(levels[0], levels[1] + 1), stored, overrides, notes)
    return Blueprint(
        "detectron2",
        tensors,
        by_part(_name_backbone_layer, _name_neck_layer, _head_namer(convolutions)),
        TORCH_SPELLING,
        _read_network(tensors, backbone, levels, convolutions),
        names,
        anchors,
        replaced(ResizeConfig(800, 1333, method="pillow"), overrides.resize),
        replaced(FilterConfig(0.05, 0.5, 100, 1000, clip="after_nms", drop_empty=True), overrides.filter),
        kept_classes=kept,
        anchor_order=scale_major_order(anchors),
        backbone_options={
            "stride_on": "3x3" if (overrides.style or ("pytorch" if groups else "caffe")) == "pytorch" else "1x1",
            "epsilon": 1e-5,
            "normalization": _read_normalization(tensors, notes),
            **groups,
        },
        is_not_weight=lambda name: _BUFFER.match(name) is not None,
        notes=tuple(notes),
    )


def _read_network(
    tensors: Mapping[str, np.ndarray], backbone: BackboneName, levels: tuple[int, int], convolutions: list[int]
) -> ModelConfig:
    return torch_network(
        tensors,
        backbone,
        levels,
        lateral=f"backbone.fpn_lateral{levels[0]}.weight",
        p6="backbone.top_block.p6.weight",
        tower="head.cls_subnet.0.weight",
        depth=len(convolutions),
        is_grouped=any(f"head.cls_subnet.{index + 1}.weight" in tensors for index in convolutions),
    )


def _find_levels(tensors: Mapping[str, np.ndarray]) -> tuple[int, int]:
    laterals = sorted(
        int(found[1]) for name in tensors if (found := re.match(r"backbone\.fpn_lateral(\d)\.weight", name))
    )
    extras = [level for level in (6, 7) if f"backbone.top_block.p{level}.weight" in tensors]
    if laterals not in ([3, 4, 5], [2, 3, 4, 5]) or extras not in ([], [6], [6, 7]):
        raise CheckpointError(f"The pyramid has the lateral levels {laterals} and the extra levels {extras}.")
    return laterals[0], (extras or [5])[-1]


def _check_norms(tensors: Mapping[str, np.ndarray]) -> None:
    if any(re.match(r"head\.\w+_subnet\.\d+\.(\d+\.)?running_mean$", name) for name in tensors):
        raise CheckpointError("Its heads have batch normalisation; group normalisation or none can be imported.")
    if any(re.match(r"backbone\.fpn_\w+\.norm\.", name) for name in tensors):
        raise CheckpointError("Its pyramid has normalisation; one of plain convolutions can be imported.")


def _find_convolutions(tensors: Mapping[str, np.ndarray]) -> list[int]:
    """Positions of the convolutions in `head.cls_subnet`; activations and normalisations are counted too."""
    found = (re.match(r"head\.cls_subnet\.(\d+)\.weight$", name) for name in tensors)
    return sorted(int(match[1]) for match in found if match and tensors[match[0]].ndim == 4)


def _read_normalization(tensors: Mapping[str, np.ndarray], notes: list[str]) -> PixelStatistics:
    """The normalisation of pixels; that of the model zoo's configuration if the file does not hold it."""
    if "pixel_mean" not in tensors:
        return MEAN_ONLY
    mean, std = (np.asarray(tensors[name], float).reshape(-1) for name in ("pixel_mean", "pixel_std"))
    if len(mean) != 3 or len(std) != 3:
        raise CheckpointError(f"It normalises {len(mean)} colours; RGB images have three.")
    is_bgr = bool(mean[0] <= mean[2])  # ImageNet's blue is the darkest
    notes.append(f"Pixels are normalised with the stored mean, {'blue' if is_bgr else 'red'} first.")
    step = -1 if is_bgr else 1
    red, green, blue = (float(value) for value in mean[::step])
    return PixelStatistics((red, green, blue), tuple(float(value) for value in std[::step]), is_bgr)  # type: ignore[arg-type]


def _read_anchors(tensors: Mapping[str, np.ndarray], notes: list[str]) -> dict[str, object]:
    cells: list[np.ndarray] = []
    while (name := f"anchor_generator.cell_anchors.{len(cells)}") in tensors:
        cells.append(np.asarray(tensors[name]).reshape(-1, 4))
    if not cells:
        return {}
    found = anchors_from_cells(cells)
    if found is None:
        raise CheckpointError("Its anchors are no product of sizes, ratios and scales that all levels share.")
    notes.append("Anchors are those stored in the file.")
    return found


def _name_backbone_layer(layer: str) -> str:
    kind, stage, block, index = place_of(layer)
    suffix = "" if kind == "conv" else ".norm"
    if stage == 0:
        return f"{_BODY}stem.conv1{suffix}"
    return f"{_BODY}res{stage}.{block - 1}.{f'conv{index}' if index else 'shortcut'}{suffix}"


def _name_neck_layer(kind: str, level: int) -> str:
    return f"backbone.top_block.p{level}" if kind == "extra" else f"backbone.fpn_{kind}{level}"


def _head_namer(convolutions: list[int]) -> Callable[[str, str], str]:
    def place(head: str, layer: str) -> str:
        if layer == "final":
            return "head.cls_score" if head == "class_head" else "head.bbox_pred"
        subnet = "cls_subnet" if head == "class_head" else "bbox_subnet"
        return f"head.{subnet}.{convolutions[int(layer[4:])] + layer.startswith('norm')}"

    return place
