"""Names of results that stay apart where images differ only in their suffix, or not at all."""

from __future__ import annotations

from collections import Counter
from pathlib import PurePath


def own_name(name: PurePath, taken: Counter[str]) -> str:
    """A name of its own, even without the suffix.

    Args:
        name: Relative name of an image.
        taken: Names without suffix so far; the new one is added.

    Returns:
        The name, with a number added if it is taken: `a.png` becomes `a-2.png` after `a.jpg`.
    """
    stem = str(name.with_suffix(""))
    taken[stem] += 1
    if taken[stem] == 1:
        return name.as_posix()
    return own_name(name.with_stem(f"{name.stem}-{taken[stem]}"), taken)
