"""Constants of losses and assigners: each table entry has its own, and refuses those of another."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from keras_retinanet.config.tree import flag_name


def chosen_constants(
    config: Any, group: str, chosen: str, constants: Mapping[Any, Iterable[str]], defaults: Mapping[str, Any]
) -> dict[str, Any]:
    """The constants of a table's entry: its defaults, overridden by the settings.

    Args:
        config: Settings of the group, such as a `LossConfig`; a value of `None` means the entry's default.
        group: Name of the group in `TrainConfig`, for messages.
        chosen: Name of the entry.
        constants: Entry → names of its constants, for the whole table.
        defaults: Constant → default of the chosen entry. A constant without one has a field in `config`.

    Returns:
        Constant → value.

    Raises:
        ValueError: The settings set a constant of another entry, which would have no effect.
    """
    own = tuple(constants[chosen])
    of_any = {name for names in constants.values() for name in names}
    for field in dataclasses.fields(config):
        is_set = getattr(config, field.name) != field.default
        if is_set and field.name in of_any and field.name not in own:
            flag, value = flag_name(f"{group}.{field.name}"), getattr(config, field.name)
            known = ", ".join(flag_name(f"{group}.{name}") for name in own if hasattr(config, name)) or "none"
            raise ValueError(f"{flag} {value} does not apply to {chosen}, which has: {known}. Leave it out.")
    given = {name: getattr(config, name, None) for name in own}
    return {name: defaults[name] if value is None else value for name, value in given.items()}
