"""labelme: one JSON file per image.

Reference: https://github.com/wkentaro/labelme, `labelme/_label_file.py` and `labelme/utils/shape.py` (6.3.1).
"""

from __future__ import annotations

import functools
import itertools
import math
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from keras_retinanet.data.datasets.annotations import Annotations, BoxRow, Size, sorted_names
from keras_retinanet.data.datasets.class_names import add_unlisted
from keras_retinanet.data.datasets.image_places import ImagePlaces
from keras_retinanet.data.datasets.json_files import parse_json, read_ends, read_file
from keras_retinanet.data.datasets.outlines import box_of_ellipse
from keras_retinanet.data.datasets.reader import Layout, Reader
from keras_retinanet.data.datasets.shapes import BOX, Shape, ShapeCounts, box_of_points
from keras_retinanet.data.datasets.split_files import WHOLE
from keras_retinanet.data.datasets.split_names import split_in, usual_sets
from keras_retinanet.data.datasets.text_files import (
    describe_files,
    is_image,
    no_garbage_collection,
    read_text,
    to_local_path,
    walk_names,
)
from keras_retinanet.data.errors import DataError, short_repr
from keras_retinanet.data.image_files import SUFFIXES, byte_range, image_reference

_KIND = "a labelme JSON file"
_REMAKE = "save the image again in labelme"
_SHAPES, _PICTURE = re.compile(rb'"shapes"\s*:\s*\['), re.compile(rb'"image(?:Path|Data|Height)"\s*:')
_EMBEDDED = re.compile(rb'"imageData"\s*:\s*"')
_MAX_PROBED = 20  # files of a level of folders that are opened to recognise a layout
_WITHOUT_AREA = ("line", "linestrip", "point", "points")
_NO_CLASSES = ("__ignore__", "_background_", "")  # lines of labels.txt in labelme's own examples


class _Page(NamedTuple):
    """A JSON file; `embedded` is the place of its picture in base64, start and length."""

    name: str
    forms: tuple[str, ...]
    size: Size | None
    shapes: list[Any]
    embedded: tuple[int, int] | None

    @property
    def image_id(self) -> str:
        """Name of the JSON file with the suffix of the image."""
        return os.path.splitext(self.name)[0] + os.path.splitext(self.forms[0])[1]


class LabelmeDataset(Reader):
    """labelme's JSON files, next to their images or in a folder of their own.

    Every JSON file below `path` and the image that its `imagePath` names, else the one of the same name. Sets are
    folders (`train/`, `annotations/val/` …); without them the set is `"."`. Images without a JSON file are background.
    Rectangles are boxes, with their corners in any order; polygons, circles, masks and oriented rectangles become their
    enclosing boxes; lines and points are left out. Shapes of the same label and `group_id` are parts of one object, as
    in labelme's own converters. Flags are not used. labelme shows photos as their EXIF orientation turns them: the
    annotated size is that of the turned picture.

    Class names are the lines of `labels.txt` in `path` if there is one, otherwise the sorted names.
    """

    word = "labelme"
    summary = "labelme JSON files, one per image"

    def read(self, *, image_dir: str | None = None) -> Annotations:
        """Read the JSON file of each image.

        Args:
            image_dir: Folder of the images, if they are not below `path`.
        """
        with no_garbage_collection():
            return self._read(image_dir)

    def _read(self, image_dir: str | None) -> Annotations:
        root = self.path if self.path.is_dir() else self.path.parent
        names, stray = _files_of(self.path, root, self.set_name)
        pages = list(self.parse_each(names, functools.partial(_read_page, root)))
        places = ImagePlaces([image_dir or root], root)
        found = places.locate([page.forms[0] for page in pages], [page.forms[1:] for page in pages])
        missing, counts = set(places.missing), ShapeCounts()
        located = ((page, None if position in missing else found[position]) for position, page in enumerate(pages))
        used = list(self.parse_each(located, functools.partial(_require_picture, root)))
        rows = [
            BoxRow(position, shape.box, shape.name, shape.where)
            for position, (page, _) in enumerate(used)
            for shape in _join_groups(self._parse_shapes(page, root, counts))
            if shape.box is not None
        ]
        paths = [path for _, path in used]
        is_whole = self.path.is_dir() and not image_dir
        broken = {*names} - {page.name for page in pages}
        background, notes = _images_without_page(root, self.set_name, paths, broken) if is_whole else ([], [])
        class_names, class_notes = _class_names(root, rows)
        files = [str(root / name) for name in names]
        homes = {os.path.dirname(path) for path in [*paths, *background, *files]}
        return Annotations(
            listed_in=str(self.path),
            class_names=class_names,
            images=[*paths, *background],
            image_ids=[*(page.image_id for page, _ in used), *(os.path.relpath(path, root) for path in background)],
            sizes=[*(page.size if byte_range(path) else None for page, path in used), *[None] * len(background)],
            annotated_sizes=[*(page.size for page, _ in used), *[None] * len(background)],
            boxes=rows,
            sources=[str(root), str(root / "labels.txt"), *sorted(homes), *files],
            notes=[*stray, *places.notes, *notes, *counts.describe(str(self.path)), *class_notes],
        )

    def _parse_shapes(self, page: _Page, root: Path, counts: ShapeCounts) -> Iterator[tuple[Shape, Any]]:
        """Shapes that have a box, with their `group_id`."""
        file = str(root / page.name)

        def parse(numbered: tuple[int, Any]) -> tuple[Shape, Any]:
            number, item = numbered
            where = f"{file}, shape {number}"
            if not isinstance(item, dict):
                raise DataError(where, f"is {short_repr(item)}", "an object in braces", _REMAKE)
            return _parse_shape(item, where), item.get("group_id")

        for shape, group in self.parse_each(enumerate(page.shapes, start=1), parse):
            if counts.add(shape):
                yield shape, group

    @classmethod
    def find_layout(cls, path: str | os.PathLike[str]) -> Layout | None:
        """Recognise labelme's JSON files by their contents."""
        place = Path(path)
        if not place.is_dir():
            is_file = place.suffix.lower() == ".json" and _is_labelme(place)
            return Layout(cls.word, place, place.name, 3, "labelme") if is_file else None
        for pattern in ("*.json", "*/*.json", "*/*/*.json"):
            for file in itertools.islice(place.glob(pattern), _MAX_PROBED):
                if _is_labelme(file):
                    return Layout(cls.word, place, str(file.relative_to(place)), 3, "labelme")
        return None

    @classmethod
    def default_sets(cls, path: str | os.PathLike[str]) -> tuple[str, str | None]:
        """Names of the training set and, if there is one, of the validation set; `"."` is all files."""
        folder = Path(path)
        if not folder.is_dir():
            return WHOLE, None
        files = [name for name in walk_names(folder, _KIND) if name.lower().endswith(".json")]
        sets = {split: split for name in files if (split := _split_of(name)) is not None}
        train, val = usual_sets(sets)
        return (train, val) if train in sets else (WHOLE, None)


def _is_labelme(file: Path) -> bool:
    ends = read_ends(file)
    return ends.startswith(b"{") and bool(_SHAPES.search(ends)) and bool(_PICTURE.search(ends))


def _split_of(name: str) -> str | None:
    """The folder of a path that is named for a split."""
    return next((part for part in name.split("/")[:-1] if split_in(part) == part.lower()), None)


def _files_of(path: Path, root: Path, set_name: str) -> tuple[list[str], list[str]]:
    """JSON files of a set, relative to `root`, and a note about those that belong to none."""
    if path.is_file():
        return [path.name], []
    files = [name for name in walk_names(root, _KIND) if name.lower().endswith(".json")]
    own = [name for name in files if set_name in (WHOLE, _split_of(name))]
    if not own:
        there = ", ".join(sorted({split for name in files if (split := _split_of(name))})) or "none"
        fix = f"check the path and the set's name (sets there: {there})"
        raise DataError(str(path), f"has no JSON files of the set {short_repr(set_name)}", _KIND, fix)
    stray = [name for name in files if set_name != WHOLE and _split_of(name) is None]
    return own, describe_files(root, stray, "JSON files are in no folder of a set and are left out")


def _read_page(root: Path, name: str) -> _Page:
    file = root / name
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
    image = to_local_path(given) if isinstance(given, str) and given else Path(name).stem
    folder, stem = os.path.dirname(name), os.path.splitext(name)[0]
    forms = [os.path.join(folder, image), os.path.join(folder, os.path.basename(image))]
    if os.path.splitext(os.path.basename(image))[0] != os.path.basename(stem):
        forms += [stem + suffix for suffix in SUFFIXES]  # renamed together with its JSON file
    sides = page.get("imageHeight"), page.get("imageWidth")
    is_known = all(type(side) is int and side > 0 for side in sides)
    size = (sides[0], sides[1]) if is_known else None
    return _Page(name, tuple(dict.fromkeys(forms)), size, shapes, place)


def _require_picture(root: Path, located: tuple[_Page, str | None]) -> tuple[_Page, str]:
    """A page with its image file, or else with the picture in its JSON file."""
    page, path = located
    if path is None and page.embedded is not None:
        path = image_reference(str(root / page.name), *page.embedded, is_base64=True)
    if path is None:
        found = f"image {short_repr(page.forms[0], 120)} is not there"
        fix = "put the image next to the JSON file, or name its folder with --image-dir"
        raise DataError(str(root / page.name), found, "an image file or embedded picture for each JSON file", fix)
    return page, path


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


def _join_groups(shapes: Iterator[tuple[Shape, Any]]) -> list[Shape]:
    """Join shapes of one label and group into the box that encloses all of them."""
    joined: dict[Any, Shape] = {}
    for position, (shape, group) in enumerate(shapes):
        key = (shape.name, group) if isinstance(group, (int, str)) else position
        first = joined.setdefault(key, shape)
        if first is not shape and first.box is not None and shape.box is not None:
            corners = [first.box[:2], first.box[2:], shape.box[:2], shape.box[2:]]
            joined[key] = first._replace(box=box_of_points(corners, shape.where))
    return list(joined.values())


def _images_without_page(
    root: Path, set_name: str, used: Sequence[str], broken: Iterable[str]
) -> tuple[list[str], list[str]]:
    """Images of the set without a JSON file, not even a broken one, are background; and the note about them."""
    known = {os.path.normpath(path) for path in used}
    stems = {os.path.splitext(os.path.basename(name))[0] for name in broken}
    alone = [
        name
        for name in walk_names(root)
        if is_image(name)
        and set_name in (WHOLE, _split_of(name))
        and os.path.normpath(os.path.join(root, name)) not in known
        and os.path.splitext(os.path.basename(name))[0] not in stems
    ]
    notes = describe_files(root, alone, "images have no JSON file and count as background")
    return [os.path.join(root, name) for name in alone], notes


def _class_names(root: Path, rows: Sequence[BoxRow]) -> tuple[Sequence[str], list[str]]:
    """Names of `labels.txt`, then those that only boxes have; and a note about the latter."""
    file, names = root / "labels.txt", sorted_names(rows)
    if not file.is_file():
        return names, []
    lines = [line.strip() for line in read_text(file, "names of classes, one per line").splitlines()]
    return add_unlisted([line for line in dict.fromkeys(lines) if line not in _NO_CLASSES], names, str(file))
