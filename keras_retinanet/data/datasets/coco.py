"""COCO: one JSON file for all images of a set.

Reference: https://cocodataset.org/#format-data, "Object Detection".
"""

from __future__ import annotations

import gc
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from keras_retinanet.data.box_columns import BoxColumns
from keras_retinanet.data.datasets.annotations import Annotations
from keras_retinanet.data.datasets.reader import Reader
from keras_retinanet.data.datasets.text_files import suggest_parent_folder, to_local_path
from keras_retinanet.data.error_collector import OnError, parse_each
from keras_retinanet.data.errors import DataError, short_repr
from keras_retinanet.data.image_files import first_missing, near_name_hint

_Id = int | str
# Outlines are two thirds of a COCO file and of the time to parse it, and are not used. Inside a string the quotes would
# be escaped, so this matches only the member itself.
_POLYGONS = re.compile(rb'"segmentation"\s*:\s*\[[\[\]0-9eE+\-.,\s]*\]')
_REMAKE = "export the annotations again as COCO 'instances' JSON"


class CocoDataset(Reader):
    """COCO as it unzips, or as fizyr's keras-retinanet expects it.

    Reads `<path>/annotations/instances_<set>.json`, and the images from `<path>/<set>/`, `<path>/images/<set>/`,
    `<path>/images/` or `<path>` itself, whichever holds them. Labels are the positions of the categories sorted by ID;
    crowd regions become ignore regions; images without boxes are kept. The default set is `train2017`, or `train`.
    """

    word = "coco"
    summary = "folder as COCO unzips: annotations/instances_<set>.json, <set>/ or images/<set>/"
    signs = (("annotations/instances_*.json", 3),)
    usual_validation = "val2017"

    def read(self) -> Annotations:
        """Read one JSON file."""
        file = self.path / "annotations" / f"instances_{self.set_name}.json"
        content = _read(file)
        categories = _categories(content["categories"], file)
        images = _images(content["images"], file)
        return Annotations(
            listed_in=str(file),
            class_names=tuple(categories.values()),
            images=_locate_images(self.path, self.set_name, [image["file_name"] for image in images.values()]),
            image_ids=list(images),
            sizes=[_size(image) for image in images.values()],
            boxes=_columns(content["annotations"], list(images), list(categories), file, self.on_error),
            category_ids={name: category for category, name in categories.items()},
            sources=[str(file)],
        )

    @classmethod
    def default_sets(cls, path: str | os.PathLike[str]) -> tuple[str, str | None]:
        """Names of the training set and, if there is one, of the validation set."""
        home = Path(path) / "annotations"
        train, val = (
            next((name for name in names if (home / f"instances_{name}.json").is_file()), None)
            for names in (("train2017", "train"), ("val2017", "val"))
        )
        return train or "train2017", val


def _read(file: Path) -> dict[str, Any]:
    try:
        with _no_garbage_collection():
            content = json.loads(_POLYGONS.sub(b'"segmentation":0', file.read_bytes()))
    except OSError as error:
        there = ", ".join(sorted(found.name for found in file.parent.glob("*.json"))) or "none"
        fix = suggest_parent_folder(file.parent.parent, ("annotations",), "check the path and the set's name")
        fix = near_name_hint(file) + fix + f" (annotation files there: {there})"
        raise DataError(str(file), f"cannot be read ({error.strerror})", "a COCO JSON file", fix) from None
    except (ValueError, RecursionError) as error:  # ValueError: malformed JSON and malformed UTF-8 alike
        raise DataError(str(file), f"is not JSON ({short_repr(str(error), 120)})", "COCO JSON", _REMAKE) from None
    for key in ("images", "annotations", "categories"):
        found = content.get(key) if isinstance(content, dict) else None
        if not isinstance(found, list):
            raise DataError(str(file), f"has no list {key!r}", "lists 'images', 'annotations', 'categories'", _REMAKE)
    return content


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Pause garbage collection: with millions of new objects it takes as long as reading."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _field(item: object, key: str, where: str, kinds: tuple[type, ...], allowed: str) -> Any:
    """A member of a JSON object, of the right type."""
    if not isinstance(item, dict):
        raise DataError(where, f"is {short_repr(item)}", "an object in braces", _REMAKE)
    if key not in item:
        raise DataError(where, f"has no {key!r}", allowed, f"add {key!r}, or {_REMAKE}")
    if not isinstance(item[key], kinds) or isinstance(item[key], bool):
        raise DataError(where, f"{key!r} is {short_repr(item[key])}", allowed, f"correct it, or {_REMAKE}")
    return item[key]


def _unique(item: dict[str, Any], seen: dict[Any, Any], key: str, where: str) -> None:
    if item[key] in seen:
        fix = "give each its own, or remove the second one"
        raise DataError(where, f"{key} {short_repr(item[key])} occurs twice", f"each {key} once", fix)


def _categories(items: list[Any], file: Path) -> dict[int, str]:
    """Names by ID, sorted by ID."""
    names: dict[int, str] = {}
    for position, item in enumerate(items):
        where = f"{file}, category {position + 1}"
        _field(item, "id", where, (int,), "a whole number")
        _field(item, "name", where, (str,), "a text")
        _unique(item, names, "id", where)
        _unique(item, dict.fromkeys(names.values()), "name", where)
        names[item["id"]] = item["name"]
    if not names:
        raise DataError(str(file), "has no category", "at least one", _REMAKE)
    return dict(sorted(names.items()))


def _images(items: list[Any], file: Path) -> dict[_Id, dict[str, Any]]:
    """Image entries by ID, in the order of the file."""
    images: dict[_Id, dict[str, Any]] = {}
    for position, item in enumerate(items):
        where = f"{file}, image {position + 1}"
        _field(item, "id", where, (int, str), "a number or a text")
        _field(item, "file_name", where, (str,), "a file name")
        _unique(item, images, "id", where)
        images[item["id"]] = item
    return images


def _size(image: dict[str, Any]) -> tuple[int, int] | None:
    """Height and width; `None` (read the file) if the entry lacks them."""
    size = image.get("height"), image.get("width")
    is_annotated = all(isinstance(side, (int, float)) and 1 <= side <= 2**31 and side == int(side) for side in size)
    return (int(size[0]), int(size[1])) if is_annotated else None  # type: ignore[arg-type]


def _locate_images(folder: Path, set_name: str, file_names: list[str]) -> list[str]:
    """Paths in the first of the usual folders that holds the first image."""
    folders = [str(folder / set_name), str(folder / "images" / set_name), str(folder / "images"), str(folder)]
    file_names = [to_local_path(name) for name in file_names]
    holds = (home for home in folders if first_missing([os.path.join(home, *file_names[:1])]) is None)
    home = next(holds, next((home for home in folders[:3] if os.path.isdir(home)), folders[0]))
    return [os.path.join(home, name) for name in file_names]


def _columns(
    items: list[Any], image_ids: list[_Id], categories: list[int], file: Path, on_error: OnError
) -> BoxColumns:
    """All boxes at once; only if that fails are they checked one by one, to find the broken ones."""
    labels = {category: label for label, category in enumerate(categories)}
    position = {image: number for number, image in enumerate(image_ids)}
    try:
        crowd = [item.get("iscrowd") or 0 for item in items]
        columns = BoxColumns(
            image=np.array([position[item["image_id"]] for item in items], np.int64),
            boxes=_corners([item["bbox"] for item in items]),
            labels=np.array([labels[item["category_id"]] for item in items], np.int64),
            ignore=np.array(crowd, bool),
            name=lambda row: _where(items[row], row, file),
            areas=_areas(items),
        )
        ids = [item["id"] for item in items if "id" in item]
        is_sound = len(set(ids)) == len(ids) and set(crowd) <= {0, 1}
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        is_sound = False
    if not is_sound:
        sound = _sound(items, position, labels, file, on_error)
        if len(sound) == len(items):
            raise DataError(str(file), "the annotations cannot be read", "COCO annotations", _REMAKE)
        return _columns(sound, image_ids, categories, file, on_error)
    return columns


def _corners(boxes: list[Any]) -> Any:
    """x, y, width, height `(M, 4)` to x1, y1, x2, y2."""
    given = np.array(boxes, np.float64).reshape(len(boxes), 4)
    with np.errstate(all="ignore"):  # what overflows is infinite, and is reported as such
        return np.concatenate([given[:, :2], given[:, :2] + given[:, 2:]], axis=1)


def _areas(items: list[Any]) -> Any:
    """Areas of the outlines, by which COCO distinguishes small from large; of the box if not annotated."""
    annotated = np.array([item.get("area") for item in items], np.float64)  # none is NaN
    sides = np.array([item["bbox"][2:] for item in items], np.float64).reshape(-1, 2)
    with np.errstate(over="ignore"):  # reported as a box that is not finite
        return np.where(annotated >= 0, annotated, sides[:, 0] * sides[:, 1])


def _where(item: Any, position: int, file: Path) -> str:
    has_id = isinstance(item, dict) and "id" in item
    return f"{file}, annotation " + (f"id {short_repr(item['id'])}" if has_id else f"number {position + 1}")


def _sound(
    items: list[Any], images: dict[_Id, int], categories: dict[int, int], file: Path, on_error: OnError
) -> list[Any]:
    """The annotations that are not broken."""
    seen: dict[Any, None] = {}

    def check(numbered: tuple[int, Any]) -> Any:
        position, item = numbered
        where = _where(item, position, file)
        _require_reference(item, images, categories, where)
        _require_numbers(item, where)
        if "id" in item:
            _field(item, "id", where, (int, str), "a number or a text")
            _unique(item, seen, "id", where)
            seen[item["id"]] = None
        return item

    return list(parse_each(enumerate(items), check, on_error))


def _require_reference(item: Any, images: dict[_Id, int], categories: dict[int, int], where: str) -> None:
    image = _field(item, "image_id", where, (int, str), "the id of an image")
    if image not in images:
        raise DataError(where, f"image_id {short_repr(image)} is not an image", "ids of the list 'images'", _REMAKE)
    category = _field(item, "category_id", where, (int,), "the id of a category")
    if category not in categories:
        allowed = short_repr(list(categories), 200)
        raise DataError(where, f"category_id {category} is not a category", allowed, "add it to 'categories'")


def _require_numbers(item: dict[str, Any], where: str) -> None:
    box = _field(item, "bbox", where, (list,), "[x, y, width, height]")
    if len(box) != 4 or not all(isinstance(side, (int, float)) and abs(side) < 1e300 for side in box):
        raise DataError(where, f"bbox is {short_repr(box)}", "[x, y, width, height], four numbers", "correct it")
    if item.get("iscrowd") not in (0, 1, None):
        raise DataError(where, f"iscrowd is {short_repr(item['iscrowd'])}", "0 or 1", "correct it")
    if not isinstance(item.get("area") or 0, (int, float)):
        raise DataError(where, f"area is {short_repr(item['area'])}", "a number", "correct it or remove it")
