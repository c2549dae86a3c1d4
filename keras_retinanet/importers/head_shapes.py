"""Classes, anchors, widths, depth and levels from the shapes of a checkpoint's tensors."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_retinanet.config import AnchorConfig, BackboneName, ModelConfig
from keras_retinanet.importers.blueprint import CheckpointError, Overrides
from keras_retinanet.importers.class_lists import CLASS_LISTS, TORCHVISION_UNUSED
from keras_retinanet.model.class_transfer import default_class_names

MAX_SCALES = 100
"""Limit on the anchor scales that a file may ask for; a damaged file may hold any number."""
OCTAVE = (1.0, 2 ** (1 / 3), 2 ** (2 / 3))


def shape_of(tensors: Mapping[str, np.ndarray], name: str) -> tuple[int, ...]:
    """The shape of a required tensor.

    Args:
        tensors: The checkpoint's.
        name: Name of the tensor.

    Returns:
        The shape.

    Raises:
        CheckpointError: The tensor is missing, empty, or not that of a convolution.
    """
    if name not in tensors:
        raise CheckpointError(f"The checkpoint lacks {name!r}.")
    shape = tuple(int(side) for side in tensors[name].shape)
    if len(shape) < (1 if name.endswith("bias") else 2) or 0 in shape:
        raise CheckpointError(f"{name!r} has the shape {shape}; it belongs to no convolution.")
    return shape


def count_consecutive(tensors: Mapping[str, np.ndarray], pattern: str, start: int = 0) -> int:
    """Counts the tensors `pattern.format(start)`, `pattern.format(start + 1)` … up to the first missing one."""
    count = 0
    while pattern.format(start + count) in tensors:
        count += 1
    return count


def count_anchors_and_classes(box_outputs: int, class_outputs: int) -> tuple[int, int]:
    """Derives the numbers of anchors per cell and of classes from the channels of the last layers.

    Args:
        box_outputs: Channels of the box head.
        class_outputs: Channels of the class head.

    Returns:
        Anchors per cell, and classes.

    Raises:
        CheckpointError: The channels are not multiples of 4 and of the anchors.
    """
    anchors, rest = divmod(box_outputs, 4)
    if rest or not anchors or class_outputs % anchors or not class_outputs:
        raise CheckpointError(
            f"A box head of {box_outputs} and a class head of {class_outputs} channels belong to no RetinaNet: the "
            "first is 4 times the anchors in a cell, the second a multiple of these."
        )
    return anchors, class_outputs // anchors


def torch_network(
    tensors: Mapping[str, np.ndarray],
    backbone: BackboneName,
    levels: tuple[int, int],
    *,
    lateral: str,
    p6: str,
    tower: str,
    depth: int,
    is_grouped: bool,
    **others: Any,
) -> ModelConfig:
    """The settings of a PyTorch network, with widths read from its kernels `(out, in, height, width)`.

    Args:
        tensors: The checkpoint's.
        backbone: Name of the backbone.
        levels: Finest and coarsest level of the pyramid.
        lateral: Name of the kernel of the finest lateral convolution.
        p6: Name of the kernel of level 6, if there is one. Its input is P5 if it has as many channels, else C5.
        tower: Name of the kernel of the first convolution of the class head.
        depth: Convolutions of a head before its last one.
        is_grouped: Whether they have group normalisation.
        **others: Further fields of `ModelConfig`.

    Returns:
        The settings.
    """
    width = shape_of(tensors, lateral)[0]
    has_p5_source = levels[1] > 5 and shape_of(tensors, p6)[1] == width
    return ModelConfig(
        backbone,
        "none",
        min_level=levels[0],
        max_level=levels[1],
        p6_source="P5" if has_p5_source else "C5",
        fpn_width=width,
        head_width=shape_of(tensors, tower)[0],
        head_depth=depth,
        head_norm="group" if is_grouped else "none",
        has_head_bias=is_grouped and f"{tower.removesuffix('weight')}bias" in tensors,
        **others,
    )


def find_anchors(
    count: int, levels: Sequence[int], found: Mapping[str, Any], overrides: Overrides, notes: list[str]
) -> AnchorConfig:
    """The anchors of a checkpoint: the user's, else those in the file, else the library's defaults.

    Args:
        count: Anchors per cell, as derived from the heads.
        levels: Levels of the pyramid, finest first.
        found: Fields of `AnchorConfig` that the file or the library determines.
        overrides: The user's settings.
        notes: A remark is appended if defaults were assumed.

    Returns:
        The anchors.

    Raises:
        CheckpointError: The heads have outputs for another number of anchors.
    """
    default = {
        "sizes": tuple(4.0 * 2**level for level in levels),
        "strides": tuple(2**level for level in levels),
        "ratios": (0.5, 1.0, 2.0),
        "scales": OCTAVE,
    }
    anchors = AnchorConfig(**{**default, **found, **overrides.anchors})
    if not anchors.ratios or not anchors.scales:
        raise CheckpointError("The anchors need at least one ratio and one scale.")
    if not len(anchors.sizes) == len(anchors.strides) == len(levels):
        raise CheckpointError(
            f"The pyramid has the {len(levels)} levels P{levels[0]}–P{levels[-1]}, but there are {len(anchors.sizes)} "
            f"anchor sizes and {len(anchors.strides)} strides: each level needs one."
        )
    per_level = anchors.scales if isinstance(anchors.scales[0], tuple) else (anchors.scales,)
    own = {len(anchors.ratios) * len(scales) for scales in per_level if isinstance(scales, tuple)}
    if own != {count}:
        raise CheckpointError(
            f"The heads have outputs for {count} anchors per cell, but {len(anchors.ratios)} ratios and the scales "
            f"{anchors.scales} make {', '.join(map(str, sorted(own)))}. The checkpoint does not hold its anchors: give "
            "--anchor-ratios, --anchor-scales and, where they differ, --anchor-sizes (fizyr: --config FILE.ini)."
        )
    if not {"sizes", "ratios", "scales"} & (set(found) | set(overrides.anchors)):
        notes.append("The file does not hold its anchors: the library's defaults were taken.")
    return anchors


def scale_major_order(anchors: AnchorConfig) -> tuple[int, ...]:
    """The index of each of our anchors, ordered ratio by ratio, in a library that orders them scale by scale."""
    ratios = len(anchors.ratios)
    scales = len(anchors.scales[0]) if isinstance(anchors.scales[0], tuple) else len(anchors.scales)
    return tuple(scale * ratios + ratio for ratio in range(ratios) for scale in range(scales))


def anchors_from_cells(cells: Sequence[np.ndarray]) -> dict[str, Any] | None:
    """Derives sizes, ratios and scales from base anchors, ordered scale by scale.

    Args:
        cells: `(anchors, 4)` per level, in pixels, centred on 0.

    Returns:
        Fields of `AnchorConfig`; `None` if the boxes are not a product of sizes, ratios and scales.
    """
    sides, all_ratios = [], []
    for cell in cells:
        width, height = cell[:, 2] - cell[:, 0], cell[:, 3] - cell[:, 1]
        if not np.allclose(cell[:, :2], -cell[:, 2:], atol=1e-3) or width.min() <= 0 or height.min() <= 0:
            return None
        sides.append(np.sqrt(width.astype(np.float64) * height))
        all_ratios.append(height.astype(np.float64) / width)
    ratios = all_ratios[0]
    period = next((n for n in range(1, len(ratios) + 1) if np.allclose(ratios[:n], np.resize(ratios, n))
                   and np.allclose(ratios, np.resize(ratios[:n], len(ratios)), rtol=1e-4)), len(ratios))  # fmt: skip
    if len(ratios) % period or any(not np.allclose(other, ratios, rtol=1e-4) for other in all_ratios):
        return None
    if any(not np.allclose(side, np.repeat(side[::period], period), rtol=1e-4) for side in sides):
        return None
    scales = tuple(tuple(_tidy(value / side[0]) for value in side[::period]) for side in sides)
    shared = scales[0] if all(np.allclose(own, scales[0], rtol=1e-4) for own in scales) else scales
    return {
        "sizes": tuple(_tidy(side[0]) for side in sides),
        "ratios": tuple(_tidy(ratio) for ratio in ratios[:period]),
        "scales": shared,
    }


def _tidy(value: float) -> float:
    """Rounds a value that is within float32's precision of a power of 2^(1/3), a half or a whole number."""
    for meant in (round(value * 2) / 2, 2 ** (round(3 * math.log2(value)) / 3)):
        if meant and abs(value / meant - 1) < 1e-5:
            return float(meant)
    return float(value)


def find_classes(
    count: int, found: Sequence[str] | None, overrides: Overrides, notes: list[str]
) -> tuple[tuple[str, ...], tuple[int, ...] | None]:
    """The names of the labels, and the indices of the classes that are kept.

    Args:
        count: Classes of the heads.
        found: Names in the file, if it has any.
        overrides: The user's settings.
        notes: A remark is appended if names were assumed.

    Returns:
        Names; and the checkpoint's index of each label, or `None` for all classes.

    Raises:
        CheckpointError: The numbers of names and classes differ, or there are no unused classes to drop.
    """
    given = overrides.class_names
    names = tuple(given if given is not None else found or ())
    if names and len(names) != count:
        where = "--class-names" if given is not None else "the checkpoint"
        raise CheckpointError(f"The class head has {count} classes, {where} names {len(names)}.")
    if not names:
        names = CLASS_LISTS.get(count, default_class_names(count))
        if count in CLASS_LISTS:
            notes.append(f"The file does not name its {count} classes: those of COCO were assumed (--class-names).")
        else:
            notes.append("The file does not name its classes: they are called class_0 … (--class-names).")
    if not overrides.drop_unused_classes:
        return names, None
    if count != len(TORCHVISION_UNUSED) + 80:
        raise CheckpointError(f"--drop-unused-classes belongs to torchvision's 91 COCO classes; there are {count}.")
    kept = tuple(index for index in range(count) if index not in TORCHVISION_UNUSED)
    return tuple(names[index] for index in kept), kept


def replaced(config: Any, values: Mapping[str, Any]) -> Any:
    """Replaces fields of a settings dataclass."""
    return dataclasses.replace(config, **values)
