"""VGG Image Annotator (VIA) 1 to 3: a project file, or its annotations exported as JSON.

Reference: https://www.robots.ox.ac.uk/~vgg/software/via/, and its `via.js` (2.0.12), which writes both.
"""

from __future__ import annotations

import collections
import functools
import itertools
import math
import operator
import re
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from keras_retinanet.data.datasets.shared.annotations import Annotations
from keras_retinanet.data.datasets.shared.image_list import ImageList, ListedImage, PlainBoxes
from keras_retinanet.data.datasets.shared.listed_images import ListedImagesReader
from keras_retinanet.data.datasets.shared.long_json import read_long_json
from keras_retinanet.data.datasets.shared.shapes import BOX, Shape, in_fours, plain_rows, require_finite
from keras_retinanet.data.datasets.via.regions import CLASS_KEYS, box_of_region
from keras_retinanet.data.datasets.via.version3 import is_project, read_project
from keras_retinanet.data.errors import DataError, short_repr

ONLY_CLASS = "object"
"""The class of all regions of a project without region attributes."""

_KIND = "a VIA project or its annotations as JSON"
_REMAKE = "export the annotations again as JSON"
_PROJECT = re.compile(rb'"_via_(?:img_metadata|settings|attributes|data_format_version)"\s*:')
_EXPORT = re.compile(rb'"(?:shape_attributes|file_attributes|region_attributes|base64_img_data)"\s*:')
_SIDES = operator.itemgetter("x", "y", "width", "height")
_VERSION_3 = re.compile(rb'\{\s*"project"\s*:\s*\{\s*"pid"\s*:')


class _Region(NamedTuple):
    """A region with its class attribute chosen."""

    shape: Any
    attributes: Mapping[str, Any]
    attribute: str | None


class _PlainRegions(NamedTuple):
    """Regions of an image that are rectangles: their attributes; and x, y, width and height, one after another."""

    attributes: list[dict[str, Any]]
    sides: array[float]


_Regions = _PlainRegions | list[tuple[Any, dict[str, Any]]]


class ViaDataset(ListedImagesReader):
    """VIA's project file (`via_project….json`) of versions 1 to 3, and its annotations as JSON of versions 1 and 2.

    The class of a region is one of its attributes: `class_attribute`, else the only one that all or most regions have,
    else the first of `class`, `label`, `name`, `category`, `type`, `object`, `class_name` among these. Without any
    attribute, all regions are of the class `"object"`. Of an attribute with check boxes, each checked option is a
    box. Options of the attribute are classes in their order; without options the classes are the sorted values.
    Circles, ellipses and polygons become their enclosing boxes; points and polylines are left out. Browsers show photos
    as their EXIF orientation turns them; VIA does not write their sizes.

    Of projects of VIA 3, images are read; videos, audio, and views of several images are left out.
    """

    word = "via"
    summary = "VGG Image Annotator 1 to 3: project or annotations as JSON, images next to it"
    format_name = "VIA"
    layouts = "a project or annotations as JSON, next to the images, in the folder of each set or in annotations/"

    _class_attribute: str | None = None

    def read(self, *, image_dir: str | None = None, class_attribute: str | None = None) -> Annotations:
        """Read one file.

        Args:
            image_dir: Folder of the images, if it is none of the usual ones.
            class_attribute: Region attribute that holds the class. Defaults to `None`: see above.
        """
        self._class_attribute = class_attribute
        return super().read(image_dir=image_dir)

    @classmethod
    def recognise(cls, ends: bytes) -> str | None:
        """Recognise projects of VIA 2 and 3, and exports of VIA 1 and 2."""
        if _VERSION_3.match(ends):
            return "VIA 3"
        return "VIA" if ends.startswith(b"{") and (_PROJECT.search(ends) or _EXPORT.search(ends)) else None

    def read_list(self, file: Path, set_name: str) -> ImageList:
        """Read all images."""
        del set_name
        shrink = functools.partial(_shrink, {})
        content = read_long_json(file, _KIND, _REMAKE, {"": shrink, "_via_img_metadata": shrink})
        if not isinstance(content, dict):
            raise DataError(str(file), "is not an object in braces", _KIND, _REMAKE)
        entries, options, notes = self._read_entries(content, file)
        regions = [one for _, found in entries for one in _attributes_of(found)]
        attribute, chosen = _choose_attribute(regions, self._class_attribute, file)
        names: dict[int, str | None] = {}
        listed = [
            ListedImage(forms, None, _named(found, attribute, names) or _regions(found, attribute))
            for forms, found in entries
        ]
        return ImageList(listed, options(attribute), [*notes, *chosen])

    def _read_entries(
        self, content: dict[str, Any], file: Path
    ) -> tuple[list[tuple[tuple[str, ...], _Regions]], Callable[[str | None], list[str]], list[str]]:
        """Names and regions of each image, the options of an attribute, and notes."""
        if is_project(content):
            project = read_project(content, file)
            found: list[tuple[tuple[str, ...], _Regions]] = [
                (_forms(name), regions) for name, regions in project.regions.items()
            ]
            return found, lambda attribute: project.options.get(attribute or "", []), project.notes
        images = content.get("_via_img_metadata", content)
        numbered = ((f"{file}, {short_repr(key, 120)}", entry) for key, entry in images.items())
        return list(self.parse_each(numbered, _parse_entry)), functools.partial(_options, content), []

    def parse_shape(self, shape: Any, image: ListedImage, where: str) -> Sequence[Shape]:
        """One shape for each class of a region."""
        del image
        kind, box = _parse_shape(shape.shape, where)
        names = list(_classes_of(shape))
        if not names and box is not None:
            allowed = "an attribute that all regions have"
            fix = "fill it in, or choose another one with --class-attribute"
            raise DataError(where, f"has no value of {shape.attribute!r}", allowed, fix)
        return [Shape(kind, name, box, where) for name in names or [""]]


def _shrink(seen: dict[Any, dict[str, str]], entries: list[Any]) -> list[Any]:
    """Replace the regions of images that have rectangles alone; equal attributes are kept once, in `seen`."""
    for entry in entries:
        if isinstance(entry, dict) and type(regions := entry.get("regions")) is list:
            entry["regions"] = _plain_regions(seen, regions) or regions
    return entries


def _plain_regions(seen: dict[Any, dict[str, str]], regions: list[Any]) -> _PlainRegions | None:
    try:
        shapes = [region["shape_attributes"] for region in regions]
        attributes = [region["region_attributes"] for region in regions]
        is_plain = all(shape["name"] == "rect" for shape in shapes)
    except (LookupError, TypeError):
        return None
    boxes = plain_rows(shapes, _SIDES) if is_plain and {dict}.issuperset(map(type, attributes)) else None
    if boxes is None:
        return None
    for position, values in enumerate(attributes):
        if {str}.issuperset(map(type, values.values())):
            attributes[position] = seen.setdefault(tuple(values.items()), values)
    return _PlainRegions(attributes, array("d", itertools.chain.from_iterable(boxes)))


def _attributes_of(regions: _Regions) -> Sequence[dict[str, Any]]:
    return regions.attributes if isinstance(regions, _PlainRegions) else [attributes for _, attributes in regions]


def _named(regions: _Regions, attribute: str | None, names: dict[int, str | None]) -> PlainBoxes | None:
    """Rectangles with their classes, kept in `names` by attributes; `None` if one has no class or several."""
    if not isinstance(regions, _PlainRegions):
        return None
    sides: list[float] = []
    for x, y, width, height in in_fours(regions.sides):
        sides += x, y, x + width, y + height
    for attributes in regions.attributes:
        if id(attributes) not in names:
            found = list(_classes_of(_Region(None, attributes, attribute)))
            names[id(attributes)] = found[0] if len(found) == 1 else None
    own = [names[id(attributes)] for attributes in regions.attributes]
    return PlainBoxes(own, sides) if None not in own and math.isfinite(sum(sides)) else None


def _regions(regions: _Regions, attribute: str | None) -> list[_Region]:
    """Regions to be parsed one by one."""
    if not isinstance(regions, _PlainRegions):
        return [_Region(shape, attributes, attribute) for shape, attributes in regions]
    pairs = zip(in_fours(regions.sides), regions.attributes, strict=True)
    return [
        _Region({"name": "rect", "x": x, "y": y, "width": width, "height": height}, attributes, attribute)
        for (x, y, width, height), attributes in pairs
    ]


def _parse_entry(numbered: tuple[str, Any]) -> tuple[tuple[str, ...], _Regions]:
    """Names of an image, and shape and attributes of each of its regions."""
    where, entry = numbered
    name = entry.get("filename") if isinstance(entry, dict) else None
    if not isinstance(name, str) or not name:
        raise DataError(where, "has no 'filename'", "the name of an image file", _REMAKE)
    regions = entry.get("regions") or []
    if isinstance(regions, _PlainRegions):
        return _forms(name), regions
    regions = list(regions.values()) if isinstance(regions, dict) else regions  # VIA 1 numbers them
    if not isinstance(regions, list):
        raise DataError(where, f"'regions' is {short_repr(regions)}", "a list of regions", _REMAKE)
    found = []
    for region in regions:
        values = region if isinstance(region, dict) else {}
        attributes = values.get("region_attributes")
        found.append((values.get("shape_attributes"), attributes if isinstance(attributes, dict) else {}))
    return _forms(name), found


def _forms(name: str) -> tuple[str, ...]:
    return (unquote(urlsplit(name).path).lstrip("/") if "://" in name else name,)


def _choose_attribute(
    regions: Sequence[Mapping[str, Any]], wanted: str | None, file: Path
) -> tuple[str | None, list[str]]:
    """The attribute that holds the class, `None` if there is none, and a note if it was chosen among several."""
    kinds = {id(region): region for region in regions}
    counts: collections.Counter[str] = collections.Counter()
    for kind, count in collections.Counter(map(id, regions)).items():
        counts.update({name: count for name, value in kinds[kind].items() if any(True for _ in _values(value))})
    there = ", ".join(f"{name} ({count} of {len(regions)} regions)" for name, count in counts.most_common())
    if wanted is not None:
        if wanted not in counts and regions:
            fix = "choose one of these with --class-attribute"
            raise DataError(str(file), f"has no region attribute {short_repr(wanted)}", there or "none", fix)
        return wanted, []
    if not counts:
        note = f"{file}: regions have no attributes: all are of the class {ONLY_CLASS!r}"
        return None, [note] if regions else []
    most = max(counts.values())
    best = [name for name, count in counts.items() if count == most]
    usual = [name for word in CLASS_KEYS for name in best if name.strip().lower().replace(" ", "_") == word]
    if len(best) > 1 and not usual:
        fix = "choose the one that holds the class with --class-attribute"
        raise DataError(str(file), f"regions have several attributes: {there}", "one that holds the class", fix)
    chosen = best[0] if len(best) == 1 else usual[0]
    note = (
        f"{file}: the class is the region attribute {chosen!r} (there are: {there}); --class-attribute chooses another"
    )
    return chosen, [note] if len(counts) > 1 else []


def _values(value: Any) -> Iterator[str]:
    """Values of an attribute: a text, a number, or the options that are checked."""
    if isinstance(value, str) and value.strip():
        yield value.strip()
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield str(value)
    elif isinstance(value, dict):
        yield from (name for name, is_checked in value.items() if is_checked is True)


def _classes_of(region: _Region) -> Iterator[str]:
    if region.attribute is None:
        yield ONLY_CLASS
    else:
        yield from _values(region.attributes.get(region.attribute))


def _options(content: Mapping[str, Any], attribute: str | None) -> list[str]:
    """Options of the attribute as the project lists them."""
    found: Any = content.get("_via_attributes")
    for key in ("region", attribute, "options"):
        found = found.get(key) if isinstance(found, dict) else None
    return list(found) if isinstance(found, dict) and attribute is not None else []


def _parse_shape(shape: Any, where: str) -> tuple[str, Any]:
    """Kind of a shape, and its enclosing box or `None`."""
    if not isinstance(shape, dict) or not isinstance(shape.get("name"), str):
        raise DataError(where, f"'shape_attributes' is {short_repr(shape)}", "a shape with a 'name'", _REMAKE)
    kind = shape["name"]
    try:
        box = box_of_region(shape)
    except ValueError as error:
        raise DataError(
            where, f"is {error}", "a shape of VIA with its numbers", "correct or remove the region"
        ) from None
    if box is not None:
        require_finite(box, where)
    return BOX if kind == "rect" else kind, box
