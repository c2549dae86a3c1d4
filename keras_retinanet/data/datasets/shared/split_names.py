"""Names of splits, as folders and file names spell them."""

from __future__ import annotations

import re
from collections.abc import Iterable

TRAIN = ("train2017", "train", "training", "trainval", "default", ".")
"""Usual names of the training set, the preferred one first."""

VALIDATION = ("val2017", "val", "valid", "validation", "dev")
"""Usual names of the validation set, the preferred one first."""

_WORD = re.compile(
    r"(?<![a-z])(?:trainval|training|train|validation|valid|val|testing|test|dev|default)(?:20\d\d)?(?![a-z])"
)


def split_in(name: str) -> str:
    """The split that a file or folder name contains as a word (`annotations_train.csv`: `train`), or `""`."""
    found = _WORD.search(name.lower())
    return found[0] if found else ""


def usual_sets(names: Iterable[str]) -> tuple[str, str | None]:
    """Choose the training and the validation set.

    Args:
        names: The sets that exist.

    Returns:
        The first of `TRAIN` that exists, in any case, else the only set, else the first of `TRAIN` without a year; and
        the first of `VALIDATION` that exists, or `None`.
    """
    there = {name.lower(): name for name in names}
    val = next((there[name] for name in VALIDATION if name in there), None)
    train = next((there[name] for name in TRAIN if name in there), None)
    if train is None:
        train = next(iter(there.values())) if len(there) == 1 and val is None else "train"
    return train, val
