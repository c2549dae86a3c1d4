"""Coordinates as text that reads back as the same float32."""

from __future__ import annotations

import numpy as np


def exact(value: float) -> float:
    """The shortest decimal number that becomes this float32 again: 30.1, not 30.100000381469727."""
    return float(np.format_float_positional(np.float32(value), unique=True, trim="0"))


def exact_text(value: float) -> str:
    """`exact` as text, whole numbers without a point."""
    return np.format_float_positional(np.float32(value), unique=True, trim="-")
