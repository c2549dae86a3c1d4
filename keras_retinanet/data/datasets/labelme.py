"""labelme: one JSON file per image.

Reference: https://github.com/wkentaro/labelme, `labelme/_label_file.py` and `labelme/utils/shape.py` (6.3.1).
"""

from __future__ import annotations

import math
import os
import re
from array import array
from pathlib import Path
from typing import Any

from keras_retinanet.data.datasets.shared.image_list import PlainBoxes
from keras_retinanet.data.datasets.shared.image_pages import Page, PageReader, image_forms
from keras_retinanet.data.datasets.shared.json_files import parse_json, read_ends, read_file
from keras_retinanet.data.datasets.shared.outlines import box_of_ellipse
from keras_retinanet.data.datasets.shared.shapes import BOX, Shape, box_of_points, plain_rows
from keras_retinanet.data.datasets.shared.text_files import to_local_path
from keras_retinanet.data.errors import DataError, short_repr

_KIND = "a labelme JSON file"
_REMAKE = "save the image again in labelme"
_SHAPES, _PICTURE = re.compile(rb'"shapes"\s*:\s*\['), re.compile(rb'"image(?:Path|Data|Height)"\s*:')
_EMBEDDED = re.compile(rb'"imageData"\s*:\s*"')
_WITHOUT_AREA = ("line", "linestrip", "point", "points")


class LabelmeDataset(PageReader):
    """labelme's JSON files, next to their images or in a folder of their own.

    Every JSON file below `path` and the image that its `imagePath` names, else the one of the same name. Sets are
    folders (`train/`, `annotations/val/` …); without them the set is `"."`. Images without a JSON file are background.
    Rectangles are boxes, with their corners in any order; polygons, circles, masks and oriented rectangles become their
    enclosing boxes; lines and points are left out. Shapes of the same label and `group_id` are parts of one object, as
    in labelme's own converters. Flags are not used. labelme shows photos as their EXIF orientation turns them: the
    annotated size is that of the turned picture. A picture that is only embedded in its JSON file is read from there.

    Class names are the lines of `labels.txt` in `path` if there is one, otherwise the sorted names.
    """

    word = "labelme"
    summary = "labelme JSON files, one per image"
    suffix, kind, tool = ".json", _KIND, "labelme"

    @classmethod
    def is_page(cls, file: Path) -> bool:
        """Whether a file is labelme's, as its first and last bytes show."""
        ends = read_ends(file)
        return ends.startswith(b"{") and bool(_SHAPES.search(ends)) and bool(_PICTURE.search(ends))

    def read_page(self, root: Path, name: str) -> Page:
        """Read a JSON file."""
        return _read_page(root, name)

    def parse_shape(self, item: Any, where: str) -> tuple[Shape, Any]:
        """One shape, and its `group_id`."""
        if not isinstance(item, dict):
            raise DataError(where, f"is {short_repr(item)}", "an object in braces", _REMAKE)
        group = item.get("group_id")
        return _parse_shape(item, where), group if isinstance(group, (int, str)) else None


def _read_page(root: Path, name: str) -> Page:
    file = os.path.join(root, name)
    content = read_file(file, _KIND)
    embedded = _EMBEDDED.search(content)
    place = None
    if embedded is not None and (end := content.find(b'"', embedded.end())) > embedded.end():
        place = embedded.end(), end - embedded.end()
        content = content[: embedded.end()] + content[end:]  # base64 is most of the file and is not needed
    page = parse_json(content, file, _KIND, _REMAKE)
    shapes = page.get("shapes") if isinstance(page, dict) else None
    if not isinstance(shapes, list):
        raise DataError(str(file), "has no list 'shapes'", _KIND, f"remove the file, or {_REMAKE}")
    given = page.get("imagePath")
    image = to_local_path(given) if isinstance(given, str) and given else os.path.splitext(os.path.basename(name))[0]
    sides = page.get("imageHeight"), page.get("imageWidth")
    is_known = all(type(side) is int and side > 0 for side in sides)
    size = (sides[0], sides[1]) if is_known else None
    return Page(name, image_forms(name, image), size, _plain_boxes(shapes) or shapes, place)


def _plain_boxes(shapes: list[Any]) -> PlainBoxes | None:
    """The boxes, if all shapes are rectangles without a group."""
    try:
        points = [item["points"] for item in shapes if item["shape_type"] == "rectangle" and item["group_id"] is None]
        names = [item["label"] for item in shapes]
    except (LookupError, TypeError):
        return None
    boxes = plain_rows(points, _corners) if len(points) == len(shapes) and all(names) else None
    if boxes is None or not {str}.issuperset(map(type, names)):
        return None
    sides: list[float] = []
    for box in boxes:
        x1, y1, x2, y2 = box
        sides += box if x1 < x2 and y1 < y2 else (min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2))
    return PlainBoxes(names, array("d", sides))


def _corners(points: Any) -> tuple[Any, Any, Any, Any]:
    (x1, y1), (x2, y2) = points
    return x1, y1, x2, y2


def _parse_shape(item: dict[str, Any], where: str) -> Shape:
    points: Any = item.get("points")
    kind, name = item.get("shape_type") or "polygon", item.get("label")
    if not isinstance(name, str) or not name:
        raise DataError(where, f"'label' is {short_repr(name)}", "the name of a class", "correct or remove the shape")
    if kind in _WITHOUT_AREA:
        return Shape(kind, name, None, where)
    if kind == "rectangle":
        return Shape(BOX, name, box_of_points(points, where, 2), where)
    if kind == "circle":
        box_of_points(points, where, 2)
        (x, y), (edge_x, edge_y) = points[:2]
        radius = math.hypot(edge_x - x, edge_y - y)
        return Shape(kind, name, box_of_ellipse((x, y), (radius, radius)), where)
    if kind == "mask":  # its corners are the first and the last pixel
        x1, y1, x2, y2 = box_of_points(points, where, 2)
        return Shape(kind, name, (x1, y1, x2 + 1, y2 + 1), where)
    if kind in ("polygon", "oriented_rectangle", "rotation"):  # the last: X-AnyLabeling
        return Shape(kind, name, box_of_points(points, where, 3), where)
    allowed = "rectangle, polygon, circle, mask, oriented_rectangle, line, linestrip, point"
    raise DataError(where, f"'shape_type' is {short_repr(kind)}", allowed, "correct or remove the shape")
