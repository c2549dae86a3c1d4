"""Regions of the VGG Image Annotator (VIA), as its CSV and JSON files hold them.

Reference: https://www.robots.ox.ac.uk/~vgg/software/via/docs/face_track_annotation.html and `via.html` 2.0.12, function
`export_project_to_csv`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from keras_retinanet.data.datasets.shared.outlines import Box, box_of_ellipse

NOT_BOXES = ("point", "line", "polyline")
"""Shapes without an area."""

_ELLIPSE = ("cx", "cy", "rx", "ry", "theta")  # the angle in radians
CLASS_KEYS = ("class", "label", "name", "category", "type", "object", "class_name")
"""Attributes that usually hold the class, the preferred one first."""


def box_of_region(shape: Mapping[str, Any]) -> Box | None:
    """The box of a region, or the enclosing box of another shape.

    Args:
        shape: `region_shape_attributes`, such as `{"name": "rect", "x": 1, "y": 2, "width": 3, "height": 4}`.

    Returns:
        x1, y1, x2, y2 in pixels; `None` for points and lines.

    Raises:
        ValueError: The shape is unknown, or lacks a number.
    """
    name = shape.get("name")
    if name in NOT_BOXES:
        return None
    try:
        if name == "rect":
            x, y, width, height = (float(shape[key]) for key in ("x", "y", "width", "height"))
            return x, y, x + width, y + height
        if name == "circle":
            x, y, radius = (float(shape[key]) for key in ("cx", "cy", "r"))
            return x - radius, y - radius, x + radius, y + radius
        if name == "ellipse":
            x, y, radius_x, radius_y, theta = (float(shape.get(key, 0) or 0) for key in _ELLIPSE)
            return box_of_ellipse((x, y), (radius_x, radius_y), math.degrees(theta))
        if name == "polygon":
            xs, ys = ([float(side) for side in shape[key]] for key in ("all_points_x", "all_points_y"))
            if len(xs) != len(ys) or len(xs) < 3:
                raise ValueError
            return min(xs), min(ys), max(xs), max(ys)
    except (KeyError, TypeError, ValueError, OverflowError):
        raise ValueError(f"a {name} with broken numbers") from None
    raise ValueError("a shape that is not rect, circle, ellipse, polygon, polyline, line or point")


def class_of_region(attributes: Any) -> str:
    """The class name among `region_attributes`.

    Args:
        attributes: `{"class": "dog"}`, `{"animal": {"dog": True}}` (check boxes) and the like.

    Returns:
        The attribute called class, label, name …, else the first one that has a value; `""` if none has.
    """
    if not isinstance(attributes, dict):
        return ""
    folded = {str(key).lower(): value for key, value in attributes.items()}
    named = [folded[key] for key in CLASS_KEYS if key in folded]
    return next((text for value in [*named, *attributes.values()] if (text := _text_of(value))), "")


def _text_of(value: Any) -> str:
    if isinstance(value, dict):
        value = next((key for key, is_checked in value.items() if is_checked in (True, "true")), "")
    return str(value).strip() if isinstance(value, str | int | float) and not isinstance(value, bool) else ""
