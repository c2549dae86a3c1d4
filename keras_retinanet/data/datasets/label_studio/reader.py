"""Label Studio: its JSON export and JSON-MIN, one file for all tasks of a project.

Reference: https://labelstud.io/guide/export (raw JSON format, JSON_MIN, units of image annotations).
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from keras_retinanet.data.datasets.label_studio.annotation_files import (
    find_annotation_files,
    has_annotation_files,
    read_annotation,
)
from keras_retinanet.data.datasets.label_studio.brush import box_of_brush
from keras_retinanet.data.datasets.label_studio.names import image_forms, is_image_address
from keras_retinanet.data.datasets.label_studio.plain import PlainResult, shrink_tasks
from keras_retinanet.data.datasets.shared.image_list import ImageList, ListedImage
from keras_retinanet.data.datasets.shared.listed_images import ListedImagesReader
from keras_retinanet.data.datasets.shared.long_json import read_long_json
from keras_retinanet.data.datasets.shared.outlines import box_of_ellipse
from keras_retinanet.data.datasets.shared.reader import Layout
from keras_retinanet.data.datasets.shared.shapes import BOX, Shape, box_of_points, numbers_of
from keras_retinanet.data.datasets.shared.split_files import WHOLE
from keras_retinanet.data.datasets.shared.text_files import describe_files
from keras_retinanet.data.errors import DataError, short_repr
from keras_retinanet.schema import Size

_KIND = "Label Studio's JSON or JSON-MIN export"
_REMAKE = "export the project again as JSON"
_RAW = re.compile(rb'"(?:from_name|was_cancelled|completed_by)"\s*:')
_RESULTS = re.compile(rb'"(?:result|annotations|completions)"\s*:\s*\[')
_MIN = re.compile(rb'"annotation_id"\s*:')
_LABELS = (
    "rectanglelabels",
    "polygonlabels",
    "ellipselabels",
    "brushlabels",
    "labels",
    "keypointlabels",
    "vectorlabels",
)


_CHOICE = "choice of an image"


_SHAPES = frozenset(("x", "points", "rle", "sequence", "vertices", "framesCount"))


class _Region(NamedTuple):
    """A drawn shape: the value, its labels, the size of its image, and how that was rotated in the tool."""

    value: Mapping[str, Any]
    labels: tuple[str, ...]
    size: Size | None
    image_rotation: Any
    kind: str


class LabelStudioDataset(ListedImagesReader):
    """Label Studio's exports JSON and JSON-MIN, and the files of its cloud storage, one per annotation.

    An image is the address of a task; the name of its field is free. Files are looked for under the name in the
    address (`/data/upload/1/ab12cd34-name.jpg`, `/data/local-files/?d=day1/name.jpg`, `s3://bucket/day1/name.jpg`),
    then without the prefix that an upload adds. Of several annotations of a task, the one marked as ground truth is
    used, otherwise the newest; skipped ones and predictions are not used. A task without annotations is left out; an
    annotation without regions makes a background image.

    Percent become pixels of `original_width` and `original_height`, the size of the picture as browsers show it, with
    its EXIF orientation applied. A rotated rectangle, an ellipse, a polygon or a brush mask becomes its enclosing box;
    a rectangle turns about its upper left corner. Key points, vectors and choices of an image are left out. A region
    with several labels is one box of each; a region without labels has its choices as classes. Tracks of videos are
    refused. Class names are the sorted labels.
    """

    word = "labelstudio"
    summary = "Label Studio's JSON or JSON-MIN export, images next to it"
    format_name = "Label Studio"
    layouts = "the JSON or JSON-MIN file of a project, with the images in images/ or next to it"

    @classmethod
    def recognise(cls, ends: bytes) -> str | None:
        """Recognise an export by the members of its first and last tasks."""
        is_raw = bool(_RAW.search(ends)) and bool(_RESULTS.search(ends))
        return "Label Studio" if ends.startswith(b"[") and (is_raw or _MIN.search(ends)) else None

    @classmethod
    def find_files(cls, path: Path) -> dict[str, Path]:
        """The files of exports; the folder itself if it has one file per annotation."""
        found = super().find_files(path)
        return found or ({WHOLE: path} if path.is_dir() and has_annotation_files(path) else {})

    @classmethod
    def find_layout(cls, path: str | os.PathLike[str]) -> Layout | None:
        """Recognise exports by their contents."""
        place = Path(path)
        if cls.find_files(place).get(WHOLE) == place and place.is_dir():
            return Layout(cls.word, place, "one file per annotation", 3, "Label Studio")
        return super().find_layout(path)

    def read_list(self, file: Path, set_name: str) -> ImageList:
        """Read the tasks."""
        del set_name
        files = find_annotation_files(file) if file.is_dir() else []
        whole = {"": shrink_tasks}
        tasks = list(self.parse_each(files, read_annotation)) if files else read_long_json(file, _KIND, _REMAKE, whole)
        if not isinstance(tasks, list):
            raise DataError(str(file), "is not a list of tasks", _KIND, _REMAKE)
        numbered = ((f"{file}, task {number}", task) for number, task in enumerate(tasks, start=1))
        chosen, notes = _choose_annotations(list(self.parse_each(numbered, _parse_task)), file)
        fix = "put the images into images/ next to the file, or name their folder with --image-dir (JSON has no images)"
        return ImageList(
            [_listed(task) for task in chosen], notes=notes, missing_fix=fix, sources=[str(part) for part in files]
        )

    def parse_shape(self, shape: Any, image: ListedImage, where: str) -> Sequence[Shape]:
        """One shape for each label of a region."""
        del image
        kind, box = _parse_region(shape, where)
        return [Shape(kind, label, box, where) for label in shape.labels]


class _Task(NamedTuple):
    """The image of a task with one of its annotations, if it has any."""

    address: str
    regions: list[_Region] | PlainResult | None
    rank: tuple[bool, str, int]
    num_annotations: int


def _parse_task(numbered: tuple[str, Any]) -> _Task:
    """A task of either export with its best annotation."""
    where, task = numbered
    if not isinstance(task, dict):
        raise DataError(where, f"is {short_repr(task)}", "an object in braces", _REMAKE)
    if "annotations" not in task and "completions" not in task:
        return _parse_min(task, where)
    data = task.get("data")
    address = _address(data if isinstance(data, dict) else {}, where)
    annotations = task.get("annotations", task.get("completions"))
    if not isinstance(annotations, list) or not all(isinstance(item, dict) for item in annotations):
        raise DataError(where, f"'annotations' is {short_repr(annotations)}", "a list of annotations", _REMAKE)
    given = [item for item in annotations if not (item.get("was_cancelled") or item.get("skipped"))]
    if not given:
        return _Task(address, None, (False, "", 0), 0)
    best = max(enumerate(given), key=lambda pair: _rank(pair[1], pair[0]))[1]
    result = best.get("result")
    if isinstance(result, PlainResult):
        return _Task(address, result, _rank(best, 0), len(given))
    if not isinstance(result, list) or not all(isinstance(item, dict) for item in result):
        raise DataError(where, f"'result' is {short_repr(result)}", "a list of regions", _REMAKE)
    return _Task(address, list(_regions(result, where)), _rank(best, 0), len(given))


def _rank(annotation: Mapping[str, Any], position: int) -> tuple[bool, str, int]:
    """Order of annotations of one task: the greatest is used."""
    return annotation.get("ground_truth") is True, str(annotation.get("created_at") or ""), position


def _parse_min(task: Mapping[str, Any], where: str) -> _Task:
    """A task of JSON-MIN: regions stand under the names of their controls."""
    address = _address({key: value for key, value in task.items() if isinstance(value, (str, list))}, where)
    if task.get("annotation_id", 0) is None:
        return _Task(address, None, (False, "", 0), 0)
    values = [item for value in task.values() if isinstance(value, list) for item in value if isinstance(item, dict)]
    regions = [
        _region(value, _labels_of(value), value, where)
        for value in values
        if "original_width" in value or _labels_of(value)
    ]
    return _Task(address, regions, (False, str(task.get("created_at") or ""), 0), 1)


def _address(data: Mapping[str, Any], where: str) -> str:
    """The address of the image: the field `image` if there is one, else the only field that looks like one."""
    if isinstance(data.get("image"), str):
        return str(data["image"])
    found = {key: value for key, value in data.items() if isinstance(value, str) and is_image_address(value)}
    if len(set(found.values())) == 1:
        return next(iter(found.values()))
    what = f"has {len(found)} images ({', '.join(found)})" if found else "has no image"
    raise DataError(where, what, "tasks of one image", "read the export of a project with one image per task")


def _regions(result: list[dict[str, Any]], where: str) -> Iterator[_Region]:
    """Regions of an annotation; a control of shapes and one of labels write one entry each, with the same ID."""
    labels: dict[str, list[str]] = {}
    choices: dict[str, list[str]] = {}
    shapes: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
    for position, item in enumerate(result):
        value, region = item.get("value"), item.get("id")
        key = region if isinstance(region, str) else f"#{position}"
        if isinstance(value, dict):
            labels.setdefault(key, []).extend(_labels_of(value))
            choices.setdefault(key, []).extend(_texts(value.get("choices")))
            if _is_shape(value):
                shapes.setdefault(key, (value, item))
    for key, (value, item) in shapes.items():
        yield _region(value, labels[key] or choices[key], item, where)
    for key, names in choices.items():
        if names and key not in shapes:
            yield _Region({}, tuple(names), None, None, _CHOICE)


def _is_shape(value: Mapping[str, Any]) -> bool:
    return not _SHAPES.isdisjoint(value)


def _labels_of(value: Mapping[str, Any]) -> list[str]:
    return [label for name in value if name in _LABELS for label in _texts(value[name])]


def _texts(value: Any) -> list[str]:
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []


def _region(value: Mapping[str, Any], labels: Iterable[str], entry: Mapping[str, Any], where: str) -> _Region:
    if "sequence" in value or "framesCount" in value:
        fix = "annotate the frames that you want to use as images"
        raise DataError(where, "has tracks of a video", "tasks of images", fix)
    size = _size(entry.get("original_height"), entry.get("original_width"))
    return _Region(value, tuple(dict.fromkeys(labels)), size, entry.get("image_rotation"), str(entry.get("type", "")))


def _choose_annotations(tasks: list[_Task], file: Path) -> tuple[list[_Task], list[str]]:
    """One annotation of each image, and notes about the others."""
    best: dict[str, _Task] = {}
    counts: dict[str, int] = {}
    for task in tasks:
        counts[task.address] = counts.get(task.address, 0) + task.num_annotations
        first = best.setdefault(task.address, task)
        if task.regions is not None and (first.regions is None or task.rank > first.rank):
            best[task.address] = task
    notes = []
    if several := sum(count > 1 for count in counts.values()):
        which = "the one marked as ground truth, else the newest, is used"
        notes.append(f"{file}: {several} images have several annotations: {which}")
    alone = [task.address for task in best.values() if task.regions is None]
    notes += describe_files(file, alone, "tasks have no annotation and are left out")
    return [task for task in best.values() if task.regions is not None], notes


def _listed(task: _Task) -> ListedImage:
    if isinstance(task.regions, PlainResult):
        return ListedImage(image_forms(task.address), task.regions.size, task.regions.boxes)
    regions = task.regions or []
    size = next((region.size for region in regions if region.size is not None), None)
    whole = [region if region.size else region._replace(size=size) for region in regions]
    return ListedImage(image_forms(task.address), size, whole)


def _size(height: Any, width: Any) -> Size | None:
    if type(height) is int and type(width) is int and height > 0 < width:  # almost all
        return height, width
    is_known = all(type(side) in (int, float) and side >= 1 for side in (height, width))
    return (round(height), round(width)) if is_known else None


def _parse_region(region: _Region, where: str) -> tuple[str, Any]:
    """Kind of a region, and its enclosing box in pixels or `None`."""
    value, size = region.value, region.size
    if region.kind == _CHOICE:
        return _CHOICE, None
    if not region.labels:
        raise DataError(where, "has no label", "a label for each region", "label it, or remove it")
    if region.image_rotation not in (None, 0):
        found = f"was drawn on a picture rotated by {short_repr(region.image_rotation)} degrees in Label Studio"
        raise DataError(
            where, found, "pictures that are not rotated there", "rotate the picture back and draw it again"
        )
    if size is None:
        raise DataError(where, "has no 'original_width' and 'original_height'", "both, in pixels", _REMAKE)
    if "rle" in value:
        return "brush", box_of_brush(value["rle"], size, where)
    if "points" in value:
        points = value["points"] if isinstance(value["points"], list) else []
        x1, y1, x2, y2 = box_of_points(points, where, 3)
        return "polygon", _to_pixels((x1, y1, x2, y2), size)
    if "radiusX" in value:
        x, y, radius_x, radius_y = numbers_of(value, ["x", "y", "radiusX", "radiusY"], where)
        x, y, radius_x, radius_y = _to_pixels((x, y, radius_x, radius_y), size)
        return "ellipse", box_of_ellipse((x, y), (radius_x, radius_y), _angle(value, where))
    if "vertices" in value or "height" not in value or "keypointlabels" in value or region.kind.startswith("keypoint"):
        return "vector" if "vertices" in value else "keypoint", None
    x, y, width, height = _to_pixels(numbers_of(value, ["x", "y", "width", "height"], where), size)
    if not (angle := _angle(value, where)):
        return BOX, (x, y, x + width, y + height)
    cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    corners = [
        [x + across * cosine - down * sine, y + across * sine + down * cosine]
        for across in (0, width)
        for down in (0, height)
    ]
    return "rotated rectangle", box_of_points(corners, where)


def _to_pixels(percents: Iterable[float], size: Size) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = percents
    height, width = size
    return x1 * width / 100, y1 * height / 100, x2 * width / 100, y2 * height / 100


def _angle(value: Mapping[str, Any], where: str) -> float:
    return numbers_of(value, ["rotation"], where)[0] if value.get("rotation") else 0.0
