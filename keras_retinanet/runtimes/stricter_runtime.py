"""Stricter score thresholds than those built into an artefact, applied to its detections."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_retinanet.config import FilterConfig
from keras_retinanet.data.preparation import ImageFit
from keras_retinanet.runtimes.runtime import Runtime
from keras_retinanet.schema import Detections, RawOutputs
from keras_retinanet.snapshots.threshold_file import StoredThresholds, read_threshold_file


def with_threshold_file(runtime: Runtime, path: str | os.PathLike[str] | None) -> Runtime:
    """Applies a file of `retinanet-evaluate --save-thresholds`.

    Args:
        runtime: An opened model.
        path: The file; `None` for no file.

    Returns:
        A runtime with the thresholds and the calibration of the file; the same one if there is no file.

    Raises:
        ValueError: The file is invalid or names an unknown class, or a threshold or the calibration built into an
            artefact makes its own impossible.
        OSError: The file cannot be opened.
    """
    return runtime if path is None else with_stored_thresholds(runtime, read_threshold_file(os.fspath(path)))


def with_calibration(runtime: Runtime, path: str | os.PathLike[str] | None) -> Runtime:
    """Applies the calibration alone of a file of thresholds, where the runtime computes scores by itself.

    Args:
        runtime: An opened model.
        path: The file; `None` for no file.

    Returns:
        The runtime with this calibration, or as it was.

    Raises:
        ValueError: The file is invalid.
        OSError: The file cannot be opened.
    """
    if path is None:
        return runtime
    stored = read_threshold_file(os.fspath(path))
    calibration = {name: getattr(stored, name) for name in ("temperature", "score_bias")}
    changes = {name: value for name, value in calibration.items() if value is not None}
    return runtime.with_filter(dataclasses.replace(runtime.filter, **changes)) or runtime


def with_stored_thresholds(runtime: Runtime, stored: StoredThresholds) -> Runtime:
    """Applies thresholds by class name, and a calibration.

    Args:
        runtime: An opened model.
        stored: The thresholds.

    Returns:
        A runtime with these thresholds.

    Raises:
        ValueError: As for `with_threshold_file`.
    """
    wanted = stored.applied_to(runtime.filter, runtime.class_names)
    changed = runtime.with_filter(wanted)
    if changed is None:
        _check_built_in(runtime, wanted, stored)
        changed = StricterRuntime(runtime, wanted)
    return changed


class StricterRuntime(Runtime):
    """Drops detections of another runtime whose thresholds are part of its graph.

    Args:
        runtime: The runtime.
        filter: With thresholds at or above those of the runtime, and otherwise the same.
    """

    def __init__(self, runtime: Runtime, filter: FilterConfig) -> None:
        super().__init__(dataclasses.replace(runtime.description, filter=filter))
        self._runtime = runtime
        self._thresholds = np.array(_by_class(filter, len(runtime.class_names)), np.float32)

    @property
    def compiles_shapes(self) -> bool:
        """Whether each new input shape costs seconds; see `Runtime`."""
        return self._runtime.compiles_shapes

    def detect(
        self, images: Sequence[Any], fits: Sequence[ImageFit] | None = None, *, batch_size: int | None = None
    ) -> list[Detections]:
        """Detects in one batch; see `Runtime`."""
        return [self._drop(found) for found in self._runtime.detect(images, fits, batch_size=batch_size)]

    def raw_outputs(self, images: Any) -> RawOutputs:
        """Deltas and logits of network input; see `Runtime`."""
        return self._runtime.raw_outputs(images)

    def _drop(self, found: Detections) -> Detections:
        kept = found["scores"] > self._thresholds[found["labels"]]
        return {"boxes": found["boxes"][kept], "scores": found["scores"][kept], "labels": found["labels"][kept]}


def _by_class(filter: FilterConfig, num_classes: int) -> tuple[float, ...]:
    return filter.class_thresholds or (filter.score_threshold,) * num_classes


def _check_built_in(runtime: Runtime, wanted: FilterConfig, stored: StoredThresholds) -> None:
    """Requires the same calibration, and no lower threshold."""
    again = f"Convert the snapshot again with --thresholds {stored.source}, or detect with the snapshot."
    built_in, names = runtime.filter, runtime.class_names
    for name in ("temperature", "score_bias"):
        if abs(getattr(wanted, name) - getattr(built_in, name)) > 1e-9:
            raise ValueError(
                f"{stored.source}: {name} {getattr(wanted, name):g} is not possible: {getattr(built_in, name):g} is "
                f"built into this exported model. {again}"
            )
    both = zip(names, _by_class(wanted, len(names)), _by_class(built_in, len(names)), strict=True)
    for name, own, least in both:
        if own < least - 1e-9:
            raise ValueError(
                f"{stored.place_of(name)}: the threshold {own:g} of {name!r} is not possible: "
                f"{least:g} is built into this exported model. {again}"
            )
