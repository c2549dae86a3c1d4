"""Opens anything that can run detection: snapshots, run folders, checkpoints of other libraries and artefacts."""

from __future__ import annotations

import dataclasses
import importlib
import os
from pathlib import Path
from typing import Any

from keras_retinanet.config import FilterConfig
from keras_retinanet.runtimes import Runtime, is_artefact, open_runtime

MERGED_SHARE = 0.5
"""Merging tiles uses boxes that score at least this fraction of the threshold."""


def open_model(model: Any) -> Runtime:
    """Opens a model for detection. Keras is imported only if it is not an artefact.

    Args:
        model: Path of an exported artefact or of anything that `open_network` opens; or a `RetinaNet`,
            `DetectionModel` or `Runtime`.

    Returns:
        The runtime.

    Raises:
        FileNotFoundError: The path does not exist.
        ValueError: It is not a model of this package or of a library that can be imported.
    """
    if isinstance(model, Runtime):
        return model
    is_path = isinstance(model, (str, os.PathLike))
    if is_path and is_artefact(Path(model)):
        return open_runtime(model)
    with_keras = importlib.import_module("keras_retinanet.runtimes.open_network")
    runtime: Runtime = with_keras.open_path(Path(model)) if is_path else with_keras.open_in_memory(model)
    return runtime


def with_thresholds(runtime: Runtime, changes: dict[str, Any], *, is_tiled: bool, is_fused: bool = False) -> Runtime:
    """Changes the thresholds of a runtime. The result may keep more detections, which the caller must drop.

    Args:
        runtime: The opened model.
        changes: Fields of `FilterConfig` and their new values. A score threshold replaces those per class.
        is_tiled: Whether the boxes of tiles will be merged.
        is_fused: Whether the boxes of several views will be fused. The caller then applies a higher score threshold to
            the fused scores, which depend on all boxes of the model.

    Returns:
        The same runtime, or the same network with another filter.

    Raises:
        ValueError: An exported artefact has a built-in threshold that is stricter.
    """
    if is_tiled or is_fused:  # the limit applies to the merged boxes
        changes = {name: value for name, value in changes.items() if name != "max_detections"}
    wanted = _loosened(runtime.filter, changes, is_tiled=is_tiled, is_fused=is_fused)
    if wanted == runtime.filter:
        return runtime
    changed = runtime.with_filter(wanted)
    if changed is None:
        _check_built_in(runtime.filter, changes)
        return runtime
    return changed


def _loosened(built_in: FilterConfig, changes: dict[str, Any], *, is_tiled: bool, is_fused: bool) -> FilterConfig:
    """The filter of a runtime with changeable thresholds, relaxed for merging tiles or fusing views if needed."""
    changes = {**changes, "max_detections": max(built_in.max_detections, changes.get("max_detections", 0))}
    if "score_threshold" in changes:
        changes["class_thresholds"] = ()
        if is_fused:
            changes["score_threshold"] = min(changes["score_threshold"], built_in.score_threshold)
        elif is_tiled:  # less certain boxes show what is a fragment
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
