"""CVAT for images 1.1 and CVAT for video 1.1: one XML file for all images of a task or project.

Reference: https://docs.cvat.ai/docs/dataset_management/formats/xml_format/, and CVAT's
`cvat/apps/dataset_manager/formats/cvat.py`, which writes it.
"""

from __future__ import annotations

import io
import math
import re
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from keras_retinanet.data.datasets.cvat.tracks import read_size, read_tracks
from keras_retinanet.data.datasets.shared.image_list import ImageList, ListedImage, PlainBoxes
from keras_retinanet.data.datasets.shared.json_files import read_file
from keras_retinanet.data.datasets.shared.listed_images import ListedImagesReader
from keras_retinanet.data.datasets.shared.outlines import Box, box_of_ellipse, box_of_segmentation, enclosing_box
from keras_retinanet.data.datasets.shared.shapes import BOX, Shape, box_of_points, numbers_of
from keras_retinanet.data.errors import DataError, short_repr

_KIND = "CVAT's XML (CVAT for images 1.1)"
_REMAKE = "export the task again as 'CVAT for images 1.1'"
_FRAMES = (
    "export the task again with 'Save images', put the frames of the video next to the XML file as frame_000000.PNG "
    "(ffmpeg -i VIDEO -start_number 0 images/frame_%06d.png), or name their folder with --image-dir"
)
_START = re.compile(rb"<annotations[\s>].*?(?:<version>|<meta>|<image\s|<track\s)", re.DOTALL)
_SUBSET = re.compile(rb'<image\b[^>]*?\bsubset="([^"]*)"')
_SIDES = ("xtl", "ytl", "xbr", "ybr")
_CUBOID = ("tl1", "bl1", "tr1", "br1", "tl2", "bl2", "tr2", "br2")
_WITHOUT_AREA = ("polyline", "points", "skeleton", "tag")
_NO_BOXES = ("points", "polyline", "skeleton", "tag")  # types of labels whose shapes never become boxes


class CvatDataset(ListedImagesReader):
    """CVAT's own XML as it unzips: `annotations.xml` and `images/`, or the XML file of an export without images.

    The subsets of a project are the sets (`Train`, `Validation` …); the images of a task without subset are the set
    `"."`. Classes are the labels of the task in its order, without those that can only be points, lines, skeletons or
    tags. Polygons, ellipses, masks, cuboids and rotated rectangles become their enclosing boxes, the latter by their
    angle about the centre. Points, polylines, skeletons and tags are left out. An occluded object is an object like
    others. Coordinates are pixels from 0, written with two decimals.

    Tracks of CVAT for video are read at their key frames if the images of these frames are there (`frame_000012.PNG`,
    as CVAT exports them), with all objects that are visible then.
    """

    word = "cvat"
    summary = "CVAT for images 1.1: annotations.xml, images/"
    format_name = "CVAT"
    suffix = ".xml"
    layouts = "annotations.xml with <annotations>, and images/"

    @classmethod
    def recognise(cls, ends: bytes) -> str | None:
        """Recognise CVAT's XML by its first elements."""
        return "CVAT" if _START.search(ends[:4096]) else None

    @classmethod
    def sets_in(cls, file: Path) -> list[str]:
        """The subsets of a project."""
        try:
            found = dict.fromkeys(_SUBSET.findall(file.read_bytes()))
        except OSError:
            return []
        return [name.decode("utf-8", "replace") for name in found if name]

    def read_list(self, file: Path, set_name: str) -> ImageList:
        """Read the images of a subset, or all."""
        try:
            root, plain = _parse_images(read_file(file, _KIND))
        except (ElementTree.ParseError, LookupError, ValueError) as error:
            raise DataError(str(file), f"is not XML ({error})", _KIND, _REMAKE) from None
        subsets = {item.get("subset") or "" for item in root.iterfind("image")}
        images = [
            _listed(item, f"{file}, image {number}", plain.get(item))
            for number, item in enumerate(root.iterfind("image"), start=1)
            if subsets <= {""} or set_name in (".", item.get("subset"))
        ]
        frames, notes = read_tracks(root, str(file), set_name)
        return ImageList([*images, *frames], _labels(root), notes, _FRAMES if frames else "")

    def parse_shape(self, shape: Any, image: ListedImage, where: str) -> Sequence[Shape]:
        """One shape."""
        del image
        return [_parse(shape, where)]


def _parse_images(content: bytes) -> tuple[ElementTree.Element, dict[ElementTree.Element, PlainBoxes]]:
    """The tree without the shapes of images that have plain boxes alone, and these."""
    plain: dict[ElementTree.Element, PlainBoxes] = {}
    events = ElementTree.iterparse(io.BytesIO(content))
    for _, item in events:
        if item.tag == "image" and (boxes := _plain_boxes(item)) is not None:
            plain[item] = boxes
            del item[:]
    root: ElementTree.Element = events.root  # type: ignore[attr-defined]
    return root, plain


def _plain_boxes(item: ElementTree.Element) -> PlainBoxes | None:
    names = [box.get("label") for box in item if box.tag == "box" and not box.get("rotation")]
    texts = [box.get(side) or "" for box in item for side in _SIDES]
    if len(names) < len(item) or not all(names) or "_" in "".join(texts):
        return None
    try:
        sides = array("d", map(float, texts))
    except ValueError:
        return None
    return PlainBoxes(names, sides) if math.isfinite(sum(sides)) else None


def _listed(item: ElementTree.Element, where: str, plain: PlainBoxes | None) -> ListedImage:
    name, subset = item.get("name"), item.get("subset")
    if not name:
        raise DataError(where, "has no 'name'", "the name of an image file", _REMAKE)
    return ListedImage((f"{subset}/{name}", name) if subset else (name,), read_size(item), plain or list(item))


def _labels(root: ElementTree.Element) -> list[str]:
    """Labels of the task or project, in its order."""
    names: dict[str, None] = {}
    for label in root.iterfind("meta/*/labels/label"):
        name = (label.findtext("name") or "").strip()
        is_part = label.find("parent") is not None  # a point of a skeleton
        if name and not is_part and label.findtext("type") not in _NO_BOXES:
            names[name] = None
    return list(names)


def _parse(item: ElementTree.Element, where: str) -> Shape:
    kind, name = item.tag, item.get("label")
    if not name:
        raise DataError(where, f"<{short_repr(kind)[1:-1]}> has no 'label'", "the name of a class", _REMAKE)
    if kind in _WITHOUT_AREA:
        return Shape(kind, name, None, where)
    rotation = numbers_of(item, ["rotation"], where)[0] if item.get("rotation") else 0.0
    if kind == "box":
        x1, y1, x2, y2 = numbers_of(item, _SIDES, where)
        if rotation:
            return Shape("rotated box", name, enclosing_box((x1, y1, x2, y2), rotation), where)
        return Shape(BOX, name, (x1, y1, x2, y2), where)
    if kind == "polygon":
        points = [point.split(",") for point in (item.get("points") or "").split(";")]
        return Shape(kind, name, box_of_points(points, where, 3), where)
    if kind == "ellipse":
        x, y, radius_x, radius_y = numbers_of(item, ["cx", "cy", "rx", "ry"], where)
        return Shape(kind, name, box_of_ellipse((x, y), (radius_x, radius_y), rotation), where)
    if kind == "mask":
        return Shape(kind, name, _box_of_mask(item, where), where)
    if kind == "cuboid":
        xs, ys = (numbers_of(item, [f"{side}{corner}" for corner in _CUBOID], where) for side in "xy")
        return Shape(kind, name, box_of_points(list(zip(xs, ys, strict=True)), where), where)
    allowed = "box, polygon, ellipse, mask, cuboid, polyline, points, skeleton, tag"
    raise DataError(where, f"is <{short_repr(kind)[1:-1]}>", allowed, "remove it")


def _box_of_mask(item: ElementTree.Element, where: str) -> Box:
    """The enclosing box of run lengths, row by row and background first, of a part of the picture."""
    left, top, width, height = numbers_of(item, ["left", "top", "width", "height"], where)
    try:
        runs = [int(run) for run in (item.get("rle") or "").split(",")]
        y1, x1, y2, x2 = box_of_segmentation({"size": [int(width), int(height)], "counts": runs})  # by rows
    except ValueError as error:
        raise DataError(where, f"'rle' is broken: {error}", "a mask in run lengths", _REMAKE) from None
    return left + x1, top + y1, left + x2, top + y2
