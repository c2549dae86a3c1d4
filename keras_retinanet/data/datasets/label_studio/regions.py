"""Regions of Label Studio's annotations, and their enclosing boxes.

Reference: https://labelstud.io/guide/export (units of image annotations).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from keras_retinanet.data.datasets.label_studio.brush import box_of_brush
from keras_retinanet.data.datasets.shared.outlines import box_of_ellipse
from keras_retinanet.data.datasets.shared.shapes import BOX, box_of_points, numbers_of
from keras_retinanet.data.errors import DataError, short_repr
from keras_retinanet.schema import Size

REMAKE = "export the project again as JSON"
"""The usual advice."""

_LABELS = (
    "rectanglelabels",
    "polygonlabels",
    "ellipselabels",
    "brushlabels",
    "labels",
    "keypointlabels",
    "vectorlabels",
)
_CHOICE = "choice of an image"
_SHAPES = frozenset(("x", "points", "rle", "sequence", "vertices", "framesCount"))


class Region(NamedTuple):
    """A drawn shape: the value, its labels, the size of its image, and how that was rotated in the tool."""

    value: Mapping[str, Any]
    labels: tuple[str, ...]
    size: Size | None
    image_rotation: Any
    kind: str


def regions_of(result: list[dict[str, Any]], where: str) -> Iterator[Region]:
    """Regions of an annotation; a control of shapes and one of labels write one entry each, with the same ID."""
    labels: dict[str, list[str]] = {}
    choices: dict[str, list[str]] = {}
    shapes: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
    for position, item in enumerate(result):
        value, region = item.get("value"), item.get("id")
        key = region if isinstance(region, str) else f"#{position}"
        if isinstance(value, dict):
            labels.setdefault(key, []).extend(labels_of(value))
            choices.setdefault(key, []).extend(_texts(value.get("choices")))
            if _is_shape(value):
                shapes.setdefault(key, (value, item))
    for key, (value, item) in shapes.items():
        yield make_region(value, labels[key] or choices[key], item, where)
    for key, names in choices.items():
        if names and key not in shapes:
            yield Region({}, tuple(names), None, None, _CHOICE)


def _is_shape(value: Mapping[str, Any]) -> bool:
    return not _SHAPES.isdisjoint(value)


def labels_of(value: Mapping[str, Any]) -> list[str]:
    """Labels in the value of a region, whichever control it was drawn with."""
    return [label for name in value if name in _LABELS for label in _texts(value[name])]


def _texts(value: Any) -> list[str]:
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []


def make_region(value: Mapping[str, Any], labels: Iterable[str], entry: Mapping[str, Any], where: str) -> Region:
    """A region of a picture.

    Args:
        value: Its value.
        labels: Its labels; those that are repeated count once.
        entry: What states the size of the picture.
        where: File and task, for messages.

    Raises:
        DataError: It is part of a track of a video.
    """
    if "sequence" in value or "framesCount" in value:
        fix = "annotate the frames that you want to use as images"
        raise DataError(where, "has tracks of a video", "tasks of images", fix)
    size = _size(entry.get("original_height"), entry.get("original_width"))
    return Region(value, tuple(dict.fromkeys(labels)), size, entry.get("image_rotation"), str(entry.get("type", "")))


def _size(height: Any, width: Any) -> Size | None:
    if type(height) is int and type(width) is int and height > 0 < width:  # almost all
        return height, width
    is_known = all(type(side) in (int, float) and side >= 1 for side in (height, width))
    return (round(height), round(width)) if is_known else None


def parse_region(region: Region, where: str) -> tuple[str, Any]:
    """Kind of a region, and its enclosing box in pixels or `None`."""
    value, size = region.value, region.size
    if region.kind == _CHOICE:
        return _CHOICE, None
    if not region.labels:
        raise DataError(where, "has no label", "a label for each region", "label it, or remove it")
    if region.image_rotation not in (None, 0):
        found = f"was drawn on a picture rotated by {short_repr(region.image_rotation)} degrees in Label Studio"
        raise DataError(
            where, found, "pictures that are not rotated there", "rotate the picture back and draw it again"
        )
    if size is None:
        raise DataError(where, "has no 'original_width' and 'original_height'", "both, in pixels", REMAKE)
    if "rle" in value:
        return "brush", box_of_brush(value["rle"], size, where)
    if "points" in value:
        points = value["points"] if isinstance(value["points"], list) else []
        x1, y1, x2, y2 = box_of_points(points, where, 3)
        return "polygon", _to_pixels((x1, y1, x2, y2), size)
    if "radiusX" in value:
        x, y, radius_x, radius_y = numbers_of(value, ["x", "y", "radiusX", "radiusY"], where)
        x, y, radius_x, radius_y = _to_pixels((x, y, radius_x, radius_y), size)
        return "ellipse", box_of_ellipse((x, y), (radius_x, radius_y), _angle(value, where))
    if "vertices" in value or "height" not in value or "keypointlabels" in value or region.kind.startswith("keypoint"):
        return "vector" if "vertices" in value else "keypoint", None
    x, y, width, height = _to_pixels(numbers_of(value, ["x", "y", "width", "height"], where), size)
    if not (angle := _angle(value, where)):
        return BOX, (x, y, x + width, y + height)
    cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    corners = [
        [x + across * cosine - down * sine, y + across * sine + down * cosine]
        for across in (0, width)
        for down in (0, height)
    ]
    return "rotated rectangle", box_of_points(corners, where)


def _to_pixels(percents: Iterable[float], size: Size) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = percents
    height, width = size
    return x1 * width / 100, y1 * height / 100, x2 * width / 100, y2 * height / 100


def _angle(value: Mapping[str, Any], where: str) -> float:
    return numbers_of(value, ["rotation"], where)[0] if value.get("rotation") else 0.0
