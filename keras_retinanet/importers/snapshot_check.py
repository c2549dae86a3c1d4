"""Compares a written snapshot with the import it came from: equal settings, weights and outputs, all finite."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from keras_retinanet.config.architectures import ARCHITECTURES
from keras_retinanet.importers.assemble import Report
from keras_retinanet.importers.blueprint import Blueprint, CheckpointError
from keras_retinanet.inference import load_model
from keras_retinanet.model.detection_model import DetectionModel
from keras_retinanet.model.retinanet import RetinaNet

SIDES = (203, 149)
"""Height and width of the test image: odd at every level. An SSD gets images of its own shape."""


def verify_snapshot(path: str | Path, imported: tuple[RetinaNet, Report, Blueprint]) -> str:
    """Compares a snapshot with the import it was written from.

    Args:
        path: The snapshot.
        imported: The imported model, the report on its tensors, and its blueprint.

    Returns:
        The checks that passed, in one sentence. The original library is not run.

    Raises:
        CheckpointError: Settings, weights or outputs differ, or outputs are not finite.
    """
    model, report, blueprint = imported
    again = load_model(path, compile=False)
    if not isinstance(again, RetinaNet) or _serialize_settings(again) != _serialize_settings(model):
        raise CheckpointError(f"{str(path)!r} does not hold the settings that were imported.")
    numbers = 0
    for ours, theirs in zip(again.weights, model.weights, strict=True):
        numbers += int(np.prod(ours.shape))
        if not np.array_equal(np.asarray(ours.value), np.asarray(theirs.value)):
            raise CheckpointError(f"{ours.path!r} changed while it was written.")
    sides = model.resize_config.shape if ARCHITECTURES[blueprint.model.architecture].has_default_boxes else SIDES
    image = np.random.default_rng(0).uniform(0, 255, (1, *sides, 3)).astype(np.float32)
    outputs, expected = again(image), model(image)
    for name in ("logits", "deltas"):
        value = np.asarray(outputs[name])
        if not np.isfinite(value).all():
            raise CheckpointError(f"The {name} of a random image are not finite: the weights do not fit the settings.")
        if not np.array_equal(value, np.asarray(expected[name])):
            raise CheckpointError(f"The {name} of the written snapshot differ from those of the imported model.")
    found = DetectionModel(again)(image)
    if not np.isfinite(np.asarray(found["boxes"])).all():
        raise CheckpointError("The boxes of a random image are not finite.")
    return (
        f"{len(report.used)} tensors, {numbers} numbers read back equal; finite and equal outputs at "
        f"{sides[0]}×{sides[1]}. {blueprint.source} itself was not run."
    )


def _serialize_settings(model: RetinaNet) -> str:
    """The settings as JSON, which has lists for tuples as a file does."""
    return json.dumps(model.get_config(), sort_keys=True, default=str)
