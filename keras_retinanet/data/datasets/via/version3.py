"""Projects of VIA 3, in the form of those of VIA 2.

Reference: https://gitlab.com/vgg/via/-/blob/master/via-3.x.y/CodeDoc.md, and its `_via_share.js`, `_via_const.js`.
"""

from __future__ import annotations

import collections
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from keras_retinanet.data.errors import DataError, short_repr

_KIND = "a project of VIA 3 with 'file', 'view', 'metadata' and 'attribute'"
_REMAKE = "save the project again in VIA 3"
_IMAGE = 2  # type of a file
_CHECK_BOXES, _MENUS = 2, (3, 4)  # types of an attribute
_POINT, _RECTANGLE, _CIRCLE, _ELLIPSE, _LINE, _POLYLINE, _POLYGON, _EXTREME_RECTANGLE, _EXTREME_CIRCLE = range(1, 10)
_NAMES = {_POINT: "point", _LINE: "line", _POLYLINE: "polyline"}
Region = tuple[Any, dict[str, Any]]
"""Shape and attributes, as VIA 2 writes them."""


class Project(NamedTuple):
    """The images of a project.

    Attributes:
        regions: The regions of each image, by its name.
        options: Options of each attribute, by its name.
        notes: What was left out.
    """

    regions: dict[str, list[Region]]
    options: dict[str, list[str]]
    notes: list[str]


def is_project(content: Mapping[str, Any]) -> bool:
    """Whether the content of a JSON file is a project of VIA 3."""
    return isinstance(content.get("project"), dict) and "pid" in content["project"]


def read_project(content: Mapping[str, Any], file: Path) -> Project:
    """Bring a project into the form of VIA 2.

    Args:
        content: The project.
        file: Its file, for messages.

    Returns:
        Images, regions and options; the files of videos and of audio, and views of several files, are left out.

    Raises:
        DataError: A part of the project is missing.
    """
    for name in ("file", "view", "metadata"):
        if not isinstance(content.get(name), dict):
            raise DataError(str(file), f"has no {name!r}", _KIND, _REMAKE)
    attributes = {key: item for key, item in (content.get("attribute") or {}).items() if isinstance(item, dict)}
    views, counts = dict(_image_of_views(content)), collections.Counter[str]()
    regions: dict[str, list[Region]] = {name: [] for name in views.values() if name}
    counts["views of videos, of audio or of several images are left out"] = sum(not name for name in views.values())
    for item in content["metadata"].values():
        view = str(item.get("vid")) if isinstance(item, dict) else ""
        shape = item.get("xy") if isinstance(item, dict) else None
        if not shape:
            counts["annotations of whole images or of times are left out"] += 1
        elif views.get(view):
            regions[views[view]].append((_shape(shape), _values(item.get("av"), attributes)))
    options = {str(item.get("aname")): list(_texts(item.get("options"))) for item in attributes.values()}
    return Project(regions, options, [f"{file}: {count} {what}" for what, count in counts.items() if count])


def _image_of_views(content: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Number of each view and the name of its image; `""` if it is not one image."""
    files = {str(key): item for key, item in content["file"].items() if isinstance(item, dict)}
    for key, view in content["view"].items():
        ids = view.get("fid_list") if isinstance(view, dict) else None
        shown = [files.get(str(number), {}) for number in ids] if isinstance(ids, list) else []
        is_image = len(shown) == 1 and shown[0].get("type") == _IMAGE and isinstance(shown[0].get("fname"), str)
        yield str(key), shown[0]["fname"] if is_image else ""


def _texts(options: Any) -> Iterator[str]:
    yield from (str(text).strip() for text in options.values()) if isinstance(options, dict) else ()


def _values(given: Any, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Values by the name of the attribute; options in place of their numbers."""
    found: dict[str, Any] = {}
    for key, value in given.items() if isinstance(given, dict) else ():
        attribute = attributes.get(str(key), {})
        name, options = str(attribute.get("aname", key)), attribute.get("options")
        options = options if isinstance(options, dict) else {}
        if attribute.get("type") == _CHECK_BOXES:
            found[name] = {str(options.get(option, option)).strip(): True for option in str(value).split(",") if option}
        elif attribute.get("type") in _MENUS:
            found[name] = str(options.get(str(value), value)).strip()
        else:
            found[name] = value
    return found


def _shape(xy: Any) -> Any:
    """A shape of VIA 2; what is not one is left as it is, and refused as a broken region."""
    try:
        kind, *sides = (float(side) for side in xy)
        if kind in _NAMES:
            return {"name": _NAMES[int(kind)]}
        if kind == _RECTANGLE:
            return {"name": "rect", **dict(zip(("x", "y", "width", "height"), sides, strict=True))}
        if kind == _CIRCLE:
            return {"name": "circle", **dict(zip(("cx", "cy", "r"), sides, strict=True))}
        if kind == _ELLIPSE:
            return {"name": "ellipse", **dict(zip(("cx", "cy", "rx", "ry"), sides, strict=True))}
        if kind == _EXTREME_RECTANGLE:
            left, top = min(sides[::2]), min(sides[1::2])
            return {"name": "rect", "x": left, "y": top, "width": max(sides[::2]) - left,
                    "height": max(sides[1::2]) - top}  # fmt: skip
        if kind == _POLYGON:
            return {"name": "polygon", "all_points_x": sides[::2], "all_points_y": sides[1::2]}
        if kind == _EXTREME_CIRCLE:
            return {"name": "circle", **dict(zip(("cx", "cy", "r"), _circle_through(sides), strict=True))}
    except (TypeError, ValueError, IndexError, ZeroDivisionError):
        pass
    return short_repr(xy)


def _circle_through(sides: list[float]) -> tuple[float, float, float]:
    """Centre and radius of the circle through three points, given as x1, y1, x2, y2, x3, y3."""
    x1, y1, x2, y2, x3, y3 = sides
    across2, down2, across3, down3 = x2 - x1, y2 - y1, x3 - x1, y3 - y1
    double = 2 * (across2 * down3 - down2 * across3)
    square2, square3 = across2**2 + down2**2, across3**2 + down3**2
    across = (down3 * square2 - down2 * square3) / double
    down = (across2 * square3 - across3 * square2) / double
    return x1 + across, y1 + down, math.hypot(across, down)
