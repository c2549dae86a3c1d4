"""Constants of what a setting names: a loss or an assigner has its own, and is not given those of another."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from keras_retinanet.config.tree import flag_name


def chosen_constants(
    config: Any, group: str, chosen: str, constants: Mapping[Any, Iterable[str]], defaults: Mapping[str, Any]
) -> dict[str, Any]:
    """The keyword arguments of a table's entry: its defaults, and what the settings say instead.

    Args:
        config: The settings of the group, such as a `LossConfig`; `None` means the entry's default.
        group: Name of the group in `TrainConfig`, for messages.
        chosen: Name of the entry.
        constants: Entry → names of its constants, for the whole table.
        defaults: Defaults of the chosen entry; its constants without one are fields of `config`.

    Returns:
        Constant → value.

    Raises:
        ValueError: The settings have a constant of another entry, which would have no effect here.
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
