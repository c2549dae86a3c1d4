"""LabelMe 3.0: one XML file of polygons per image, as MIT's web tool, CVAT and Datumaro write them.

Reference: https://docs.cvat.ai/docs/dataset_management/formats/format-labelme/.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from keras_retinanet.data.datasets.shared.image_pages import Page, PageReader, image_forms
from keras_retinanet.data.datasets.shared.json_files import read_ends, read_file
from keras_retinanet.data.datasets.shared.shapes import BOX, Shape, box_of_points
from keras_retinanet.data.datasets.shared.text_files import to_local_path
from keras_retinanet.data.errors import DataError, short_repr

_KIND = "a LabelMe 3.0 XML file"
_REMAKE = "export the image again as LabelMe 3.0"
_ROOT = re.compile(rb"<annotation[\s>]")
_OWN, _VOC = re.compile(rb"<imagesize>|<deleted>|<polygon>"), re.compile(rb"<bndbox>")
_CORNERS = ("xmin", "ymin", "xmax", "ymax")


class LabelmeXmlDataset(PageReader):
    """LabelMe 3.0's XML files: `Annotations/…/a.xml` and `Images/…/a.jpg`, or both in one folder.

    Every XML file below `path` and the image that its `filename` names, else the one of the same name. Sets are folders
    (`Annotations/train/` …); without them the set is `"."`. Images without an XML file are background. Polygons and
    masks become their enclosing boxes; points and lines (fewer than three points) and deleted objects are left out.
    Coordinates are edges in pixels, counted from 0.
    """

    word = "labelmexml"
    summary = "LabelMe 3.0 XML files, one per image (MIT's tool, CVAT)"
    suffix, kind, tool = ".xml", _KIND, "LabelMe 3.0"

    @classmethod
    def is_page(cls, file: Path) -> bool:
        """Whether a file is LabelMe's, as its first and last bytes show; Pascal VOC has the same root."""
        ends = read_ends(file)
        return bool(_ROOT.search(ends) and _OWN.search(ends)) and not _VOC.search(ends)

    def read_page(self, root: Path, name: str) -> Page:
        """Read an XML file."""
        file = root / name
        try:
            page = ElementTree.fromstring(read_file(file, _KIND))
        except (ElementTree.ParseError, LookupError, ValueError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(str(file), f"is not XML ({error})", _KIND, _REMAKE) from None
        if page.tag != "annotation":
            raise DataError(str(file), f"begins with <{short_repr(page.tag)[1:-1]}>", _KIND, "remove it")
        image = to_local_path((page.findtext("filename") or "").strip()) or Path(name).stem
        below = [os.path.join("Images", *Path(name).parts[1:])] if Path(name).parts[0].lower() == "annotations" else []
        forms = [form for place in (*below, name) for form in image_forms(place, image)]
        sides = [(page.findtext(f"imagesize/{side}") or "").strip() for side in ("nrows", "ncols")]
        is_known = all(side.isascii() and side.isdigit() and int(side) > 0 for side in sides)
        size = (int(sides[0]), int(sides[1])) if is_known else None
        shapes = [item for item in page.iterfind("object") if (item.findtext("deleted") or "0").strip() != "1"]
        return Page(name, tuple(dict.fromkeys(forms)), size, shapes)

    def parse_shape(self, item: Any, where: str) -> tuple[Shape, Any]:
        """One object; its parts are objects of their own."""
        name = (item.findtext("name") or "").strip()
        if not name:
            raise DataError(where, "has no <name>", "the name of a class", "correct or remove the object")
        if (mask := item.find("segm/box")) is not None:
            points = [[mask.findtext(x), mask.findtext(y)] for x, y in (_CORNERS[:2], _CORNERS[2:])]
            return Shape("mask", name, box_of_points(points, where, 2), where), None
        points = [[point.findtext("x"), point.findtext("y")] for point in item.iterfind("polygon/pt")]
        if (item.findtext("type") or "").strip() == "bounding_box":
            return Shape(BOX, name, box_of_points(points, where, 2), where), None
        if len(points) < 3:
            return Shape("point or line", name, None, where), None
        return Shape("polygon", name, box_of_points(points, where), where), None
