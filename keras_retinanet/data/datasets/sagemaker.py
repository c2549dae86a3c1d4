"""Manifests of Amazon SageMaker Ground Truth and Rekognition Custom Labels: one line of JSON for each image."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from keras_retinanet.data.datasets.shared.json_lines import annotated_size, members, parse_object
from keras_retinanet.data.datasets.shared.list_reader import ListedImage, ListReader
from keras_retinanet.data.datasets.shared.listed_boxes import ListedBox, parse_boxes
from keras_retinanet.data.errors import DataError, short_repr
from keras_retinanet.schema import Size

_KIND = "a line of a manifest: {'source-ref': 's3://…', NAME: {'annotations': […]}, 'NAME-metadata': {'class-map': …}}"
_BOX = "{'class_id': 0, 'left': 1, 'top': 2, 'width': 3, 'height': 4}"
_TYPE = "groundtruth/object-detection"
_METADATA = "-metadata"


class SageMakerDataset(ListReader):
    """Output manifests of bounding box jobs: `output.manifest`, or one file per split.

    Each line names an image (`source-ref`) and has a label attribute with boxes in pixels, and its metadata with the
    names of the classes. Of several attributes with boxes, as after an adjustment job, the last one counts. Lines whose
    labelling failed are left out and counted.

    Reference: https://docs.aws.amazon.com/sagemaker/latest/dg/sms-data-output.html, "Bounding box job output".
    """

    word = "sagemaker"
    summary = "SageMaker Ground Truth or Rekognition: *.manifest of a bounding box job; a folder or the file"
    suffixes = (".manifest", ".jsonl", ".json")
    tool = "SageMaker Ground Truth"

    @classmethod
    def is_list(cls, file: Path, start: bytes) -> bool:
        """Whether the first line refers to an image and has metadata."""
        del file
        line = start.lstrip().split(b"\n")[0]
        return line.startswith(b"{") and b'"source-ref"' in line and b"-metadata" in line and _TYPE.encode() in line

    def read_images(self, file: Path) -> Iterator[ListedImage]:
        """Yield the images of a file."""
        return self.read_json_lines(file, _KIND, self._parse_line)

    def _parse_line(self, line: tuple[str, str]) -> ListedImage | None:
        where, text = line
        content = parse_object(text, where, _KIND)
        image = content.get("source-ref")
        if not isinstance(image, str) or not image:
            raise DataError(where, f"source-ref is {short_repr(image)}", _KIND, "add the path of the image")
        names = [name for name in content if _has_boxes(content, name)]
        if not names:
            self.counts["images have no boxes of a finished job and are left out"] += 1
            return None
        self.counts["images have boxes of several jobs: the last ones are used"] += int(len(names) > 1)
        label, metadata = content[names[-1]], content[f"{names[-1]}{_METADATA}"]
        classes = metadata.get("class-map", {})
        numbered, parse = enumerate(label["annotations"], start=1), functools.partial(_parse_box, classes)
        boxes = parse_boxes(self, self.counts, f"{where}, box", numbered, parse)
        return ListedImage([image], boxes, _size(label.get("image_size")))


def _has_boxes(content: dict[str, Any], name: str) -> bool:
    label, metadata = content[name], content.get(f"{name}{_METADATA}")
    if not isinstance(label, dict) or not isinstance(metadata, dict):
        return False
    return isinstance(label.get("annotations"), list) and metadata.get("type", _TYPE) == _TYPE


def _parse_box(classes: Any, item: tuple[str, Any]) -> ListedBox:
    where, content = item
    if not isinstance(content, dict):
        raise DataError(where, f"is {short_repr(content)}", _BOX, "correct it")
    x, y, width, height = members(content, ("left", "top", "width", "height"), where, _BOX)
    key = str(content.get("class_id"))
    name = classes.get(key) if isinstance(classes, dict) else None
    if not isinstance(name, str) or not name:
        raise DataError(where, f"class_id {short_repr(key)} is not in the class-map", _BOX, "add it to the class-map")
    return ListedBox((x, y, x + width, y + height), name, where)


def _size(given: Any) -> Size | None:
    return annotated_size(given[0]) if isinstance(given, list) and given else None
