"""Imports detectors of other libraries. Each library has one file, which turns an opened checkpoint into a `Blueprint`.

A blueprint holds the library's settings as ours (`config`, arguments of our layers) and the name under which each of
our layers finds its arrays. `assemble` builds the model from it. To add a library, write `recognises` and `describe` in
a file of its name and list it in `IMPORTERS` and in `config.SourceName`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from keras_retinanet.config import SourceName
from keras_retinanet.importers import (
    detectron2,
    fizyr,
    keras_cv,
    keras_hub,
    mmdetection,
    model_garden,
    tf_object_detection,
    torchvision,
)
from keras_retinanet.importers.assemble import Report, assemble
from keras_retinanet.importers.blueprint import Blueprint, CheckpointError, Overrides
from keras_retinanet.model.retinanet import RetinaNet
from keras_retinanet.weight_files.weight_file import WeightFile, open_weights, weight_layout


class Importer(NamedTuple):
    """One library, or one kind of its detectors."""

    recognises: Callable[[WeightFile], bool]
    describe: Callable[[WeightFile, Overrides], Blueprint]


class Imported(NamedTuple):
    """An imported detector."""

    model: RetinaNet
    report: Report
    blueprint: Blueprint


IMPORTERS: dict[SourceName, Importer] = {
    "fizyr": Importer(fizyr.recognises, fizyr.describe),
    "torchvision": Importer(torchvision.recognises, torchvision.describe),
    "detectron2": Importer(detectron2.recognises, detectron2.describe),
    "mmdetection": Importer(mmdetection.recognises, mmdetection.describe),
    "keras_hub": Importer(keras_hub.recognises, keras_hub.describe),
    "keras_cv": Importer(keras_cv.recognises, keras_cv.describe),
    "tf_object_detection": Importer(tf_object_detection.recognises, tf_object_detection.describe),
    "model_garden": Importer(model_garden.recognises, model_garden.describe),
}
"""Every library whose detectors can be imported, by name."""

__all__ = [
    "IMPORTERS",
    "Blueprint",
    "CheckpointError",
    "Imported",
    "Importer",
    "Overrides",
    "Report",
    "WeightFile",
    "assemble",
    "describe_checkpoint",
    "find_foreign",
    "import_checkpoint",
    "inherited_settings",
    "open_foreign",
]


def describe_checkpoint(
    path: str | Path | WeightFile, source: SourceName | None = None, overrides: Overrides | None = None
) -> Blueprint:
    """Reads the settings and names of a checkpoint without building a model.

    Args:
        path: Checkpoint of a whole detector: a file, KerasHub's folder, or an opened file.
        source: Name in `IMPORTERS`. Defaults to `None`: recognised by content.
        overrides: User settings that replace or complete those of the checkpoint.

    Returns:
        The blueprint.

    Raises:
        CheckpointError: The file is not a detector of a known library, or cannot be imported; the message names the
            file and the reason.
        ValueError: The file is damaged.
        OSError: The file cannot be opened.
    """
    file = path if isinstance(path, WeightFile) else open_weights(path)
    name = source or _find_importer(file)
    try:
        if name is None:
            raise CheckpointError(_describe_unknown(file))
        overrides = overrides or Overrides()
        return _apply_overrides(IMPORTERS[name].describe(file, overrides), overrides)
    except CheckpointError as error:
        raise CheckpointError(f"Cannot import {str(file.path)!r}: {error}") from error


def import_checkpoint(
    path: str | Path, source: SourceName | None = None, overrides: Overrides | None = None
) -> Imported:
    """Imports a checkpoint of another library.

    Args:
        path: Checkpoint of a whole detector: a file, or KerasHub's folder.
        source: Name in `IMPORTERS`. Defaults to `None`: recognised by content.
        overrides: User settings that replace or complete those of the checkpoint.

    Returns:
        The model, not compiled; the report on all tensors, some of which may be unused or missing; and the blueprint.

    Raises:
        CheckpointError: The file is not a detector of a known library, or cannot be imported; the message names the
            file and the reason.
        ValueError: The file is damaged.
        OSError: The file cannot be opened.

    Example:
        >>> model, report, blueprint = import_checkpoint("retinanet_resnet50_fpn_coco-eeacb38b.pth")
        >>> model.save("coco.keras")
    """
    blueprint = describe_checkpoint(path, source, overrides)
    try:
        model, report = assemble(blueprint)
    except ValueError as error:
        raise CheckpointError(f"Cannot import {str(path)!r}: {error}") from error
    return Imported(model, report, blueprint)


def find_foreign(path: str | Path) -> WeightFile | None:
    """Opens a path if it is a checkpoint of another library.

    Args:
        path: Any path; it need not exist.

    Returns:
        The opened checkpoint of a whole detector, for `describe_checkpoint`. `None` for everything else: our own files,
        weights of a backbone alone, other files, a missing file.

    Raises:
        ValueError: The file has the layout of a checkpoint but is damaged.
    """
    if weight_layout(path) is None:
        return None
    file = open_weights(path)
    return file if _find_importer(file) is not None else None


def open_foreign(file: WeightFile, overrides: Overrides | None, log: Callable[[str], object]) -> RetinaNet:
    """Imports an opened checkpoint completely: no tensor may be unused or missing.

    Args:
        file: From `find_foreign`.
        overrides: User settings that replace or complete those of the checkpoint.
        log: Receives one line per assumption.

    Returns:
        The model, not compiled.

    Raises:
        CheckpointError: It cannot be imported, or not completely; the message names the file and the reason.
    """
    blueprint = describe_checkpoint(file, overrides=overrides)
    try:
        model, report = assemble(blueprint)
        report.require_complete()
    except ValueError as error:
        raise CheckpointError(f"Cannot import {str(file.path)!r}: {error}") from error
    for note in blueprint.notes:
        log(f"{blueprint.source}: {note}")
    return model


def inherited_settings(blueprint: Blueprint) -> dict[str, Any]:
    """The settings that a run takes over from the checkpoint it starts from.

    `snapshot_settings.read_settings` does the same for a snapshot.

    Args:
        blueprint: The checkpoint's.

    Returns:
        Dotted name → value, as `config.tree.changed` takes them.
    """
    groups = {"model": blueprint.model, "anchors": blueprint.anchors, "resize": blueprint.resize}
    if blueprint.default_boxes is not None:
        groups = {name: group for name, group in groups.items() if name == "resize"}
        groups["default_boxes"] = blueprint.default_boxes
    found = {f"{group}.{name}": value for group, config in groups.items() for name, value in vars(config).items()}
    return {name: value for name, value in found.items() if not name.startswith("model.weights")}


def _apply_overrides(blueprint: Blueprint, overrides: Overrides) -> Blueprint:
    """Applies the user's settings of pixels and box coding; each importer applies the others."""
    options, coder = dict(blueprint.backbone_options), dict(blueprint.box_coder)
    if overrides.pixels:
        options["normalization"] = options["normalization"]._replace(**overrides.pixels)
    if overrides.box_std is not None:
        coder["std"] = tuple(overrides.box_std)
    return dataclasses.replace(blueprint, backbone_options=options, box_coder=coder)


def _find_importer(file: WeightFile) -> SourceName | None:
    return next((name for name, importer in IMPORTERS.items() if importer.recognises(file)), None)


def _describe_unknown(file: WeightFile) -> str:
    names = list(file.tensors) or list(file.keras.layers if file.keras else ())
    begins = f" Its names begin with {', '.join(map(repr, names[:3]))}." if names else ""
    return f"It holds no RetinaNet of {', '.join(IMPORTERS)}.{begins}"
