"""Opens anything that can run detection: snapshots, run folders, checkpoints of other libraries and artefacts."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from keras_retinanet.config import FilterConfig
from keras_retinanet.importers import Overrides, WeightFile, find_foreign, open_foreign
from keras_retinanet.inference import load_model
from keras_retinanet.model.detection_model import DetectionModel
from keras_retinanet.model.retinanet import RetinaNet
from keras_retinanet.runtimes import KerasRuntime, Runtime, format_of, open_runtime
from keras_retinanet.snapshots.run_folder import SNAPSHOTS, find_snapshot

MERGED_SHARE = 0.5
"""Merging tiles uses boxes that score at least this fraction of the threshold."""


def print_note(line: str) -> None:
    """Prints a note about a checkpoint on stderr, separate from results on stdout.

    Args:
        line: One note.
    """
    print(line, file=sys.stderr)


def open_network(
    path: str | os.PathLike[str] | WeightFile,
    overrides: Overrides | None = None,
    log: Callable[[str], object] = print_note,
) -> RetinaNet | DetectionModel:
    """Opens a Keras model: a snapshot, an inference model, or the checkpoint of another library.

    Args:
        path: A file, the folder of a run (its `best.keras`, else its `last.keras`), KerasHub's folder; or a checkpoint
            that `importers.find_foreign` has opened.
        overrides: Settings that replace or complete those of a checkpoint; not used for snapshots. Defaults to none.
        log: Receives one line per assumption about a checkpoint. Defaults to `print_note`.

    Returns:
        The model, not compiled.

    Raises:
        FileNotFoundError: `path` does not exist.
        ValueError: It is not a model, or a checkpoint that cannot be imported completely.
    """
    if isinstance(path, WeightFile):
        return open_foreign(path, overrides, log)
    snapshot = find_snapshot(Path(path))
    checkpoint = find_foreign(snapshot)
    if checkpoint is not None:
        return open_foreign(checkpoint, overrides, log)
    return load_model(snapshot, compile=False)


def open_model(model: Any, overrides: Overrides | None = None, log: Callable[[str], object] = print_note) -> Runtime:
    """Opens a model for detection.

    Args:
        model: Path of an exported artefact or of anything that `open_network` opens; or a `RetinaNet`,
            `DetectionModel` or `Runtime`.
        overrides: As in `open_network`.
        log: As in `open_network`.

    Returns:
        The runtime.

    Raises:
        FileNotFoundError: The path does not exist.
        ValueError: It is not a model of this package or of a library that can be imported.
    """
    if isinstance(model, (str, os.PathLike)):
        path = Path(model)
        is_run = any((path / name).is_file() for name in SNAPSHOTS)
        checkpoint = None if is_run else find_foreign(path)
        if checkpoint is None and not is_run and format_of(path) != "keras":
            return open_runtime(path)
        model = open_network(checkpoint or path, overrides, log)
    if isinstance(model, RetinaNet):
        model = DetectionModel(model)
    if isinstance(model, DetectionModel):
        return KerasRuntime(model)
    if isinstance(model, Runtime):
        return model
    allowed = "a path, a RetinaNet, a DetectionModel or a Runtime"
    raise ValueError(f"A {type(model).__name__} cannot detect; allowed is {allowed}.")


def with_thresholds(runtime: Runtime, changes: dict[str, Any], *, is_tiled: bool) -> Runtime:
    """Changes the thresholds of a runtime. The result may keep more detections, which the caller must drop.

    Args:
        runtime: The opened model.
        changes: Fields of `FilterConfig` and their new values. A score threshold replaces those per class.
        is_tiled: Whether the boxes of tiles will be merged.

    Returns:
        The same runtime, or the same network with another filter.

    Raises:
        ValueError: An exported artefact has a built-in threshold that is stricter.
    """
    if is_tiled:  # the limit applies to the merged boxes
        changes = {name: value for name, value in changes.items() if name != "max_detections"}
    wanted = _loosened(runtime.filter, changes, is_tiled=is_tiled)
    if wanted == runtime.filter:
        return runtime
    changed = runtime.with_filter(wanted)
    if changed is None:
        _check_built_in(runtime.filter, changes)
        return runtime
    return changed


def _loosened(built_in: FilterConfig, changes: dict[str, Any], *, is_tiled: bool) -> FilterConfig:
    """The filter of a runtime with changeable thresholds, relaxed for merging tiles if needed."""
    changes = {**changes, "max_detections": max(built_in.max_detections, changes.get("max_detections", 0))}
    if "score_threshold" in changes:
        changes["class_thresholds"] = ()
        if is_tiled:  # less certain boxes show what is a fragment
            asked = changes["score_threshold"]
            changes["score_threshold"] = min(asked, max(built_in.score_threshold, MERGED_SHARE * asked))
    return dataclasses.replace(built_in, **changes)


def _check_built_in(built_in: FilterConfig, changes: dict[str, Any]) -> None:
    limits = dataclasses.replace(built_in, score_threshold=max(built_in.class_thresholds or [built_in.score_threshold]))
    for name, value in changes.items():
        if not _is_possible(name, value, getattr(limits, name)):
            raise ValueError(
                f"{name} {value:g} is not possible: {getattr(limits, name):g} is built into this exported model. "
                f"Convert the snapshot again with --{name.replace('_', '-')} {value:g}, or detect with the snapshot."
            )


def _is_possible(name: str, wanted: float, built_in: float) -> bool:
    if name == "score_threshold":
        return wanted >= built_in
    return wanted <= built_in if name == "max_detections" else wanted == built_in
