"""COCO: one JSON file for all images of a set.

Reference: https://cocodataset.org/#format-data, "Object Detection".
"""

from __future__ import annotations

import functools
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

from keras_retinanet.data.datasets.coco.annotations import OUTLINE, Source, is_used, read_columns
from keras_retinanet.data.datasets.coco.batches import shrink
from keras_retinanet.data.datasets.coco.fields import REMAKE, as_whole, field
from keras_retinanet.data.datasets.coco.layouts import find_file, find_sets, find_tool, is_coco, locate_images
from keras_retinanet.data.datasets.shared.annotations import Annotations
from keras_retinanet.data.datasets.shared.json_files import read_file
from keras_retinanet.data.datasets.shared.long_json import read_long_json
from keras_retinanet.data.datasets.shared.reader import Layout, Reader
from keras_retinanet.data.datasets.shared.split_names import usual_sets
from keras_retinanet.data.errors import DataError, short_repr

_Id = int | str
# Outlines are two thirds of a COCO file and of the time to parse it, and are used only where a box is missing. Inside a
# string the quotes would be escaped, so this matches only the member itself.
_POLYGONS = re.compile(rb'"segmentation"\s*:\s*\[\s*[\[0-9+\-.][\[\]0-9eE+\-.,\s]*\]')


_IMAGE_MEMBERS = ("id", "file_name", "height", "width")


class CocoDataset(Reader):
    """COCO as in its archives, or as annotation tools and fizyr's keras-retinanet arrange it.

    Reads `<path>/annotations/instances_<set>.json` (COCO, CVAT), `<path>/<set>/_annotations.coco.json` (Roboflow),
    `<path>/result.json` (Label Studio), `<path>/labels.json` (FiftyOne), any other COCO JSON file in one of these
    places, or `path` itself if it is such a file. The images are in `<path>/<set>/`, `<path>/images/<set>/`,
    `<path>/images/`, `<path>` itself, next to the JSON file, or in `images/` or `data/` next to it, whichever holds
    them. Labels are the positions of the categories sorted by ID; crowd regions become ignore regions; images without
    boxes are kept. The default set is `train2017`, or `train`.

    Args:
        image_dir: Folder of the images, if it is none of these. Defaults to `None`.
    """

    word = "coco"
    summary = "COCO JSON, a folder or a file: annotations/instances_<set>.json, <set>/_annotations.coco.json …"
    usual_validation = "val2017"

    def read(self, *, image_dir: str | None = None) -> Annotations:
        """Read one JSON file."""
        file = find_file(self.path, self.set_name)
        content = _read(file)
        if not content["images"]:
            empty = f"lists no image ({len(content['categories'])} categories)"
            raise DataError(str(file), empty, "at least one image", REMAKE)
        batches, read_items = content["annotations"], functools.partial(_read_items, file)
        categories = _categories(content["categories"], lambda category: is_used(category, batches, read_items), file)
        images = _images(content["images"], file)
        names = [image["file_name"] for image in images.values()]
        found = locate_images(self.path, file, self.set_name, names, image_dir)
        position = {image: number for number, image in enumerate(images)}
        source = Source(file, position, categories.labels, read_items)
        boxes, notes = read_columns(batches, source, self.on_error)
        return Annotations(
            listed_in=str(file),
            class_names=tuple(categories.ids),
            images=found.paths,
            image_ids=list(images),
            sizes=[_size(image) for image in images.values()],
            boxes=boxes,
            category_ids=categories.ids,
            sources=[str(file)],
            notes=[*categories.notes, *found.notes, *notes],
            image_folders=found.folders,
            missing_fix=found.missing_fix,
        )

    @classmethod
    def find_layout(cls, path: str | os.PathLike[str]) -> Layout | None:
        """Recognise COCO by its folders and by the contents of JSON files."""
        place = Path(path)
        if not place.is_dir():
            is_file = place.suffix.lower() == ".json" and is_coco(place)
            return Layout(cls.word, place, place.name, 3, find_tool(place)) if is_file else None
        for file in find_sets(place).values():
            return Layout(cls.word, place, str(file.relative_to(place)), 3, find_tool(file))
        return None

    @classmethod
    def default_sets(cls, path: str | os.PathLike[str]) -> tuple[str, str | None]:
        """Names of the training set and, if there is one, of the validation set."""
        sets = find_sets(Path(path))
        train, val = usual_sets(sets)
        return (train if train in sets else "train2017"), val


class _Categories(NamedTuple):
    """Category ID of each class name, label of each category ID, and notes."""

    ids: dict[str, int]
    labels: dict[int, int]
    notes: list[str]


def _read(file: Path) -> dict[str, Any]:
    """The contents, with what is used of the annotations."""
    kept = {"annotations": shrink, "images": _shrink_images}
    content = read_long_json(file, "a COCO JSON file", REMAKE, kept, _strip_outlines)
    for key in ("images", "annotations", "categories"):
        found = content.get(key) if isinstance(content, dict) else None
        if not isinstance(found, list):
            raise DataError(str(file), f"has no list {key!r}", "lists 'images', 'annotations', 'categories'", REMAKE)
    return content


def _shrink_images(images: list[Any]) -> list[Any]:
    """The members that are used, of entries that have a name."""
    return [
        {name: image[name] for name in _IMAGE_MEMBERS if name in image}
        if isinstance(image, dict) and image.get("file_name") is not None
        else image
        for image in images
    ]


def _strip_outlines(content: bytes) -> bytes:
    return _POLYGONS.sub(b'"segmentation":%d' % OUTLINE, content)


def _read_items(file: Path, has_outlines: bool) -> list[Any]:
    """The annotations of a file that has been read before."""
    content = read_file(file, "a COCO JSON file")
    try:
        annotations: list[Any] = json.loads(content if has_outlines else _strip_outlines(content))["annotations"]
    except (ValueError, RecursionError) as error:
        found = f"its outlines cannot be read ({short_repr(str(error), 120)})"
        raise DataError(str(file), found, "COCO JSON", REMAKE) from None
    return annotations


def _unique(item: dict[str, Any], key: Any, seen: dict[Any, Any], where: str) -> None:
    if key in seen:
        fix = "give each its own, or remove the second one"
        raise DataError(where, f"id {short_repr(item['id'])} occurs twice", "each id once", fix)


def _categories(items: list[Any], is_used: Callable[[int], bool], file: Path) -> _Categories:
    """Classes sorted by ID; categories of the same name are one class, a root without boxes is not a class."""
    names: dict[int, str] = {}
    roots: list[int] = []
    parents = {item.get("supercategory") for item in items if isinstance(item, dict) and _is_text(item)}
    for position, item in enumerate(items):
        where = f"{file}, category {position + 1}"
        given = field(item, "id", where, (int, float, str), "a whole number")
        category = as_whole(given)
        if category is None:
            raise DataError(where, f"'id' is {short_repr(given)}", "a whole number", f"correct it, or {REMAKE}")
        name = field(item, "name", where, (str,), "a text")
        _unique(item, category, names, where)
        names[category] = name
        is_root = item.get("supercategory") == "none" and name in parents
        if is_root and not is_used(category):
            roots.append(category)
    what = "only groups others, has no boxes and is not a class"
    notes = [f"{file}: category {names[category]!r} (id {category}) {what}" for category in roots]
    names = {category: name for category, name in sorted(names.items()) if category not in roots}
    if not names:
        raise DataError(str(file), "has no category", "at least one", REMAKE)
    ids: dict[str, int] = {}
    for category, name in names.items():
        if ids.setdefault(name, category) != category:
            notes.append(f"{file}: categories {ids[name]} and {category} are both called {name!r} and are one class")
    order = {name: label for label, name in enumerate(ids)}
    return _Categories(ids, {category: order[name] for category, name in names.items()}, notes)


def _is_text(item: dict[str, Any]) -> bool:
    return isinstance(item.get("supercategory"), str)


def _images(items: list[Any], file: Path) -> dict[_Id, dict[str, Any]]:
    """Image entries by ID, in the order of the file."""
    images: dict[_Id, dict[str, Any]] = {}
    for position, item in enumerate(items):
        where = f"{file}, image {position + 1}"
        image = field(item, "id", where, (int, str, float), "a number or a text")
        if isinstance(image, float):
            if (whole := as_whole(image)) is None:
                raise DataError(where, f"'id' is {short_repr(image)}", "a whole number or a text", "correct it")
            image = whole
        if item.get("file_name") is None and isinstance(item.get("coco_url"), str):
            # LVIS: the last folder of the address tells the images of COCO's two splits apart.
            item["file_name"] = "/".join(unquote(re.split("[?#]", item["coco_url"])[0]).split("/")[-2:])
        field(item, "file_name", where, (str,), "a file name")
        _unique(item, image, images, where)
        images[image] = item
    return images


def _size(image: dict[str, Any]) -> tuple[int, int] | None:
    """Height and width; `None` (read the file) if the entry lacks them."""
    size = image.get("height"), image.get("width")
    is_annotated = all(isinstance(side, (int, float)) and 1 <= side <= 2**31 and side == int(side) for side in size)
    return (int(size[0]), int(size[1])) if is_annotated else None  # type: ignore[arg-type]
