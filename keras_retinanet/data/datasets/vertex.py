"""Import files of Vertex AI and AutoML Vision: CSV, or one line of JSON for each image."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from keras_retinanet.data.datasets.shared.json_lines import json_lines, parse_object
from keras_retinanet.data.datasets.shared.list_reader import ListedImage, ListReader
from keras_retinanet.data.datasets.shared.listed_boxes import ListedBox, parse_boxes
from keras_retinanet.data.datasets.shared.text_files import csv_records, number, read_text
from keras_retinanet.data.errors import DataError, short_repr

_CSV = "'TRAIN,gs://…,label,x1,y1,,,x2,y2,,', or 'TRAIN,gs://…,,,,,,,,,' for an image without boxes"
_JSON = "{'imageGcsUri': 'gs://…', 'boundingBoxAnnotations': [{'displayName': …, 'xMin': …}]}"
_USE = "aiplatform.googleapis.com/ml_use"
_SETS = {
    "train": "train", "training": "train", "validation": "validation", "validate": "validation", "val": "validation",
    "test": "test", "unassigned": "", "": "",
}  # fmt: skip
_FLOAT = frozenset((float,))
_SIDES = ("xMin", "yMin", "xMax", "yMax")
_IN_JSON = re.compile(r'ml_use"\s*:\s*"(\w*)"')
_LABEL_BEFORE_BOX = 11  # columns of a line with a split: split, path, label, and four corners


class VertexDataset(ListReader):
    """Vertex AI and AutoML Vision: `.csv` lines `SET,path,label,x1,y1,,,x2,y2,,`, or `.jsonl`.

    Coordinates are shares of the image's sides; the four corners may be given in full. The splits are those of the
    lines (`TRAIN`, `VALIDATION`, `TEST`; `ml_use`); lines without one are used for training if others have one. Images
    are looked up by their base names next to the file, since the paths are those of a bucket.

    Reference: https://cloud.google.com/vertex-ai/docs/image-data/object-detection/prepare-data, and
    https://cloud.google.com/vision/automl/object-detection/docs/csv-format.
    """

    word = "vertex"
    summary = "Vertex AI or AutoML Vision: CSV or JSONL with shares of the image's sides; a folder or the file"
    suffixes = (".csv", ".jsonl", ".json")
    tool = "Vertex AI"
    is_relative = True
    has_splits_inside = True

    @classmethod
    def is_list(cls, file: Path, start: bytes) -> bool:
        """Whether the first line is one of the two formats."""
        line = start.lstrip().split(b"\n")[0]
        if file.suffix.lower() != ".csv":
            return line.startswith(b"{") and b'"imageGcsUri"' in line and b'"boundingBoxAnnotations"' in line
        fields = next(csv.reader([line.decode("utf-8", "replace").strip()]), [])
        split = fields[0].strip().casefold() if fields else ""
        has_box = len(fields) in (_LABEL_BEFORE_BOX, _LABEL_BEFORE_BOX - 1)
        return has_box and (split in _SETS or "://" in split)

    @classmethod
    def splits_inside(cls, file: Path) -> list[str]:
        """Names of the splits in one file; `""` for images without one."""
        text = read_text(file, _CSV if file.suffix.lower() == ".csv" else _JSON)
        if file.suffix.lower() == ".csv":
            words = [line.partition(",")[0].strip().strip('"') for line in text.splitlines() if line.strip()]
        else:
            words = [*_IN_JSON.findall(text), *([""] if text.count("imageGcsUri") > text.count("ml_use") else [])]
        return list(dict.fromkeys(_SETS.get(word.casefold(), "") for word in words))

    def read_images(self, file: Path) -> Iterator[ListedImage]:
        """Yield the images of a file; one several times if it has several lines."""
        if file.suffix.lower() == ".csv":
            lines = csv_records(read_text(file, _CSV).splitlines(keepends=True), file)
            yield from self.parse_each(((f"{file}, line {number}", cells) for number, cells in lines), _parse_cells)
        else:
            yield from self.parse_each(json_lines(file, _JSON), self._parse_line)

    def _parse_line(self, line: tuple[str, str]) -> ListedImage:
        where, text = line
        content = parse_object(text, where, _JSON)
        image, boxes = content.get("imageGcsUri"), content.get("boundingBoxAnnotations", [])
        if not isinstance(image, str) or not image or not isinstance(boxes, list):
            raise DataError(where, f"imageGcsUri is {short_repr(image)}", _JSON, "add the path of the image")
        labels = content.get("dataItemResourceLabels")
        use = str(labels.get(_USE, "")) if isinstance(labels, dict) else ""
        group = parse_boxes(self, self.counts, f"{where}, box", enumerate(boxes, start=1), _parse_box)
        return ListedImage([image], group, split=_SETS.get(use.casefold(), ""))


def _parse_box(item: tuple[str, Any]) -> ListedBox:
    where, content = item
    if not isinstance(content, dict) or not isinstance(content.get("displayName"), str) or not content["displayName"]:
        raise DataError(where, f"is {short_repr(content, 120)}", _JSON, "add its displayName")
    # The JSON of protocol buffers leaves out numbers that are 0.
    given = [content.get(side, 0) for side in _SIDES]
    if not _FLOAT.issuperset(map(type, given)):
        given = [number(str(side), name, where, _JSON) for side, name in zip(given, _SIDES, strict=True)]
    return ListedBox(given, content["displayName"], where)


def _parse_cells(line: tuple[str, list[str]]) -> ListedImage:
    where, cells = line[0], [cell.strip() for cell in line[1]]
    if cells[0].casefold() not in _SETS:
        cells = ["", *cells]  # the split is optional
    path, name, corners = (cells[1] if len(cells) > 1 else ""), (cells[2] if len(cells) > 2 else ""), cells[3:11]
    if not path:
        raise DataError(where, "names no image", _CSV, "complete the line")
    split = _SETS.get(cells[0].casefold(), "")
    if not name and not any(corners):
        return ListedImage([path], [], split=split)
    if not name or len(corners) < 6:
        found = "names no class" if not name else f"{len(cells)} columns in {short_repr(','.join(cells))}"
        raise DataError(where, found, _CSV, "complete the line")
    given = [(number(text, "a corner", where, _CSV), place % 2) for place, text in enumerate(corners) if text]
    xs, ys = [value for value, is_y in given if not is_y], [value for value, is_y in given if is_y]
    if len(xs) < 2 or len(xs) != len(ys):
        raise DataError(where, f"corners {short_repr(','.join(corners))}", _CSV, "give two corners or four")
    return ListedImage([path], [ListedBox((min(xs), min(ys), max(xs), max(ys)), name, where)], split=split)
