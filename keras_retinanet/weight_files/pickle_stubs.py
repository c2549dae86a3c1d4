"""Stubs for the objects in weight files that are not arrays: dicts, settings, and loggers, which are ignored."""

from __future__ import annotations

from typing import Any

from keras_retinanet.weight_files.restricted_pickle import AllowedGlobal, Ignored, Stateful, require_key


class Settings(Stateful):
    """Replaces a run's arguments, an `argparse.Namespace`; keeps its state as plain values."""

    def __init__(self) -> None:
        self.values: dict[Any, Any] = {}

    def set_state(self, state: Any) -> None:
        """Stores a dict; raises `ValueError` for anything else."""
        if not isinstance(state, dict):
            raise ValueError(f"the arguments of a run are a {type(state).__name__}")
        self.values = state


def ordered_dict(pairs: Any = ()) -> dict[Any, Any]:
    """Replaces `collections.OrderedDict`.

    Args:
        pairs: Pairs of a key, text or number, and its value.

    Returns:
        A dict.

    Raises:
        ValueError: The argument is something else.
    """
    if not isinstance(pairs, (list, tuple)) or any(not isinstance(p, (list, tuple)) or len(p) != 2 for p in pairs):
        raise ValueError("an OrderedDict is made of something else than pairs")
    for key, _ in pairs:
        require_key(key)
    return dict(pairs)


def logger_attribute(owner: Any, name: Any) -> AllowedGlobal:
    """Replaces `getattr`, by which pickled loggers refer to their methods; nothing is looked up.

    Args:
        owner: A global name under `BESIDE`.
        name: Name of its attribute.

    Returns:
        The joined name, which builds `Ignored`.

    Raises:
        ValueError: The owner is anything else.
    """
    if not isinstance(owner, AllowedGlobal) or owner.build is not Ignored or not isinstance(name, str):
        raise ValueError(
            "refused 'builtins.getattr' of something other than a logger; nothing in the file was executed"
        )
    return AllowedGlobal(f"{owner.name}.{name}", Ignored)


def default_dict(factory: Any = None) -> dict[Any, Any]:
    """Replaces `collections.defaultdict` by a dict; the factory is ignored."""
    del factory
    return {}
