"""Earlier names of settings, so that a `config.yaml`, a snapshot or a command line with such a name keeps working."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

Log = Callable[[str], object]
"""Receives a note about each earlier name that was used."""

SETTINGS: Mapping[str, str] = {"matching": "assigner"}
"""Earlier dotted name of a setting or group in `TrainConfig` → its name now."""

FLAGS: Mapping[str, str] = {}
"""Earlier flag of a command → its name now, such as `{"--image-side": "--image-min-side"}`. None was renamed so far."""

UNUSED_CONSTANTS: Mapping[str, tuple[str, ...]] = {
    "cross_entropy": ("alpha", "gamma"),
    "balanced_cross_entropy": ("gamma",),
}
"""Loss → constants that earlier versions stored with it although they have no effect."""

FORMER_EXIF = "ignore"
"""The rule of snapshots, artefacts and runs from before `ResizeConfig.exif`: they saw images as stored."""

MODEL_ARGUMENTS: Mapping[str, str] = {
    "regress_boxes": "box_coder",
    "matching": "assigner_config",
    "loss": "loss_config",
    "resize": "resize_config",
    "filter": "filter_config",
    "detector": "network",
}
"""Earlier argument of `RetinaNet` or `DetectionModel` in a snapshot's `config.json` → the argument now."""


def current_name(name: str) -> str:
    """Finds the current name of a setting.

    Args:
        name: Dotted name, such as `"matching.positive_iou"`.

    Returns:
        The current name, such as `"assigner.positive_iou"`; a name that is not an alias is returned unchanged.
    """
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        if current := SETTINGS.get(".".join(parts[:length])):
            return ".".join([current, *parts[length:]])
    return name


def with_current_flags(words: Sequence[str], log: Log) -> list[str]:
    """Replaces earlier flags on a command line.

    Args:
        words: Command-line arguments.
        log: Receives a note per earlier flag.

    Returns:
        The arguments with current flags.
    """
    current = []
    for word in words:
        flag, equals, value = word.partition("=")
        if flag in FLAGS:
            log(f"{flag} is an earlier name of {FLAGS[flag]}.")
        current.append(f"{FLAGS.get(flag, flag)}{equals}{value}")
    return current


def with_current_names(plain: Any, log: Log | None = None) -> Any:
    """Replaces earlier names in the nested settings of a `config.yaml`.

    Args:
        plain: Nested names and values.
        log: Receives a note per earlier name. Defaults to `None`: no notes.

    Returns:
        The same values under their current names, in the same order; anything but a mapping is returned unchanged.

    Raises:
        ValueError: A setting is given under both its names.
    """
    if not isinstance(plain, Mapping):
        return plain
    return _add_former_exif(_drop_unused_constants(_rename_settings(plain, "", log), "loss"))


def _add_former_exif(plain: dict[str, Any]) -> dict[str, Any]:
    """State the rule in the configuration of a whole run that was written before there was one."""
    resize, data = plain.get("resize"), plain.get("data")
    if not isinstance(resize, Mapping) or not isinstance(data, Mapping):
        return plain
    if "exif" in resize or not {"pad_multiple", "min_side", "max_side"} <= set(resize):
        return plain
    return {**plain, "resize": {**resize, "exif": FORMER_EXIF}, "data": {"exif": FORMER_EXIF, **data}}


def _rename_settings(plain: Mapping[str, Any], prefix: str, log: Log | None) -> dict[str, Any]:
    renamed: dict[str, Any] = {}
    for name, value in plain.items():
        current = current_name(f"{prefix}{name}").removeprefix(prefix)
        note = f"{prefix}{name} is an earlier name of {prefix}{current}"
        if current in renamed:
            raise ValueError(f"{note}; both are given: keep one.")
        if log is not None and current != name:
            log(f"{note}.")
        renamed[current] = _rename_settings(value, f"{prefix}{current}.", log) if isinstance(value, Mapping) else value
    return renamed


def with_current_arguments(config: Mapping[str, Any]) -> dict[str, Any]:
    """Replaces earlier argument names in the `get_config` of a model.

    Args:
        config: Argument → value, as a snapshot stores them.

    Returns:
        The same values under the current names.
    """
    renamed = {MODEL_ARGUMENTS.get(name, name): value for name, value in config.items()}
    if isinstance(resize := renamed.get("resize_config"), Mapping):
        renamed["resize_config"] = {"exif": FORMER_EXIF, **resize}
    return _drop_unused_constants(renamed, "loss_config")


def _drop_unused_constants(config: dict[str, Any], group: str) -> dict[str, Any]:
    loss = config.get(group)
    if not isinstance(loss, Mapping):
        return config
    unused = UNUSED_CONSTANTS.get(loss.get("classification", ""), ())
    return {**config, group: {name: None if name in unused else value for name, value in loss.items()}}
