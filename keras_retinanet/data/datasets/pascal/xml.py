"""The XML files of Pascal VOC, one per image."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from keras_retinanet.data.error_collector import OnError, parse_each
from keras_retinanet.data.errors import DataError, short_repr
from keras_retinanet.data.image_files import near_name_hint

_ROOT = re.compile(rb"<annotation[\s>/]")
_LABELME = re.compile(rb"<imagesize>|<deleted>")  # LabelMe 3.0 has the same root
_SIDES = ("xmin", "ymin", "xmax", "ymax")


class VocObject(NamedTuple):
    """An object as annotated.

    Attributes:
        name: Its class.
        box: xmin, ymin, xmax, ymax as written.
        is_difficult: Whether it is marked difficult.
        number: Which object of its file, from 1.
    """

    name: str
    box: tuple[float, float, float, float]
    is_difficult: bool
    number: int


class VocText(NamedTuple):
    """The content of an XML file.

    Attributes:
        objects: In the order of the file.
        size: Height and width, or `None`.
        origin: Number of the first pixel, if the file states it as `retinanet-convert-data` does.
    """

    objects: list[VocObject]
    size: tuple[int, int] | None
    origin: int | None = None


def is_voc_file(file: Path) -> bool:
    """Whether a file can be a VOC annotation, judged by its first kilobyte."""
    try:
        with file.open("rb") as content:
            start = content.read(1024)
    except OSError:
        return False
    text = start.replace(b"\0", b"")  # without zeros, UTF-16 reads like ASCII
    return _ROOT.search(text) is not None and _LABELME.search(text) is None


def read_voc_xml(file: Path, on_error: OnError = "error") -> VocText:
    """Read one file.

    Args:
        file: Its path.
        on_error: A collector records broken objects, which are left out. Defaults to `"error"`.

    Returns:
        Its objects and, if annotated, the size of its image.

    Raises:
        DataError: It is not a VOC file, or one of its objects is broken and there is no collector.
    """
    try:
        with open(file, "rb", buffering=0) as opened:
            content = opened.readall()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        fix = f"{near_name_hint(file)}add the file (without objects if the image shows none) or remove the image"
        raise DataError(str(file), f"cannot be read ({reason})", "an XML file for each image", fix) from None
    root = _parsed(content, file)
    numbered = list(enumerate(root.findall("object"), start=1))
    try:
        objects = [_object("", item) for item in numbered]
    except DataError:  # again, to say where
        objects = list(parse_each(numbered, functools.partial(_object, f"{file}, "), on_error))
    height, width = ((root.findtext(f"size/{side}") or "").strip() for side in ("height", "width"))
    is_told = all(side.isascii() and side.isdigit() and 0 < len(side) < 10 for side in (height, width))
    size = (int(height), int(width)) if is_told else (0, 0)
    return VocText(objects, size if min(size) > 0 else None, _stated_origin(root, file))


def _stated_origin(root: ElementTree.Element, file: Path) -> int | None:
    text = root.findtext("pixel_origin")
    if text is None or text.strip() in ("0", "1"):
        return None if text is None else int(text)
    raise DataError(str(file), f"<pixel_origin> is {short_repr(text)}", "0 or 1", "correct it")


def _parsed(content: bytes, file: Path) -> ElementTree.Element:
    try:
        root = ElementTree.fromstring(content)
    except (ElementTree.ParseError, LookupError, ValueError) as error:  # the latter two: encodings that are not known
        raise DataError(
            str(file), f"is not XML ({error})", "a VOC annotation in UTF-8", "repair or export it again"
        ) from None
    if root.tag.startswith("{"):
        for item in root.iter():
            item.tag = item.tag.rpartition("}")[2]  # of a namespace
    if root.tag == "annotations":
        found = "is CVAT's own XML (it begins with <annotations>), not Pascal VOC"
        fix = "give the format cvat in place of pascal; or remove the file if it does not belong to the data"
        raise DataError(str(file), found, "<annotation>, one file per image", fix)
    if root.tag != "annotation" and root.find("object") is None:
        found = f"begins with <{short_repr(root.tag)[1:-1]}>"
        raise DataError(str(file), found, "<annotation>", "remove the file or export the annotation again")
    for item in root:
        if item.tag != "object" and item.tag.casefold() in ("object", "objects"):
            fix = "write the tags as VOC does, one <object> per object"
            raise DataError(str(file), f"has <{short_repr(item.tag)[1:-1]}>", "<object>", fix)
    return root


def _object(home: str, numbered: tuple[int, ElementTree.Element]) -> VocObject:
    number, item = numbered
    where = f"{home}object {number}" if home else ""
    name = (item.findtext("name") or "").strip()
    if not name:
        raise DataError(where, "has no <name>", "the name of a class", "add it")
    frames = item.findall("bndbox")  # one step at a time: a path is looked up in Python, a name in C
    if len(frames) > 1:
        raise DataError(where, f"has {len(frames)} <bndbox>", "one", "give each box an object of its own")
    corners = frames[0] if frames else None
    x1, y1, x2, y2 = (_number(None if corners is None else corners.findtext(side), side, where) for side in _SIDES)
    return VocObject(name, (x1, y1, x2, y2), _is_difficult(item, where), number)


def _number(text: str | None, tag: str, where: str) -> float:
    try:
        return float(text or "")
    except ValueError:
        found = f"has no <bndbox><{tag}>" if text is None else f"<{tag}> is {short_repr(text)}"
        raise DataError(where, found, "a number", "correct it or remove the object") from None


def _is_difficult(item: ElementTree.Element, where: str) -> bool:
    given = item.findtext("difficult")
    if given == "0":  # almost all
        return False
    text = (given or "").strip().lower()
    if text in ("", "0", "false", "unspecified"):
        return False
    if text in ("1", "true"):
        return True
    raise DataError(where, f"<difficult> is {short_repr(text)}", "0 or 1", "correct it")
