"""Label Studio's usual results, which have one rectangle with one label per region, in compact form."""

from __future__ import annotations

import operator
from array import array
from typing import Any, NamedTuple

from keras_retinanet.data.datasets.shared.image_list import PlainBoxes
from keras_retinanet.data.datasets.shared.shapes import plain_rows
from keras_retinanet.schema import Size

_KIND = "rectanglelabels"
_SIDES = operator.itemgetter("x", "y", "width", "height")
_MEMBERS = 6  # of the value of a rectangle: its sides, its rotation and its labels


class PlainResult(NamedTuple):
    """The regions of an annotation.

    Attributes:
        size: Height and width of the picture, `None` if there is no region.
        boxes: Labels, and corners in pixels.
    """

    size: Size | None
    boxes: PlainBoxes


def shrink_tasks(tasks: list[Any]) -> list[Any]:
    """Replace results that have nothing but upright rectangles, one label each; others stay as they are."""
    for task in tasks:
        annotations = task.get("annotations") if isinstance(task, dict) else None
        for annotation in annotations if isinstance(annotations, list) else ():
            if isinstance(annotation, dict) and type(result := annotation.get("result")) is list:
                annotation["result"] = _plain_result(result) or result
    return tasks


def _plain_result(result: list[Any]) -> PlainResult | None:
    try:
        values = [item["value"] for item in result if item["type"] == _KIND and not item.get("image_rotation")]
        labels = [label for value in values for label in value[_KIND] if not value["rotation"]]
        sizes = {(item["original_height"], item["original_width"]) for item in result}
        ids = {item["id"] for item in result}
    except (LookupError, TypeError, AttributeError):
        return None
    is_plain = len(result) == len(values) == len(labels) == len(ids) and len(sizes) < 2
    is_plain = is_plain and {_MEMBERS}.issuperset(map(len, values)) and {str}.issuperset(map(type, [*labels, *ids]))
    is_plain = is_plain and all(type(value[_KIND]) is list and len(value[_KIND]) == 1 for value in values)
    is_plain = is_plain and all(type(side) is int and side > 0 for size in sizes for side in size)
    percents = plain_rows(values, _SIDES) if is_plain else None
    if percents is None:
        return None
    height, width = next(iter(sizes), (0, 0))
    sides: list[float] = []
    for x1, y1, across, down in percents:
        x, y = float(x1) * width / 100, float(y1) * height / 100
        sides += x, y, x + float(across) * width / 100, y + float(down) * height / 100
    return PlainResult((height, width) if sizes else None, PlainBoxes(labels, array("d", sides)))
