"""Apple's Create ML: one JSON file that lists images and boxes by their centres.

Reference: https://developer.apple.com/documentation/createml/building-an-object-detector-data-source.
"""

from __future__ import annotations

import operator
import re
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_retinanet.data.datasets.shared.image_list import ImageList, ListedImage, PlainBoxes
from keras_retinanet.data.datasets.shared.listed_images import ListedImagesReader
from keras_retinanet.data.datasets.shared.long_json import read_long_json
from keras_retinanet.data.datasets.shared.shapes import BOX, Shape, numbers_of, plain_rows
from keras_retinanet.data.errors import DataError, short_repr

_KIND = "a Create ML JSON file"
_REMAKE = "export the annotations again as Create ML JSON"
_IMAGE = re.compile(rb'"image(?:filename)?"\s*:\s*"')
_ANNOTATIONS = re.compile(rb'"annotations?"\s*:\s*\[')
_COORDINATES = re.compile(rb'"coordinates"\s*:\s*\{')
_EMPTY = re.compile(rb'"annotations?"\s*:\s*\[\s*\]\s*\}')  # of an image without boxes
_NUMBERS = operator.itemgetter("x", "y", "width", "height")
_ROBOFLOW = "_annotations.createml.json"


class CreateMlDataset(ListedImagesReader):
    """Create ML's JSON: `[{"image": …, "annotations": [{"label": …, "coordinates": {"x", "y", "width", "height"}}]}]`.

    The file lies next to the images, in the folder of each set (`train/_annotations.createml.json` of Roboflow), or in
    `annotations/`. x and y are the centre of the box in pixels. Both `annotations` and `annotation`, and `image` and
    `imagefilename`, are read. Class names are the sorted labels.
    """

    word = "createml"
    summary = "Create ML JSON, next to the images or in the folder of each set"
    format_name = "Create ML"
    layouts = "<set>/_annotations.createml.json, or a JSON file next to the images"

    @classmethod
    def recognise(cls, ends: bytes) -> str | None:
        """Recognise the list of images with coordinates of boxes."""
        has_images = ends.startswith(b"[") and _IMAGE.search(ends) and _ANNOTATIONS.search(ends)
        return "" if has_images and (_COORDINATES.search(ends) or _EMPTY.search(ends)) else None

    @classmethod
    def name_tool(cls, file: Path) -> str:
        """Roboflow gives its files a name of their own."""
        return "Roboflow" if file.name == _ROBOFLOW else ""

    def read_list(self, file: Path, set_name: str) -> ImageList:
        """Read all images."""
        del set_name
        entries = read_long_json(file, _KIND, _REMAKE, {"": _shrink})
        if not isinstance(entries, list):
            raise DataError(str(file), "is not a list of images", _KIND, _REMAKE)
        numbered = ((f"{file}, image {number}", entry) for number, entry in enumerate(entries, start=1))
        return ImageList(list(self.parse_each(numbered, _parse_entry)))

    def parse_shape(self, shape: Any, image: ListedImage, where: str) -> Sequence[Shape]:
        """One box."""
        del image
        if not isinstance(shape, dict):
            raise DataError(where, f"is {short_repr(shape)}", "an object in braces", _REMAKE)
        label, given = shape.get("label"), shape.get("coordinates")
        if not isinstance(label, str) or not label:
            raise DataError(where, f"'label' is {short_repr(label)}", "the name of a class", "correct or remove it")
        if not isinstance(given, dict):
            allowed = "x, y, width and height"
            raise DataError(where, f"'coordinates' is {short_repr(given)}", allowed, "correct or remove it")
        x, y, width, height = numbers_of(given, ["x", "y", "width", "height"], where)
        return [Shape(BOX, label, (x - width / 2, y - height / 2, x + width / 2, y + height / 2), where)]


def _shrink(entries: list[Any]) -> list[Any]:
    """Replace the annotations of images that have plain boxes alone."""
    for entry in entries:
        if isinstance(entry, dict) and type(shapes := entry.get("annotations")) is list:
            entry["annotations"] = _plain_boxes(shapes) or shapes
    return entries


def _plain_boxes(shapes: list[Any]) -> PlainBoxes | None:
    try:
        names = [shape["label"] for shape in shapes]
        boxes = plain_rows([shape["coordinates"] for shape in shapes], _NUMBERS)
    except (LookupError, TypeError):
        return None
    if boxes is None or not all(names) or not {str}.issuperset(map(type, names)):
        return None
    sides: list[float] = []
    for x, y, width, height in boxes:
        sides += x - width / 2, y - height / 2, x + width / 2, y + height / 2
    return PlainBoxes(names, array("d", sides))


def _parse_entry(numbered: tuple[str, Any]) -> ListedImage:
    where, entry = numbered
    if not isinstance(entry, dict):
        raise DataError(where, f"is {short_repr(entry)}", "an object in braces", _REMAKE)
    name = entry.get("image", entry.get("imagefilename"))
    if not isinstance(name, str) or not name:
        raise DataError(where, f"'image' is {short_repr(name)}", "the name of an image file", _REMAKE)
    shapes = entry.get("annotations", entry.get("annotation"))
    shapes = [] if shapes is None and {"annotations", "annotation"} & set(entry) else shapes
    if not isinstance(shapes, (list, PlainBoxes)):
        raise DataError(where, f"'annotations' is {short_repr(shapes)}", "a list of boxes", _REMAKE)
    return ListedImage((name,), None, shapes)
