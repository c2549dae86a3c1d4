"""The settings of the default boxes of SSD."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DefaultBoxConfig:
    """Default boxes of each map of SSD; the architecture decides them.

    Attributes:
        sizes: Smallest size of the default boxes of each map in pixels, finest first, and the largest of the last; the
            largest of a map is the smallest of the next.
        ratios: Of each map, the ratios of sides besides 1; each makes a wide box and a high one.
        strides: Pixels between neighbouring default boxes of each map; without any, the image's side over the map's.
    """

    sizes: tuple[float, ...] = ()
    ratios: tuple[tuple[float, ...], ...] = ()
    strides: tuple[float, ...] = ()
