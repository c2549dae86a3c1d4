"""Labelbox: exports of version 2, one line of JSON for each image."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from keras_retinanet.data.datasets.shared.json_lines import annotated_size, members, parse_object
from keras_retinanet.data.datasets.shared.list_reader import ListedImage, ListReader
from keras_retinanet.data.datasets.shared.listed_boxes import ListedBox, parse_boxes
from keras_retinanet.data.errors import DataError, short_repr

_KIND = "a line of Labelbox's export v2: {'data_row': …, 'media_attributes': …, 'projects': …}"
_BOX = "{'name': …, 'bounding_box': {'top': …, 'left': …, 'height': …, 'width': …}}"
_POINTS = "a list of {'x': …, 'y': …}"
_NOT_BOXES = ("point", "line")


class LabelboxDataset(ListReader):
    """Labelbox's NDJSON export (v2) of an image project.

    The image is looked up by `external_id`, `global_key`, the base name of `row_data`, or `id`, whichever is a file.
    Polygons become their enclosing boxes; points, lines, and masks (which the export only links to) are left out and
    counted, as are images without a label. Of several labels of one image the first of each project counts.

    Reference: https://docs.labelbox.com/reference/export-image-annotations.
    """

    word = "labelbox"
    summary = "Labelbox: the NDJSON of an export v2; a folder or the file"
    suffixes = (".ndjson", ".jsonl", ".json")
    tool = "Labelbox"

    @classmethod
    def is_list(cls, file: Path, start: bytes) -> bool:
        """Whether the first line has a data row and projects."""
        del file
        line = start.lstrip()
        return (
            line.startswith(b"{") and b'"data_row"' in line and (b'"projects"' in line or b'"media_attributes"' in line)
        )

    def read_images(self, file: Path) -> Iterator[ListedImage]:
        """Yield the images of a file."""
        return self.read_json_lines(file, _KIND, self._parse_line)

    def _parse_line(self, line: tuple[str, str]) -> ListedImage | None:
        where, text = line
        content = parse_object(text, where, _KIND)
        row, projects = content.get("data_row"), content.get("projects")
        if not isinstance(row, dict) or not isinstance(projects, dict):
            raise DataError(where, "has no 'data_row' and 'projects'", _KIND, "export it again")
        names = [row[key] for key in ("external_id", "global_key", "row_data", "id") if isinstance(row.get(key), str)]
        if not names:
            raise DataError(where, "names no image", _KIND, "export it again")
        names += [f"{names[-1]}.jpg", f"{names[-1]}.png"] if "id" in row else []
        given = [project.get("labels") for project in projects.values() if isinstance(project, dict)]
        labels = [own for own in given if isinstance(own, list) and own]
        if not labels:
            self.counts["images have no label and are left out"] += 1
            return None
        self.counts["images have several labels: the first is used"] += int(any(len(own) > 1 for own in labels))
        objects = [item for own in labels for item in self._objects(own[0], where)]
        numbered = enumerate(objects, start=1)
        boxes = parse_boxes(self, self.counts, f"{where}, object", numbered, self._parse_object)
        return ListedImage(names, boxes, annotated_size(content.get("media_attributes")))

    def _objects(self, label: Any, where: str) -> list[Any]:
        annotations = label.get("annotations") if isinstance(label, dict) else None
        if isinstance(annotations, dict) and "frames" in annotations:
            fix = "export the frames as images, label those, or convert the video with Labelbox's SDK"
            raise DataError(where, "is a video with labels per frame", "images", fix)
        objects = annotations.get("objects", []) if isinstance(annotations, dict) else None
        if not isinstance(objects, list):
            raise DataError(where, "has a label without 'annotations' and 'objects'", _KIND, "export it again")
        return objects

    def _parse_object(self, item: tuple[str, Any]) -> ListedBox | None:
        where, content = item
        name = content.get("name") or content.get("value") if isinstance(content, dict) else None
        if not isinstance(name, str) or not name:
            raise DataError(where, f"is {short_repr(content, 120)}", _BOX, "give it a name")
        if isinstance(box := content.get("bounding_box"), dict):
            x, y, width, height = members(box, ("left", "top", "width", "height"), where, _BOX)
            return ListedBox((x, y, x + width, y + height), name, where)
        if isinstance(points := content.get("polygon"), list) and points:
            corners = [members(point if isinstance(point, dict) else {}, "xy", where, _POINTS) for point in points]
            xs, ys = zip(*corners, strict=True)
            self.counts["polygons: their enclosing boxes are used"] += 1
            return ListedBox((min(xs), min(ys), max(xs), max(ys)), name, where)
        if "mask" in content:
            self.counts["masks are left out: the export only links to them; export the project as COCO instead"] += 1
            return None
        if any(shape in content for shape in _NOT_BOXES):
            self.counts["points or lines are left out"] += 1
            return None
        raise DataError(where, f"is {short_repr(content.get('annotation_kind'))}", _BOX, "draw a box, or remove it")
