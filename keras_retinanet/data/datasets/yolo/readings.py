"""What YOLO's rows of more than six numbers are: polygons, or boxes with keypoints."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from keras_retinanet.config import YoloRows

_SLACK = 0.05  # of the box's side, by which keypoints may stand out
_MIN_ROWS = 10  # fewer rows do not decide
_MOST = 0.95
_VISIBILITIES = frozenset((0.0, 1.0, 2.0))


class Reading(NamedTuple):
    """A row of more than five numbers, read both ways.

    Attributes:
        length: Numbers in the row, the class among them.
        last: The last number.
        box: x1, y1, x2, y2 around all points, if it is a polygon.
        fits_visibility: Whether every third number after the box is a visibility, and visible keypoints are in the box.
        fits_keypoints: Whether all points after the box are in it.
        fits_polygon: Whether the second point is as near to the others as they are to each other.
    """

    length: int
    last: float
    box: tuple[float, float, float, float]
    fits_visibility: bool
    fits_keypoints: bool
    fits_polygon: bool


def box_of_points(sides: list[float]) -> tuple[float, float, float, float]:
    """The box around points given as x, y, x, y."""
    xs, ys = sides[::2], sides[1::2]
    return min(xs), min(ys), max(xs), max(ys)


def read_points(values: list[float]) -> Reading:
    """Read a row both ways.

    Args:
        values: Its numbers, more than five; the class is the first.

    Returns:
        What each reading gives.
    """
    count = len(values)
    if count % 2 == 0 or count == 5:
        fits_visibility = (count - 5) % 3 == 0 and _has_visibility(values)
        return Reading(count, values[-1], (0.0, 0.0, 0.0, 0.0), fits_visibility, False, False)
    rest = values[5:]
    left, top, right, bottom = box_of_points([*values[1:3], *rest])
    reach = max(right - left, bottom - top)
    x, y, width, height = values[1:5]
    is_box = all(
        side > 0 and side / 2 <= centre + 0.01 and centre + side / 2 <= 1.01
        for centre, side in ((x, width), (y, height))
    )
    fits_polygon = left - reach <= width <= right + reach and top - reach <= height <= bottom + reach
    box = min(left, width), min(top, height), max(right, width), max(bottom, height)
    return Reading(
        count,
        values[-1],
        box,
        (count - 5) % 3 == 0 and _has_visibility(values),
        is_box and _are_inside(list(zip(rest[::2], rest[1::2], strict=True)), x, y, width, height),
        fits_polygon,
    )


def _has_visibility(values: list[float]) -> bool:
    if not _VISIBILITIES.issuperset(values[7::3]):
        return False
    points = [point for point in zip(values[5::3], values[6::3], values[7::3], strict=True) if point[2] > 0]
    return _are_inside([(x, y) for x, y, _ in points], *values[1:5])


def _are_inside(points: list[tuple[float, float]], x: float, y: float, width: float, height: float) -> bool:
    """Whether points are in a box; (0, 0) is a keypoint that is not annotated."""
    reach_x, reach_y = width * (0.5 + _SLACK), height * (0.5 + _SLACK)
    return all(abs(px - x) <= reach_x and abs(py - y) <= reach_y for px, py in points if px or py)


def choose_reading(
    rows: Collection[Reading], kpt_shape: tuple[int, int] | None, asked: YoloRows
) -> tuple[YoloRows, list[str]]:
    """Decide what the rows of a set are.

    Rows are boxes with keypoints if `kpt_shape` says so, if the flag does, or if all have the same count and either
    every third number is a visibility, or ten or more rows have their points inside the box and nearly no row would do
    as a polygon. Otherwise they are polygons.

    Args:
        rows: All rows of more than six numbers.
        kpt_shape: Number of keypoints and of their dimensions, if stated.
        asked: The flag.

    Returns:
        `"keypoints"` or `"polygon"`, and notes.
    """
    counts = {row.length for row in rows}
    is_stated = asked == "keypoints" or (asked == "auto" and kpt_shape is not None)
    if not rows:
        return "keypoints" if is_stated else "polygon", []
    if is_stated or (asked == "auto" and len(counts) == 1 and _show_keypoints(rows)):
        note = f"{len(rows)} lines have keypoints, which are not used: their boxes are"
        if not is_stated:
            count = next(iter(counts))
            note += f" (all have {count} numbers, and the points are inside; if polygons: --yolo-rows polygon)"
        return "keypoints", [note]
    return "polygon", _describe_polygons(rows, counts, asked)


def _show_keypoints(rows: Collection[Reading]) -> bool:
    if _share(row.fits_visibility for row in rows) >= _MOST and next(iter(rows)).length > 8:
        return True
    if next(iter(rows)).length % 2 == 0:
        return _share(row.fits_visibility for row in rows) >= _MOST
    is_likely = _share(row.fits_keypoints for row in rows) >= _MOST
    return is_likely and len(rows) >= _MIN_ROWS and _share(row.fits_polygon for row in rows) < 0.5


def _share(flags: Iterable[bool]) -> float:
    given = list(flags)
    return sum(given) / len(given)


def _describe_polygons(rows: Collection[Reading], counts: set[int], asked: YoloRows) -> list[str]:
    used = sum(row.length % 2 for row in rows)
    if not used:
        return []
    what = "oriented boxes or polygons of four points" if counts == {9} else "polygons"
    note = f"{used} lines are {what}: their enclosing boxes are used"
    if asked == "auto" and len(counts) == 1 and _share(row.fits_keypoints for row in rows) >= _MOST:
        note += (
            f" (all have {next(iter(counts))} numbers and would do as a box with keypoints, too: "
            "--yolo-rows keypoints, or kpt_shape in the YAML file)"
        )
    return [note]
