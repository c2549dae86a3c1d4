"""Durations as people write them: `90s`, `30m`, `1h30m`."""

from __future__ import annotations

import re

_UNITS = (3600.0, 60.0, 1.0)


def parse_duration(text: str) -> float:
    """Reads a duration.

    Args:
        text: Numbers with the units h, m and s, from large to small.

    Returns:
        Seconds.

    Raises:
        ValueError: It is not a duration, or 0.

    Example:
        >>> parse_duration("1h30m")
        5400.0
    """
    found = re.fullmatch(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?", text.strip().lower())
    numbers = found.groups() if found else ()
    seconds = sum(float(number or 0) * unit for number, unit in zip(numbers, _UNITS, strict=False))
    if not seconds:
        raise ValueError(f"--time is {text!r}; allowed are numbers with units, such as 90s, 30m, 2h or 1h30m.")
    return seconds
