"""Reads detections from COCO result files; a record that does not belong to the data set is named with its line."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_retinanet.data.errors import DataError, short_repr
from keras_retinanet.schema import Detections

_ALLOWED = '[{"image_id": …, "category_id": …, "bbox": [x, y, width, height], "score": …}, …]'


def read_coco_results(path: Path, image_ids: Sequence[int | str], labels: Mapping[int, int]) -> list[Detections]:
    """Reads the format of COCO's evaluation server, as `retinanet-evaluate --save-detections` writes it.

    Args:
        path: The file.
        image_ids: The ids of the images of the data set.
        labels: The label of each category id of the data set.

    Returns:
        One entry per image, in their order; boxes best first.

    Raises:
        DataError: It is not such a file, or names an image or class that the data set does not have.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        records = json.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(str(path), f"cannot be read ({reason})", _ALLOWED, "check the path") from None
    except (json.JSONDecodeError, RecursionError) as error:
        where = f"{path}, line {error.lineno}" if isinstance(error, json.JSONDecodeError) else str(path)
        raise DataError(where, f"is not JSON ({error})", _ALLOWED, "write the file again") from None
    if not isinstance(records, list):
        raise DataError(str(path), f"is {short_repr(records)}", _ALLOWED, "give the result file, not the annotations")
    rows: dict[int | str, list[tuple[float, ...]]] = {image_id: [] for image_id in image_ids}
    for index, record in enumerate(records):
        problem = _find_problem(record, rows, labels)
        if problem is not None:
            raise DataError(f"{path}, line {_line_of(text, index)}, entry {index + 1}", *problem)
        x, y, width, height = record["bbox"]
        rows[record["image_id"]].append((x, y, x + width, y + height, record["score"], labels[record["category_id"]]))
    return [_detections(image_id, found) for image_id, found in rows.items()]


def read_result_files(
    paths: Sequence[Path], image_ids: Sequence[int | str], labels: Mapping[int, int]
) -> list[Detections]:
    """Reads result files of different images, such as those of several folds.

    Args:
        paths: The files.
        image_ids: The ids of the images of the data set.
        labels: The label of each category id of the data set.

    Returns:
        One entry per image, in their order; boxes best first.

    Raises:
        DataError: A file is broken, or two files have detections of one image.
    """
    found = read_coco_results(paths[0], image_ids, labels)
    source: list[Path | None] = [paths[0] if len(entry["scores"]) else None for entry in found]
    for path in paths[1:]:
        for position, entry in enumerate(read_coco_results(path, image_ids, labels)):
            if not len(entry["scores"]):
                continue
            if (other := source[position]) is not None:
                reason = f"has detections of image {short_repr(entry['image_id'])}, and so has {other}"
                raise DataError(str(path), reason, "files of different images", "give the file of each fold once")
            found[position], source[position] = entry, path
    return found


def _find_problem(record: Any, images: Mapping[Any, Any], labels: Mapping[int, int]) -> tuple[str, str, str] | None:
    """What is wrong with a record, what is allowed, and what to do."""
    if not isinstance(record, dict) or not {"image_id", "category_id", "bbox", "score"} <= record.keys():
        return f"is {short_repr(record)}", _ALLOWED[1:-4], "write the file again"
    image, category, box = record["image_id"], record["category_id"], record["bbox"]
    if not isinstance(image, int | str) or image not in images:
        some = ", ".join(short_repr(image_id) for image_id in list(images)[:3])
        return f"image {short_repr(image)} is not in the data set", f"ids such as {some}", "take the set it belongs to"
    if not isinstance(category, int) or category not in labels:
        known = ", ".join(map(str, list(labels)[:10])) + (" …" if len(labels) > 10 else "")
        return f"class {short_repr(category)} is not in the data set", f"category ids {known}", "correct the id"
    numbers = [*box, record["score"]] if isinstance(box, list) and len(box) == 4 else [None]
    if not all(isinstance(value, int | float) and math.isfinite(value) for value in numbers):
        found = f"bbox is {short_repr(box)}, score {short_repr(record['score'])}"
        return found, "four finite numbers and a finite score", "write the file again"
    if min(box[2:]) < 0:
        found = f"bbox is {short_repr(box)}, with a negative width or height"
        return found, "[x, y, width, height]", "write width and height, not the second corner"
    return None


def _line_of(text: str, index: int) -> int:
    """The line, from 1, in which a record of the list begins."""
    decoder, position = json.JSONDecoder(), text.index("[") + 1
    for _ in range(index):
        position = decoder.raw_decode(text, _skip(text, position))[1]
    return text.count("\n", 0, _skip(text, position)) + 1


def _skip(text: str, position: int) -> int:
    """The next character that is neither blank nor a comma."""
    while text[position] in " \t\r\n,":
        position += 1
    return position


def _detections(image_id: int | str, rows: list[tuple[float, ...]]) -> Detections:
    table = np.array(rows, np.float64).reshape(-1, 6)
    table = table[np.argsort(-table[:, 4], kind="stable")]
    boxes, scores, labels = table[:, :4], table[:, 4], table[:, 5].astype(np.int32)
    return {"image_id": image_id, "boxes": boxes, "scores": scores, "labels": labels}
