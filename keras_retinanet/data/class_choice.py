"""Chooses, orders, renames and merges classes: `--classes` and `--map-class`."""

from __future__ import annotations

from collections.abc import Sequence

from keras_retinanet.config.near_names import nearest_name
from keras_retinanet.data.errors import DataError, short_repr


def parse_class_map(pairs: Sequence[str] | None) -> dict[str, str]:
    """Parse renamed classes.

    Args:
        pairs: Such as `["lorry=truck", "van=truck"]`, or `None`.

    Returns:
        Old name → new name.

    Raises:
        ValueError: A pair is not `OLD=NEW`, or an old name occurs twice.
    """
    renamed: dict[str, str] = {}
    for pair in pairs or ():
        old, equals, new = (part.strip() for part in pair.partition("="))
        if not (old and equals and new):
            raise ValueError(f"--map-class is {pair!r}; allowed is OLD=NEW, several separated by commas.")
        if renamed.get(old, new) != new:
            raise ValueError(f"--map-class renames {old!r} twice: to {renamed[old]!r} and {new!r}.")
        renamed[old] = new
    return renamed


def choose_classes(
    class_names: Sequence[str], keep: Sequence[str] | None, renamed: dict[str, str]
) -> tuple[tuple[str, ...], list[int]]:
    """The new names, and the new label of each old one.

    Args:
        class_names: Names of the data set, label 0 first.
        keep: New names to keep, in their order. Defaults to `None`: all, in the order of the data set.
        renamed: Old name → new name.

    Returns:
        `(names, labels)`; -1 is the label of a class that is left out.
    """
    new = [renamed.get(name, name) for name in class_names]
    names = tuple(dict.fromkeys(new)) if keep is None else tuple(dict.fromkeys(keep))
    labels = {name: label for label, name in enumerate(names)}
    return names, [labels.get(name, -1) for name in new]


def check_class_choice(class_names: Sequence[str], keep: Sequence[str] | None, renamed: dict[str, str]) -> None:
    """Raise `DataError` if a name that is kept or renamed does not occur.

    Args:
        class_names: Names of the data set before the choice.
        keep: As in `choose_classes`.
        renamed: As in `choose_classes`.

    Raises:
        DataError: With the nearest name.
    """
    _require_known("--map-class", list(renamed), class_names)
    _require_known("--classes", keep or (), [renamed.get(name, name) for name in class_names])


def _require_known(flag: str, wanted: Sequence[str], known: Sequence[str]) -> None:
    for name in wanted:
        if name not in known:
            near = nearest_name(name, known, 0.5)
            fix = f"did you mean {near!r}?" if near else "correct the name"
            allowed = ", ".join(repr(other) for other in dict.fromkeys(known))
            raise DataError(flag, f"no class is called {short_repr(name)}", allowed, fix)
