"""Stubs for the objects in weight files that are not arrays: dicts, settings, and loggers, which are ignored."""

from __future__ import annotations

from typing import Any

from keras_retinanet.weight_files.restricted_pickle import AllowedGlobal, Ignored, Stateful, require_key


class Settings(Stateful):
    """In place of a run's arguments, an `argparse.Namespace`: keeps its state as plain values."""

    def __init__(self) -> None:
        self.values: dict[Any, Any] = {}

    def set_state(self, state: Any) -> None:
        """Keeps a dict; anything else is not a state of such an object."""
        if not isinstance(state, dict):
            raise ValueError(f"the arguments of a run are a {type(state).__name__}")
        self.values = state


def ordered_dict(pairs: Any = ()) -> dict[Any, Any]:
    """Stands for `collections.OrderedDict` in a table of names.

    Args:
        pairs: Keys, text or numbers, with their values.

    Returns:
        A dict.

    Raises:
        ValueError: Something else than such pairs.
    """
    if not isinstance(pairs, (list, tuple)) or any(not isinstance(p, (list, tuple)) or len(p) != 2 for p in pairs):
        raise ValueError("an OrderedDict is made of something else than pairs")
    for key, _ in pairs:
        require_key(key)
    return dict(pairs)


def logger_attribute(owner: Any, name: Any) -> AllowedGlobal:
    """Stands for `getattr`, which loggers mention their methods by: of names under `BESIDE`, and nothing is looked up.

    Args:
        owner: A global name under `BESIDE`.
        name: Of its attribute.

    Returns:
        The name of both, to be read over.

    Raises:
        ValueError: The owner is anything else.
    """
    if not isinstance(owner, AllowedGlobal) or owner.build is not Ignored or not isinstance(name, str):
        raise ValueError(
            "refused 'builtins.getattr' of something other than a logger; nothing in the file was executed"
        )
    return AllowedGlobal(f"{owner.name}.{name}", Ignored)


def default_dict(factory: Any = None) -> dict[Any, Any]:
    """Stands for `collections.defaultdict`: a dict, whatever its factory is."""
    del factory
    return {}
