"""Builds a detector from a blueprint, copies the checkpoint's weights, and reports on every tensor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_retinanet.backbones import freeze_batch_norm
from keras_retinanet.geometry.box_coder import BoxCoder
from keras_retinanet.importers.blueprint import Blueprint, CheckpointError
from keras_retinanet.model.build import build
from keras_retinanet.model.heads import Head
from keras_retinanet.model.retinanet import RetinaNet
from keras_retinanet.model.tower import SharedTower

SHOWN = 8
"""Tensors that a message names; the others are counted."""


@dataclass(frozen=True)
class Report:
    """The tensors that were copied, and those that were not.

    Attributes:
        used: Names in the checkpoint, in its order.
        unused: Tensors without a place in the model.
        missing: Variables that the checkpoint has no tensor for: their path, and the expected name.
    """

    used: tuple[str, ...]
    unused: tuple[str, ...]
    missing: tuple[str, ...]

    def require_complete(self, *, allow_unused: bool = False, allow_missing: bool = False) -> None:
        """Raises if tensors are unused or missing.

        Args:
            allow_unused: Accept unused tensors.
            allow_missing: Accept variables that keep their random weights.

        Raises:
            CheckpointError: The message names the first of them, and the flag of `retinanet-import` that allows it.
        """
        for what, names, is_allowed, meaning in (
            ("unused", self.unused, allow_unused, "have no place in the model"),
            ("missing", self.missing, allow_missing, "are missing in the checkpoint"),
        ):
            if names and not is_allowed:
                rest = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
                raise CheckpointError(
                    f"{', '.join(names[:SHOWN])}{rest} {meaning}. `retinanet-import --allow-{what}` imports the others."
                )


def assemble(blueprint: Blueprint) -> tuple[RetinaNet, Report]:
    """Builds the detector of a blueprint and copies the weights.

    Args:
        blueprint: Settings, names and tensors.

    Returns:
        The model, not compiled, with frozen batch normalisation in the backbone; and the report on all tensors.

    Raises:
        CheckpointError: A tensor and its variable differ in shape.
        ValueError: The settings contradict each other.
    """
    _require_plausible(blueprint)
    coder = BoxCoder(blueprint.model.box_coder, **blueprint.box_coder, name="box_coder")
    model = build(
        blueprint.model,
        class_names=blueprint.class_names,
        anchors=blueprint.anchors,
        default_boxes=blueprint.default_boxes,
        loss=blueprint.loss,
        resize=blueprint.resize,
        filter=blueprint.filter,
        backbone_options=blueprint.backbone_options,
        box_coder=coder,
    )
    model.metadata["imported_from"] = blueprint.source
    report = _fill_model(model, blueprint)
    freeze_batch_norm(model.backbone)
    return model, report


def _require_plausible(blueprint: Blueprint) -> None:
    """Raises if pyramid and heads would be far larger than the checkpoint, before memory is allocated for them."""
    model = blueprint.model
    if blueprint.default_boxes is not None:
        return  # the architecture decides all widths but the number of classes, which the heads have
    levels = model.max_level - model.min_level + 1
    anchors = len(blueprint.anchors.ratios) * np.size(blueprint.anchors.scales)
    heads = 2 * model.head_depth * model.head_width**2 + model.head_width * anchors * (len(blueprint.class_names) + 4)
    needed = 9 * (levels * model.fpn_width**2 + heads)
    held = sum(value.size for value in blueprint.tensors.values())
    if needed > 10**7 + 4 * held:
        raise CheckpointError(
            f"A pyramid of {model.fpn_width} and heads of {model.head_depth} times {model.head_width} channels have "
            f"about {needed} numbers, the checkpoint holds {held}: its shapes contradict each other."
        )


def weighted_layers(model: RetinaNet) -> Iterator[tuple[str, keras.Layer]]:
    """Iterates over the layers with weights, by the paths that `Blueprint.place` takes.

    Args:
        model: A detector.

    Yields:
        Path and layer: `backbone/<layer>`, `neck/lateral3 … output3 … extra6 … norm3 …`, `tower/conv0 … norm0_0 …`,
        `class_head/conv0 … norm0 … norm0_0 … final`, `box_head/…`; heads that are not shared between levels have the
        level at the end, `class_head/final0 …`.
    """
    for layer in model.backbone.layers:
        if layer.weights:
            yield f"backbone/{layer.name}", layer
    neck = model.neck.pyramid if isinstance(model.neck, SharedTower) else model.neck
    for layer in neck.weighted_layers:
        yield f"neck/{layer.name}", layer
    if isinstance(model.neck, SharedTower):
        yield from _tower_layers("tower", model.neck.tower, model.neck.level_norms)
    for name in ("class_head", "box_head"):
        head = getattr(model, name)
        for level, (tower, final) in enumerate(zip(head.towers, head.predictors, strict=True)):
            suffix = "" if head.is_shared else str(level)
            yield from _tower_layers(name, tower, head.level_norms, suffix)
            yield f"{name}/{final.name}{suffix}", final


def _tower_layers(part: str, tower: Any, level_norms: Any, suffix: str = "") -> Iterator[tuple[str, keras.Layer]]:
    for layer in (*tower.layers, *(norm for norms in level_norms for norm in norms)):
        if layer.weights:
            yield f"{part}/{layer.name}{suffix}", layer


def _fill_model(model: RetinaNet, blueprint: Blueprint) -> Report:
    used: set[str] = set()
    missing = []
    for path, layer in weighted_layers(model):
        place = blueprint.place(path)
        for variable in layer.weights:
            name = place + blueprint.spelling.separator + _find_kind(layer, variable, blueprint)
            if name not in blueprint.tensors:
                missing.append(f"{path}/{variable.name} ({name})")
                continue
            used.add(name)
            value = _convert_layout(np.asarray(blueprint.tensors[name]), layer, blueprint)
            if layer.name == "final" and variable.name != "depthwise_kernel":
                value = _reorder_outputs(value, path, model, blueprint)
            if value.shape != tuple(variable.shape):
                raise CheckpointError(
                    f"{name!r} has the shape {tuple(blueprint.tensors[name].shape)}, which does not fit "
                    f"{path}/{variable.name} of shape {tuple(variable.shape)} (height, width, in, out). "
                    "Backbones that are not listed in docs/migrating.md cannot be imported."
                )
            variable.assign(value)
    unused = [name for name in blueprint.tensors if name not in used and not blueprint.is_not_weight(name)]
    return Report(tuple(name for name in blueprint.tensors if name in used), tuple(unused), tuple(missing))


def _find_kind(layer: keras.Layer, variable: Any, blueprint: Blueprint) -> str:
    is_depthwise = isinstance(layer, keras.layers.DepthwiseConv2D) and variable.name == "kernel"
    kind = "depthwise_kernel" if is_depthwise and not blueprint.spelling.is_transposed else str(variable.name)
    return blueprint.spelling.kinds.get(kind, kind)


def _convert_layout(value: np.ndarray, layer: keras.Layer, blueprint: Blueprint) -> np.ndarray:
    if value.dtype.kind not in "fiu":
        raise CheckpointError(f"A tensor for {layer.name!r} is of type {value.dtype}, not of numbers.")
    value = value.astype(np.float32)
    if value.ndim == 4 and blueprint.spelling.is_transposed:
        is_depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
        value = value.transpose((2, 3, 0, 1) if is_depthwise else (2, 3, 1, 0))
    return value


def _reorder_outputs(value: np.ndarray, path: str, model: RetinaNet, blueprint: Blueprint) -> np.ndarray:
    """Reorders a head's last layer `(…, anchors · values)` by anchor and output; drops classes that are not kept."""
    head_name, _, place = path.partition("/")
    head: Head = getattr(model, head_name)
    level = int(place.removeprefix("final") or 0)
    counts = head.num_anchors if isinstance(head.num_anchors, int) else head.num_anchors[level]
    kept = blueprint.kept_classes if head_name == "class_head" else None
    if not value.ndim or value.shape[-1] % counts or value.shape[-1] <= counts * max(kept or (0,)):
        return value  # the caller names the shapes
    parts = value.reshape(*value.shape[:-1], counts, -1)
    if blueprint.anchor_order is not None:
        parts = parts[..., list(blueprint.anchor_order), :]
    if kept is not None:
        parts = parts[..., list(kept)]
    if head_name == "box_head" and blueprint.box_order is not None:
        parts = parts[..., list(blueprint.box_order)]
    return parts.reshape(*value.shape[:-1], -1)
