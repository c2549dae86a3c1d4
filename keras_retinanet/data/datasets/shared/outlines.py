"""Enclosing boxes of outlines: polygons, run-length encoded masks, and turned rectangles."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

Box = tuple[float, float, float, float]


def box_of_segmentation(segmentation: Any) -> Box:
    """The enclosing box of a COCO `segmentation`.

    Args:
        segmentation: A polygon `[x, y, x, y, …]`, a list of polygons, or a mask `{"size": [H, W], "counts": …}` whose
            run lengths, column by column, are a list or COCO's compressed text.

    Returns:
        x1, y1, x2, y2 in pixels.

    Raises:
        ValueError: It is neither, or has no points.
    """
    if isinstance(segmentation, dict):
        return _box_of_mask(segmentation)
    if not isinstance(segmentation, list):
        raise ValueError("neither a list of polygons nor a mask")
    polygons = segmentation if segmentation and isinstance(segmentation[0], list) else [segmentation]
    xs, ys = [], []
    for polygon in polygons:
        if not isinstance(polygon, list) or len(polygon) % 2:
            raise ValueError("a polygon is not a list of x, y, x, y, …")
        try:
            sides = [float(side) for side in polygon]
        except (TypeError, OverflowError):
            raise ValueError("a polygon has a value that is not a number") from None
        xs += sides[::2]
        ys += sides[1::2]
    if not xs:
        raise ValueError("no points")
    return min(xs), min(ys), max(xs), max(ys)


def enclosing_box(box: Sequence[float], degrees: float) -> Box:
    """The box around a rectangle that is turned about its centre.

    Args:
        box: x1, y1, x2, y2 of the rectangle before it is turned.
        degrees: The angle; its sign has no effect.

    Returns:
        x1, y1, x2, y2.
    """
    x1, y1, x2, y2 = box
    cosine, sine = abs(math.cos(math.radians(degrees))), abs(math.sin(math.radians(degrees)))
    half_width = ((x2 - x1) * cosine + (y2 - y1) * sine) / 2
    half_height = ((x2 - x1) * sine + (y2 - y1) * cosine) / 2
    x, y = (x1 + x2) / 2, (y1 + y2) / 2
    return x - half_width, y - half_height, x + half_width, y + half_height


def box_of_ellipse(centre: tuple[float, float], radii: tuple[float, float], degrees: float = 0.0) -> Box:
    """The enclosing box of an ellipse.

    Args:
        centre: x, y.
        radii: Half of its width and of its height before it is turned.
        degrees: Angle by which it is turned about its centre; its sign has no effect. Defaults to 0.

    Returns:
        x1, y1, x2, y2.
    """
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    half_width = math.hypot(radii[0] * cosine, radii[1] * sine)
    half_height = math.hypot(radii[0] * sine, radii[1] * cosine)
    x, y = centre
    return x - half_width, y - half_height, x + half_width, y + half_height


def _box_of_mask(mask: dict[str, Any]) -> Box:
    size, counts = mask.get("size"), mask.get("counts")
    if not isinstance(size, list) or len(size) != 2 or not all(type(side) is int and side > 0 for side in size):
        raise ValueError("the size of a mask is not [height, width]")
    height, width = size
    runs = _decompress(counts) if isinstance(counts, str) else counts
    if not isinstance(runs, list) or not all(type(run) is int and run >= 0 for run in runs):
        raise ValueError("the counts of a mask are not run lengths")
    if sum(runs) != height * width:
        raise ValueError("the counts of a mask do not fill its size")
    rows, columns = [], []
    for start, end in _object_runs(runs):
        first, last = start // height, (end - 1) // height
        columns += [first, last]
        rows += [0, height - 1] if first != last else [start % height, (end - 1) % height]
    if not rows:
        raise ValueError("the mask is empty")
    return float(min(columns)), float(min(rows)), float(max(columns) + 1), float(max(rows) + 1)


def _object_runs(runs: list[int]) -> Iterator[tuple[int, int]]:
    """Start and end of each run of object pixels: every second one, the first is background."""
    edges = [0, *itertools.accumulate(runs)]
    for position in range(1, len(runs), 2):
        if runs[position]:
            yield edges[position], edges[position + 1]


def _decompress(text: str) -> list[int]:
    """Run lengths of COCO's compressed text: 5 bits per character, from the fourth on as difference to two before."""
    runs: list[int] = []
    value, shift = 0, 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 60:
            raise ValueError("the counts of a mask have a character that is not allowed")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value, shift = 0, 0
    if shift:
        raise ValueError("the counts of a mask end too early")
    return runs
