"""Datumaro's own format: one JSON file per subset, images in a folder of the same name.

Reference: https://open-edge-platform.github.io/datumaro/stable/docs/data-formats/formats/datumaro.html, and
`datumaro/plugins/data_formats/datumaro/exporter.py` of Datumaro 1.13.12.
"""

from __future__ import annotations

import itertools
import math
import re
from array import array
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from keras_retinanet.data.datasets.shared.image_list import ImageList, ListedImage, PlainBoxes
from keras_retinanet.data.datasets.shared.listed_images import ListedImagesReader
from keras_retinanet.data.datasets.shared.long_json import read_long_json
from keras_retinanet.data.datasets.shared.outlines import box_of_segmentation, enclosing_box
from keras_retinanet.data.datasets.shared.shapes import (
    BOX,
    Shape,
    box_of_points,
    in_fours,
    numbers_of,
    plain_rows,
    require_finite,
)
from keras_retinanet.data.errors import DataError, short_repr

_KIND = "a JSON file of Datumaro's own format"
_REMAKE = "export the data set again in the format datumaro"
_CATEGORIES = re.compile(rb'"dm_format_version"\s*:|"categories"\s*:\s*\{\s*"(?:label|mask|points)"\s*:\s*\{')
_WITHOUT_AREA = ("points", "polyline", "label", "caption", "cuboid_3d", "skeleton")


class _Annotation(NamedTuple):
    item: Any
    names: Mapping[int, str]


class DatumaroDataset(ListedImagesReader):
    """Datumaro's own format: `annotations/<subset>.json`, `images/<subset>/`; Datumaro's and CVAT's exports.

    Classes are the label categories in their order, without the parts of skeletons. Polygons, masks, ellipses, cuboids
    and rotated boxes become their enclosing boxes; a box with the attribute `rotation` (CVAT's exports) is turned about
    its centre. Points, polylines, labels of whole images and captions are left out. Items of videos and point clouds
    are refused. A box marked `is_crowd` is an ignore region.
    """

    word = "datumaro"
    summary = "Datumaro's own format: annotations/<subset>.json, images/<subset>/"
    format_name = "Datumaro"
    layouts = "annotations/<subset>.json with images/<subset>/"

    @classmethod
    def recognise(cls, ends: bytes) -> str | None:
        """Recognise a file by its version or by its categories, which precede the items."""
        return "Datumaro" if ends.startswith(b"{") and _CATEGORIES.search(ends) else None

    def read_list(self, file: Path, set_name: str) -> ImageList:
        """Read the items of a subset."""
        del set_name
        content = read_long_json(file, _KIND, _REMAKE, {"items": _shrink})
        items = content.get("items") if isinstance(content, dict) else None
        if not isinstance(items, list):
            raise DataError(str(file), "has no list 'items'", _KIND, _REMAKE)
        names, classes = _names(content.get("categories"), file)
        numbered = ((f"{file}, item {number}", item, names) for number, item in enumerate(items, start=1))
        return ImageList(list(self.parse_each(numbered, _parse_item)), classes)

    def parse_shape(self, shape: Any, image: ListedImage, where: str) -> Sequence[Shape]:
        """One annotation."""
        del image
        return [_parse(shape.item, shape.names, where)]


def _names(categories: Any, file: Path) -> tuple[dict[int, str], list[str]]:
    """Names of the labels by ID, and those that are classes."""
    labels = categories.get("label") if isinstance(categories, dict) else None
    found = labels.get("labels") if isinstance(labels, dict) else []
    if not isinstance(found, list) or not all(
        isinstance(one, dict) and isinstance(one.get("name"), str) for one in found
    ):
        raise DataError(str(file), "has broken label categories", "labels with names", _REMAKE)
    names = {number: label["name"] for number, label in enumerate(found)}
    known = set(names.values())
    classes = [label["name"] for label in found if label.get("parent") not in known]  # a skeleton's parts have a parent
    return names, list(dict.fromkeys(classes))


def _parse_item(numbered: tuple[str, Any, Mapping[int, str]]) -> ListedImage:
    where, item, names = numbered
    if not isinstance(item, dict) or not isinstance(item.get("id"), str):
        raise DataError(where, f"is {short_repr(item)}", "an item with an 'id'", _REMAKE)
    for media in ("video", "video_frame", "point_cloud"):
        if media in item:
            fix = "extract the frames as images with Datumaro's format video_frames"
            raise DataError(where, f"is a {media}, not an image", "items of images", fix)
    annotations = item.get("annotations", [])
    if not isinstance(annotations, (list, PlainBoxes)):
        raise DataError(where, f"'annotations' is {short_repr(annotations)}", "a list", _REMAKE)
    number, given = item["id"], item["image"] if isinstance(item.get("image"), dict) else {}
    path = given["path"] if isinstance(given.get("path"), str) else ""
    forms = [path, number, number.replace("/", "_")]
    size: Any = given.get("size")
    is_known = isinstance(size, list) and len(size) == 2 and all(type(side) is int and side > 0 for side in size)
    shapes = _named(annotations, names) or [_Annotation(annotation, names) for annotation in _restored(annotations)]
    return ListedImage(
        tuple(dict.fromkeys(form for form in forms if form)), (size[0], size[1]) if is_known else None, shapes
    )


def _shrink(items: list[Any]) -> list[Any]:
    """Replace the annotations of images that have plain boxes alone."""
    for item in items:
        annotations = item.get("annotations") if isinstance(item, dict) and isinstance(item.get("id"), str) else None
        if type(annotations) is list:
            item["annotations"] = _plain_boxes(annotations) or annotations
    return items


def _plain_boxes(annotations: list[Any]) -> PlainBoxes | None:
    """x, y, width and height of boxes with the IDs of their labels, if there is nothing else."""
    try:
        is_plain = all(
            item["type"] == "bbox" and not (item.get("attributes") and _is_odd(item["attributes"]))
            for item in annotations
        )
        labels, boxes = [item["label_id"] for item in annotations], [item["bbox"] for item in annotations]
    except (LookupError, TypeError, AttributeError):
        return None
    is_plain = is_plain and {int}.issuperset(map(type, labels)) and {list}.issuperset(map(type, boxes))
    if not is_plain or not {4}.issuperset(map(len, boxes)) or plain_rows(boxes, tuple) is None:
        return None
    return PlainBoxes(labels, array("d", itertools.chain.from_iterable(boxes)))


def _is_odd(attributes: Any) -> bool:
    return isinstance(attributes, dict) and (bool(attributes.get("rotation")) or attributes.get("is_crowd") is True)


def _named(annotations: list[Any] | PlainBoxes, names: Mapping[int, str]) -> PlainBoxes | None:
    """Plain boxes with the names of their labels and their corners; `None` if each is to be parsed."""
    if not isinstance(annotations, PlainBoxes) or not names.keys() >= set(annotations.names):
        return None
    sides: list[float] = []
    for x, y, width, height in in_fours(annotations.sides):
        sides += x, y, x + width, y + height
    return PlainBoxes([names[label] for label in annotations.names], sides) if math.isfinite(sum(sides)) else None


def _restored(annotations: list[Any] | PlainBoxes) -> list[Any]:
    """Annotations as in the file, to be parsed one by one."""
    if not isinstance(annotations, PlainBoxes):
        return annotations
    pairs = zip(annotations.names, in_fours(annotations.sides), strict=True)
    return [{"type": "bbox", "label_id": label, "bbox": list(box)} for label, box in pairs]


def _parse(item: Any, names: Mapping[int, str], where: str) -> Shape:
    if not isinstance(item, dict) or not isinstance(item.get("type"), str):
        raise DataError(where, f"is {short_repr(item)}", "an annotation with a 'type'", _REMAKE)
    kind, label = item["type"], item.get("label_id")
    if kind in _WITHOUT_AREA:
        return Shape(kind, "", None, where)
    if type(label) is not int or label not in names:
        raise DataError(where, f"'label_id' is {short_repr(label)}", "the number of a label", "correct or remove it")
    attributes = item["attributes"] if isinstance(item.get("attributes"), dict) else {}
    box, turned = _box(kind, item, attributes, where)
    require_finite(box, where)
    return Shape(turned, names[label], box, where, attributes.get("is_crowd") is True)


def _box(kind: str, item: Mapping[str, Any], attributes: Mapping[str, Any], where: str) -> tuple[Any, str]:
    """The enclosing box, and the kind of the shape."""
    points = item.get("points")
    if kind == "bbox":
        x, y, width, height = _numbers(item.get("bbox"), 4, where)
        rotation = numbers_of(attributes, ["rotation"], where)[0] % 360 if attributes.get("rotation") else 0.0
        box = (x, y, x + width, y + height)
        return (enclosing_box(box, rotation), "rotated box") if rotation else (box, BOX)
    if kind == "rotated_bbox":
        x, y, width, height, rotation = _numbers(points, 5, where)
        box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        return enclosing_box(box, rotation), "rotated box"
    if kind == "mask":
        try:
            return box_of_segmentation(item.get("rle") if isinstance(item.get("rle"), dict) else {}), kind
        except ValueError as error:
            raise DataError(where, f"'rle' is broken: {error}", "a mask in run lengths", "remove it") from None
    if kind == "cuboid_2d":
        return box_of_points(points, where, 2), kind
    if kind in ("polygon", "ellipse"):
        flat = _numbers(points, None, where)
        return box_of_points([flat[k : k + 2] for k in range(0, len(flat), 2)], where, 2), kind
    allowed = "bbox, rotated_bbox, polygon, mask, ellipse, cuboid_2d, points, polyline, label, caption"
    raise DataError(where, f"'type' is {short_repr(kind)}", allowed, "remove it")


def _numbers(given: Any, count: int | None, where: str) -> list[float]:
    """A list of numbers, `count` of them if given."""
    if not isinstance(given, list) or (count is not None and len(given) != count):
        allowed = f"{count} numbers" if count else "x, y, x, y, …"
        raise DataError(where, f"coordinates are {short_repr(given)}", allowed, "correct or remove it")
    return numbers_of(dict(enumerate(given)), range(len(given)), where)
