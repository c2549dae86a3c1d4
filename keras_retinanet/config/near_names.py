"""The name that a user probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest_name(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known name that is most like another, whatever the case of its letters.

    Args:
        name: What was written; only its first 100 characters are compared.
        known: Names that exist.
        cutoff: Least similarity, from 0 to 1, of `difflib`. Defaults to 0.6.

    Returns:
        The name; `None` if none is similar.
    """
    folded = {other.casefold().strip(): other for other in known}
    near = difflib.get_close_matches(name[:100].casefold().strip(), folded, 1, cutoff)
    return folded[near[0]] if near else None
