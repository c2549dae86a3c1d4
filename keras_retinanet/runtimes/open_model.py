"""Whatever can detect, opened behind one interface, with other thresholds where that is possible."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

from keras_retinanet.importers import find_foreign, open_foreign
from keras_retinanet.model.detection_model import DetectionModel
from keras_retinanet.model.retinanet import RetinaNet
from keras_retinanet.runtimes import KerasRuntime, Runtime, open_runtime
from keras_retinanet.snapshots.run_folder import SNAPSHOTS, find_snapshot

_EVIDENCE = 0.5  # share of the score threshold from which on a box takes part in the merging of tiles


def open_model(model: Any) -> Runtime:
    """Open whatever can detect.

    Args:
        model: As for `Detector`.

    Returns:
        The runtime.

    Raises:
        ValueError: It is no model of this package.
        FileNotFoundError: There is nothing at the path.
    """
    if isinstance(model, (str, os.PathLike)):
        path = Path(model)
        is_run = any((path / name).is_file() for name in SNAPSHOTS)
        if is_run:
            return open_runtime(find_snapshot(path))
        foreign = find_foreign(path)
        if foreign is None:
            return open_runtime(path)
        model = open_foreign(foreign)
    if isinstance(model, RetinaNet):
        model = DetectionModel(model)
    if isinstance(model, DetectionModel):
        return KerasRuntime(model)
    if hasattr(model, "detect") and hasattr(model, "filter"):
        return model
    allowed = "a path, a RetinaNet, a DetectionModel or a Runtime"
    raise ValueError(f"A {type(model).__name__} cannot detect; allowed is {allowed}.")


def with_thresholds(runtime: Runtime, changes: dict[str, Any], *, is_tiled: bool) -> Runtime:
    """The runtime that answers all that new thresholds let through; more may come, to be cut off later.

    Args:
        runtime: What detects.
        changes: dict. Fields of `FilterConfig` and their new values. A score threshold replaces those a class.
        is_tiled: bool. What it answers in tiles is merged.

    Returns:
        The same, or the same network with another filter.

    Raises:
        ValueError: An exported artefact has a threshold built in that does not let all of that through.
    """
    built_in = runtime.filter
    if is_tiled:  # both are limits of the merged boxes; less sure ones, too, tell what is a fragment
        changes = {name: value for name, value in changes.items() if name != "max_detections"}
        if "score_threshold" in changes and isinstance(runtime, KerasRuntime):
            asked = changes["score_threshold"]
            changes["score_threshold"] = min(asked, max(built_in.score_threshold, _EVIDENCE * asked))
    if isinstance(runtime, KerasRuntime):
        most = max(built_in.max_detections, changes.get("max_detections", 0))
        by_class = {"class_thresholds": ()} if "score_threshold" in changes else {}
        wanted = dataclasses.replace(built_in, **{**changes, **by_class, "max_detections": most})
        if wanted == built_in:
            return runtime
        return KerasRuntime(DetectionModel(runtime.model.network, wanted), runtime.image_size)
    limits = dataclasses.replace(built_in, score_threshold=max(built_in.class_thresholds or [built_in.score_threshold]))
    for name, value in changes.items():
        if not _is_possible(name, value, getattr(limits, name)):
            raise ValueError(
                f"{name} {value:g} is not possible: {getattr(limits, name):g} is built into this exported model. "
                f"Convert the snapshot anew with --{name.replace('_', '-')} {value:g}, or detect with the snapshot."
            )
    return runtime


def _is_possible(name: str, wanted: float, built_in: float) -> bool:
    if name == "score_threshold":
        return wanted >= built_in
    return wanted <= built_in if name == "max_detections" else wanted == built_in
