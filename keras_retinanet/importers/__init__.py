"""Detectors of other libraries as ours: one file a library, which turns an opened checkpoint into a `Blueprint`.

A blueprint holds the library's settings as ours (`config.py`, the arguments of our layers) and says where each of our
layers finds its arrays. `assemble` does the rest for all. To add a library, write `recognises` and `describe` in a file
of its name and list it in `IMPORTERS` and in `config.SourceName`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from keras_retinanet.config import SourceName
from keras_retinanet.importers import detectron2, fizyr, keras_hub, mmdetection, torchvision
from keras_retinanet.importers.assemble import Report, assemble, described
from keras_retinanet.importers.blueprint import Blueprint, CheckpointError, Overrides
from keras_retinanet.model.retinanet import RetinaNet
from keras_retinanet.weight_files.weight_file import WeightFile, open_weights, weight_layout


class Importer(NamedTuple):
    """One library."""

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
    "described",
    "find_foreign",
    "import_checkpoint",
    "inherited_settings",
    "open_foreign",
]


def describe_checkpoint(
    path: str | Path | WeightFile, source: SourceName | None = None, overrides: Overrides | None = None
) -> Blueprint:
    """Finds out what a checkpoint holds, without building anything.

    Args:
        path: Checkpoint of a whole detector: a file, or KerasHub's folder; or one that is open already.
        source: Name in `IMPORTERS`. Defaults to `None`: recognised by content.
        overrides: Settings of the user in place of what the checkpoint does not hold.

    Returns:
        The blueprint.

    Raises:
        CheckpointError: No library's detector, or one that cannot be imported; names the file and the reason.
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
    """Reads a checkpoint of another library as one of our models.

    Args:
        path: Checkpoint of a whole detector: a file, or KerasHub's folder.
        source: Name in `IMPORTERS`. Defaults to `None`: recognised by content.
        overrides: Settings of the user in place of what the checkpoint does not hold.

    Returns:
        The model, not compiled; where every tensor went; what was found. Tensors may be left over or missing.

    Raises:
        CheckpointError: No library's detector, or one that cannot be imported; names the file and the reason.
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
    """Opens a checkpoint if it is another library's.

    Args:
        path: Anything that may be there.

    Returns:
        The opened checkpoint of a whole detector, for `describe_checkpoint`; `None` for everything else: our own files,
        weights of a backbone alone, other files, nothing.

    Raises:
        ValueError: The file is in the layout of a checkpoint, and damaged.
    """
    if weight_layout(path) is None:
        return None
    file = open_weights(path)
    return file if _find_importer(file) is not None else None


def open_foreign(file: WeightFile, overrides: Overrides | None, log: Callable[[str], object]) -> RetinaNet:
    """Imports an opened checkpoint, all of whose tensors have to have a place.

    Args:
        file: From `find_foreign`.
        overrides: Settings of the user in place of what the checkpoint does not hold.
        log: Receives one line per assumption.

    Returns:
        The model, not compiled.

    Raises:
        CheckpointError: It cannot be imported, or not completely; names the file and the reason.
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
    """What a run that starts from a checkpoint takes over, as `snapshot_settings.read_settings` does of a snapshot.

    Args:
        blueprint: Of the checkpoint.

    Returns:
        Dotted name → value, as `config_tree.changed` takes them.
    """
    groups = {"model": blueprint.model, "anchors": blueprint.anchors, "resize": blueprint.resize}
    found = {f"{group}.{name}": value for group, config in groups.items() for name, value in vars(config).items()}
    return {name: value for name, value in found.items() if name != "model.weights"}


def _apply_overrides(blueprint: Blueprint, overrides: Overrides) -> Blueprint:
    """The blueprint with what the user says of pixels and box coding; each importer takes the rest into account."""
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
