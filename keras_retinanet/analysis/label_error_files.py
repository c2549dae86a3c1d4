"""Label errors as a list, and as files that labelling tools open.

COCO: the annotations as they are, suspicious ones with `attributes` (CVAT and FiftyOne show them), missing boxes added.
Label Studio: tasks with the annotations, and the suggestions as predictions to accept.

Reference: https://cocodataset.org/#format-data; https://labelstud.io/guide/predictions.
"""

from __future__ import annotations

import collections
import csv
import io
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_retinanet.analysis.json_values import to_json
from keras_retinanet.analysis.label_errors import Box, LabelError
from keras_retinanet.schema import Sample

_COLUMNS = (
    "rank", "kind", "image", "image_id", "row", "label", "suggested_label", "score", "overlap", "x1", "y1", "x2", "y2",
    "suggested_x1", "suggested_y1", "suggested_x2", "suggested_y2",
)  # fmt: skip


@dataclass(frozen=True)
class LabelReview:
    """What is written.

    Attributes:
        errors: The suggestions.
        samples: All annotated images, with sizes.
        class_names: Names of the labels.
        category_ids: COCO's id of each label.
    """

    errors: Sequence[LabelError]
    samples: Sequence[Sample]
    class_names: Sequence[str]
    category_ids: Sequence[int]

    def by_image(self) -> dict[int | str, list[LabelError]]:
        """The suggestions of each image that has some.

        Returns:
            Image id → suggestions.
        """
        suspects: dict[int | str, list[LabelError]] = collections.defaultdict(list)
        for error in self.errors:
            suspects[error.image_id].append(error)
        return suspects


def write_label_errors(path: str | Path, review: LabelReview) -> None:
    """Writes label errors; the end of the file's name decides the format, see `WRITERS`.

    Args:
        path: The file; its folder is created if needed.
        review: The suggestions and the annotations.

    Raises:
        ValueError: The name has another end.
    """
    path = Path(path)
    write = next((write for end, write in WRITERS.items() if path.name.lower().endswith(end)), None)
    if write is None:
        raise ValueError(f"{path} ends with none of {', '.join(WRITERS)}: the end of the name decides the format")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(write(review), encoding="utf-8")


def _to_csv(review: LabelReview) -> str:
    class_names = review.class_names
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(_COLUMNS)
    for error in review.errors:
        numbers = [f"{value:.6g}" for value in (error.score, error.overlap)]
        own, suggested = ([f"{value:.2f}" for value in box or ()] for box in (error.box, error.suggested_box))
        names = _name(error.label, class_names), class_names[error.suggested_label]
        place = error.image, error.image_id, error.row if error.row >= 0 else ""
        table.writerow([f"{error.rank:.6g}", error.kind, *place, *names, *numbers, *(own or [""] * 4), *suggested])
    return text.getvalue()


def _to_list(review: LabelReview) -> str:
    class_names = review.class_names
    entries = [
        to_json(error)
        | {"label": _name(error.label, class_names) or None, "suggested_label": class_names[error.suggested_label]}
        for error in review.errors
    ]
    return json.dumps(entries, indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def _name(label: int, class_names: Sequence[str]) -> str:
    return class_names[label] if label >= 0 else ""


def _to_coco(review: LabelReview) -> str:
    samples, class_names, category_ids = review.samples, review.class_names, review.category_ids
    suspects, names = review.by_image(), _file_names(samples)
    is_numbered = all(isinstance(sample["image_id"], int) for sample in samples)
    images: list[dict[str, Any]] = []
    boxes: list[dict[str, Any]] = []
    for position, (sample, name) in enumerate(zip(samples, names, strict=True)):
        image_id = sample["image_id"] if is_numbered else position + 1
        size = {"height": int(sample["size"][0]), "width": int(sample["size"][1])} if "size" in sample else {}
        images.append({"id": image_id, "file_name": name, **size})
        own = {error.row: error for error in suspects[sample["image_id"]] if error.row >= 0}
        for row, box in enumerate(sample["boxes"]):
            record = _record(tuple(map(float, box)), category_ids[int(sample["labels"][row])], image_id)
            attributes = {"attributes": _attributes(own[row], class_names)} if row in own else {}
            boxes.append(record | {"iscrowd": int(sample["ignore"][row])} | attributes)
        for error in suspects[sample["image_id"]]:
            if error.row < 0:
                record = _record(error.suggested_box, category_ids[error.suggested_label], image_id)
                boxes.append(record | {"iscrowd": 0, "attributes": _attributes(error, class_names)})
    annotations = [{"id": number, **record} for number, record in enumerate(boxes, 1)]
    categories = [{"id": int(key), "name": name} for key, name in zip(category_ids, class_names, strict=True)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    return json.dumps(content, allow_nan=False, ensure_ascii=False) + "\n"


def _record(box: Box | tuple[float, ...], category_id: int, image_id: int | str) -> dict[str, Any]:
    x1, y1, x2, y2 = box
    sides = round(x2 - x1, 3), round(y2 - y1, 3)
    place = {"bbox": [round(x1, 3), round(y1, 3), *sides], "area": round(sides[0] * sides[1], 3)}
    return {"image_id": image_id, "category_id": int(category_id), **place}


def _attributes(error: LabelError, class_names: Sequence[str]) -> dict[str, Any]:
    """Plain values only, which tools show next to the box."""
    attributes: dict[str, Any] = {"suspect": error.kind, "rank": round(error.rank, 6)}
    if error.kind == "wrong_class":
        attributes["suggested_label"] = class_names[error.suggested_label]
    if error.kind == "misplaced":
        attributes["suggested_box"] = ", ".join(f"{value:.1f}" for value in error.suggested_box)
    return attributes


def _file_names(samples: Sequence[Sample]) -> list[str]:
    """Names without folders, where no two are equal; else the paths."""
    names = [os.path.basename(sample["image"]) for sample in samples]
    return names if len(set(names)) == len(names) else [sample["image"] for sample in samples]


def _to_label_studio(review: LabelReview) -> str:
    samples, class_names = review.samples, review.class_names
    suspects, tasks = review.by_image(), []
    for sample, name in zip(samples, _file_names(samples), strict=True):
        if not (own := suspects.get(sample["image_id"])):
            continue
        if "size" not in sample:
            raise ValueError(f"Label Studio needs the size of {sample['image']}, which the data set does not state")
        annotated = [
            _region(box, class_names[int(label)], sample)
            for box, label in zip(sample["boxes"], sample["labels"], strict=True)
        ]
        suggested = [
            _region(error.suggested_box, class_names[error.suggested_label], sample)
            | {"score": round(error.score, 6), "meta": {"text": [f"{error.kind}, rank {error.rank:.3f}"]}}
            for error in own
        ]
        rank = max(error.rank for error in own)
        predictions = [{"model_version": "label errors", "score": round(rank, 6), "result": suggested}]
        tasks.append({"data": {"image": name}, "annotations": [{"result": annotated}], "predictions": predictions})
    return json.dumps(tasks, allow_nan=False, ensure_ascii=False) + "\n"


def _region(box: Any, name: str, sample: Sample) -> dict[str, Any]:
    """A rectangle in percent of the image, for a labelling setup with the control `label` on the object `image`."""
    height, width = (int(side) for side in sample["size"])
    x1, y1, x2, y2 = (float(value) for value in box)
    value = {"x": 100 * x1 / width, "y": 100 * y1 / height, "width": 100 * (x2 - x1) / width}
    value |= {"height": 100 * (y2 - y1) / height, "rotation": 0}
    kind = {"type": "rectanglelabels", "from_name": "label", "to_name": "image"}
    return {**kind, "original_width": width, "original_height": height, "value": {**value, "rectanglelabels": [name]}}


WRITERS: dict[str, Callable[[LabelReview], str]] = {
    ".csv": _to_csv,
    ".coco.json": _to_coco,
    ".labelstudio.json": _to_label_studio,
    ".json": _to_list,
}
"""End of the file's name → function `(review) → content`."""
