"""What a training run inherits from the snapshot or checkpoint it starts from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_retinanet.config import ArchitectureName, TrainConfig
from keras_retinanet.config.architectures import refuse_inapplicable
from keras_retinanet.config.rules import exists
from keras_retinanet.snapshots.run_folder import find_snapshot
from keras_retinanet.snapshots.snapshot_settings import read_settings

if TYPE_CHECKING:
    from keras_retinanet.importers import WeightFile


def choose_architecture(given: Mapping[str, Any], inherited: Mapping[str, Any], base: TrainConfig) -> ArchitectureName:
    """The architecture of a new run.

    Args:
        given: Values of flags by the names of settings.
        inherited: Settings of the weights.
        base: Settings for what is not given.

    Returns:
        The architecture.

    Raises:
        ValueError: A flag does not apply to it, or the weights are of another.
    """
    former = inherited.get("model.architecture", "retinanet" if inherited else base.model.architecture)
    architecture: ArchitectureName = given.get("model.architecture", former)
    if inherited and architecture != former:
        raise ValueError(
            f"--weights {given['model.weights']} is of the architecture {former}, not {architecture}: leave "
            "--architecture out, or start from other weights."
        )
    refuse_inapplicable(given, architecture)
    return architecture


def inherit_settings(given: Mapping[str, Any]) -> tuple[dict[str, Any], WeightFile | None]:
    """Reads the settings of the snapshot or checkpoint that a run starts from.

    Args:
        given: Values of flags by the names of settings, with the weights among them.

    Returns:
        The settings by name, and the checkpoint if one was opened.

    Raises:
        ValueError: The weights cannot be read.
    """
    weights = given["model.weights"]
    if weights in ("imagenet", "none") or not exists(weights):
        return {}, None
    weights = str(find_snapshot(Path(weights)))
    if settings := read_settings(weights):
        return settings, None
    from keras_retinanet.importers import Overrides, describe_checkpoint, find_foreign, inherited_settings

    anchors = {name.partition(".")[2]: value for name, value in given.items() if name.startswith("anchors.")}
    checkpoint = find_foreign(weights)
    if checkpoint is None:
        return {}, None
    settings_file = given.get("model.weights_config")
    overrides = Overrides(anchors, config_file=Path(settings_file) if settings_file else None)
    return inherited_settings(describe_checkpoint(checkpoint, overrides=overrides)), checkpoint
