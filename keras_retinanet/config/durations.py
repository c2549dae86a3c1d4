"""Durations and intervals as people write them: `90s`, `30m`, `1h30m`; `500` steps."""

from __future__ import annotations

import re
from typing import NamedTuple

_UNITS = (3600.0, 60.0, 1.0)


class SaveInterval(NamedTuple):
    """Time or steps between two events; one of the two.

    Attributes:
        seconds: Time between them.
        steps: Steps between them.
    """

    seconds: float | None = None
    steps: int | None = None


def parse_duration(text: str, flag: str = "--time") -> float:
    """Reads a duration.

    Args:
        text: Numbers with the units h, m and s, from large to small.
        flag: Named in the error. Defaults to `"--time"`.

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
        raise ValueError(f"{flag} is {text!r}; allowed are numbers with units, such as 90s, 30m, 2h or 1h30m.")
    return seconds


def parse_interval(text: str, flag: str) -> SaveInterval:
    """Reads an interval.

    Args:
        text: A duration, or a number of steps.
        flag: Named in the error.

    Returns:
        The interval.

    Raises:
        ValueError: It is neither, or 0.

    Example:
        >>> parse_interval("5m", "--save-every")
        SaveInterval(seconds=300.0, steps=None)
    """
    if text.strip().isdecimal() and int(text):
        return SaveInterval(steps=int(text))
    try:
        return SaveInterval(seconds=parse_duration(text, flag))
    except ValueError:
        raise ValueError(
            f"{flag} is {text!r}; allowed are a time such as 90s, 5m or 1h30m, and a number of steps such as 500."
        ) from None
