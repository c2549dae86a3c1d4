"""Label Studio: its JSON export and JSON-MIN, one file for all tasks of a project.

Reference: https://labelstud.io/guide/export (raw JSON format, JSON_MIN, units of image annotations).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from keras_retinanet.data.datasets.label_studio.annotation_files import (
    find_annotation_files,
    has_annotation_files,
    read_annotation,
)
from keras_retinanet.data.datasets.label_studio.names import image_forms, is_image_address
from keras_retinanet.data.datasets.label_studio.plain import PlainResult, shrink_tasks
from keras_retinanet.data.datasets.label_studio.regions import (
    REMAKE,
    Region,
    labels_of,
    make_region,
    parse_region,
    regions_of,
)
from keras_retinanet.data.datasets.shared.image_list import ImageList, ListedImage
from keras_retinanet.data.datasets.shared.listed_images import ListedImagesReader
from keras_retinanet.data.datasets.shared.long_json import read_long_json
from keras_retinanet.data.datasets.shared.reader import Layout
from keras_retinanet.data.datasets.shared.shapes import Shape
from keras_retinanet.data.datasets.shared.split_files import WHOLE
from keras_retinanet.data.datasets.shared.text_files import describe_files
from keras_retinanet.data.errors import DataError, short_repr

_KIND = "Label Studio's JSON or JSON-MIN export"
_RAW = re.compile(rb'"(?:from_name|was_cancelled|completed_by)"\s*:')
_RESULTS = re.compile(rb'"(?:result|annotations|completions)"\s*:\s*\[')
_MIN = re.compile(rb'"annotation_id"\s*:')


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
        tasks = list(self.parse_each(files, read_annotation)) if files else read_long_json(file, _KIND, REMAKE, whole)
        if not isinstance(tasks, list):
            raise DataError(str(file), "is not a list of tasks", _KIND, REMAKE)
        numbered = ((f"{file}, task {number}", task) for number, task in enumerate(tasks, start=1))
        chosen, notes = _choose_annotations(list(self.parse_each(numbered, _parse_task)), file)
        fix = "put the images into images/ next to the file, or name their folder with --image-dir (JSON has no images)"
        return ImageList(
            [_listed(task) for task in chosen], notes=notes, missing_fix=fix, sources=[str(part) for part in files]
        )

    def parse_shape(self, shape: Any, image: ListedImage, where: str) -> Sequence[Shape]:
        """One shape for each label of a region."""
        del image
        kind, box = parse_region(shape, where)
        return [Shape(kind, label, box, where) for label in shape.labels]


class _Task(NamedTuple):
    """The image of a task with one of its annotations, if it has any."""

    address: str
    regions: list[Region] | PlainResult | None
    rank: tuple[bool, str, int]
    num_annotations: int


def _parse_task(numbered: tuple[str, Any]) -> _Task:
    """A task of either export with its best annotation."""
    where, task = numbered
    if not isinstance(task, dict):
        raise DataError(where, f"is {short_repr(task)}", "an object in braces", REMAKE)
    if "annotations" not in task and "completions" not in task:
        return _parse_min(task, where)
    data = task.get("data")
    address = _address(data if isinstance(data, dict) else {}, where)
    annotations = task.get("annotations", task.get("completions"))
    if not isinstance(annotations, list) or not all(isinstance(item, dict) for item in annotations):
        raise DataError(where, f"'annotations' is {short_repr(annotations)}", "a list of annotations", REMAKE)
    given = [item for item in annotations if not (item.get("was_cancelled") or item.get("skipped"))]
    if not given:
        return _Task(address, None, (False, "", 0), 0)
    best = max(enumerate(given), key=lambda pair: _rank(pair[1], pair[0]))[1]
    result = best.get("result")
    if isinstance(result, PlainResult):
        return _Task(address, result, _rank(best, 0), len(given))
    if not isinstance(result, list) or not all(isinstance(item, dict) for item in result):
        raise DataError(where, f"'result' is {short_repr(result)}", "a list of regions", REMAKE)
    return _Task(address, list(regions_of(result, where)), _rank(best, 0), len(given))


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
        make_region(value, labels_of(value), value, where)
        for value in values
        if "original_width" in value or labels_of(value)
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
