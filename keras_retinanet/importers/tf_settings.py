"""Fields of the settings files of TensorFlow's detectors: typed, with defaults, and refused by name where unknown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from keras_retinanet.importers.blueprint import CheckpointError

_ABOVE = 3
"""Folders above a checkpoint in which its settings may lie: those of `checkpoint/ckpt-0`, `saved_model/variables/…`."""


def find_settings(prefix: Path, given: Path | None, name: str, flag: str) -> Path:
    """Finds the settings file of a checkpoint.

    Args:
        prefix: Prefix of the checkpoint.
        given: The user's file, if any.
        name: Name of the file, such as `pipeline.config`.
        flag: How a user names the file, for the message.

    Returns:
        Its path.

    Raises:
        CheckpointError: There is none.
    """
    if given is not None:
        if not given.is_file():
            raise CheckpointError(f"There is no file {str(given)!r}.")
        return given
    folders = list(prefix.absolute().parents)[:_ABOVE]
    found = next((folder / name for folder in folders if (folder / name).is_file()), None)
    if found is None:
        raise CheckpointError(
            f"The checkpoint does not hold its settings, and there is no {name} in its folder or above. Give {flag}."
        )
    return found


def read_levels(fpn: Fields) -> range:
    """Reads the pyramid's levels.

    Args:
        fpn: The message that has `min_level` and `max_level`.

    Returns:
        The levels, finest first.

    Raises:
        CheckpointError: The pyramid has others than can be imported.
    """
    least, most = fpn.get("min_level", 3), fpn.get("max_level", 7)
    if least not in (2, 3) or most not in (5, 6, 7):
        raise CheckpointError(
            f"{fpn.where}: min_level is {least}, max_level is {most}; pyramids from level 2 or 3 to level 5, 6 or 7 "
            "can be imported."
        )
    return range(least, most + 1)


class Fields:
    """A message of a settings file whose fields are read by name.

    Args:
        values: Field → value, or list of values.
        where: Path of the message in the file, for messages.
    """

    def __init__(self, values: Mapping[str, Any], where: str) -> None:
        self._values = values
        self.where = where

    def __contains__(self, name: str) -> bool:
        return name in self._values

    @property
    def names(self) -> tuple[str, ...]:
        """The fields that are set."""
        return tuple(self._values)

    def get(self, name: str, default: Any) -> Any:
        """A value, the last one of a repeated field.

        Args:
            name: Of the field.
            default: Its value if it is not set; also decides the type.

        Returns:
            The value.

        Raises:
            CheckpointError: It has another type than `default`.
        """
        value = self._last(name)
        if value is None:
            return default
        if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if default is not None and not isinstance(value, type(default)):
            raise CheckpointError(f"{self.where}.{name} is {value!r}, which is not a {type(default).__name__}.")
        return value

    def _last(self, name: str) -> Any:
        value = self._values.get(name)
        if isinstance(value, list):
            return value[-1] if value else None
        return value

    def inverses(self, name: str, default: Sequence[float]) -> tuple[float, ...]:
        """One over each of the numbers of a field, which have to be positive."""
        values = self.numbers(name, default)
        if any(value <= 0 for value in values):
            raise CheckpointError(f"{self.where}.{name} is {min(values):g}; it has to be greater than 0.")
        return tuple(1 / value for value in values)

    def numbers(self, name: str, default: Sequence[float]) -> tuple[float, ...]:
        """The values of a field that holds several numbers."""
        values = self._values.get(name)
        if values is None:
            return tuple(default)
        values = values if isinstance(values, list) else [values]
        if not all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values):
            raise CheckpointError(f"{self.where}.{name} is {values!r}, which are not numbers.")
        return tuple(float(value) for value in values)

    def message(self, name: str) -> Fields:
        """A message inside this one; empty if it is not set."""
        value = self._last(name)
        if value is not None and not isinstance(value, Mapping):
            raise CheckpointError(f"{self.where}.{name} is {value!r}, which is not a message.")
        return Fields(value or {}, f"{self.where}.{name}")

    def only(self, name: str) -> Fields:
        """A message that has to be this one of several alternatives.

        Args:
            name: The alternative that can be imported.

        Returns:
            The message.

        Raises:
            CheckpointError: Another one is set; the message names it.
        """
        if name not in self and self.names:
            raise CheckpointError(f"{self.where} is {self.names[0]}; {name} can be imported.")
        return self.message(name)

    def require_known(self, *names: str) -> Fields:
        """Requires fields to be among those of the message.

        Args:
            *names: All that are read, or make no difference to detections.

        Returns:
            This message.

        Raises:
            CheckpointError: Another one is set, to something; the message names it.
        """
        for name in self.names:
            if name not in names and self._last(name) not in (None, False, 0, ""):
                raise CheckpointError(f"{self.where}.{name} is not known here; known are {', '.join(names)}.")
        return self

    def require(self, allowed: Mapping[str, Any]) -> None:
        """Requires fields to have the only values that can be imported.

        Args:
            allowed: Field → its value, which is also its default.

        Raises:
            CheckpointError: One has another value; the message names it.
        """
        for name, value in allowed.items():
            found = self.get(name, None)
            if found is not None and found != value and found not in ({}, []):
                raise CheckpointError(f"{self.where}.{name} is {found!r}; only {value!r} can be imported.")
