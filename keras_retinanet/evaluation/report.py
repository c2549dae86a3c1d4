"""Metrics and detections as text tables and as files."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_retinanet.evaluation.metric import OWN, EvaluationResult
from keras_retinanet.schema import Detections
from keras_retinanet.snapshots.atomic_files import write_whole


def stats_table(result: EvaluationResult) -> str:
    """Formats the numbers over all classes as a table, one per line, in the metric's order.

    Args:
        result: A result of any metric.

    Returns:
        Aligned lines of name, value to three digits (`-` if no box contributes to it), meaning, and whose published
        numbers it is comparable with; then the notes.
    """
    rows = [("number", "value", "meaning", "comparable with")]
    for name, value in result.stats.items():
        comparable = result.comparable_with.get(name, OWN)
        rows.append((name, format_number(value), result.captions[name], comparable))
    return "\n".join([align_columns(rows, "<><<"), *(f"note: {note}" for note in result.notes)])


def class_table(result: EvaluationResult) -> str:
    """Formats the numbers of each class as a table, one class per line, in the order of the labels.

    Args:
        result: A result of any metric.

    Returns:
        Aligned lines of class name, number of boxes and values to three digits (`-` if the class has no box).
    """
    rows = [("class", "boxes", *result.per_class)]
    for k, name in enumerate(result.class_names):
        values = [format_number(column[k]) for column in result.per_class.values()]
        rows.append((name, str(result.num_boxes[k]), *values))
    return align_columns(rows, "<" + ">" * (1 + len(result.per_class)))


def to_dict(result: EvaluationResult) -> dict[str, Any]:
    """Converts a result to plain values for strict JSON.

    Args:
        result: A result of any metric.

    Returns:
        `{"stats", "comparable_with": {name: …}, "classes": {name: {"boxes", …}}, "images", "detections", "notes"}`,
        with `None` for nan.
    """
    classes = {}
    for k, name in enumerate(result.class_names):
        values = {column: _finite_or_none(values[k]) for column, values in result.per_class.items()}
        classes[name] = {"boxes": int(result.num_boxes[k]), **values}
    return {
        "stats": {name: _finite_or_none(value) for name, value in result.stats.items()},
        "comparable_with": {name: result.comparable_with.get(name, OWN) for name in result.stats},
        "classes": classes,
        "images": result.num_images,
        "detections": result.num_detections,
        "notes": list(result.notes),
    }


def coco_results(detections: Iterable[Detections], category_ids: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Converts detections to the format of COCO's evaluation server and of `COCO.loadRes`.

    Args:
        detections: Detections with boxes in pixels of the image files.
        category_ids: The data set's own id of each label `0 … K-1`.

    Yields:
        One `{"image_id", "category_id", "bbox": [x, y, width, height], "score"}` per detection, pixels to 1e-6.
    """
    for entry in detections:
        boxes = np.asarray(entry["boxes"], np.float64).reshape(-1, 4)
        boxes = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1).round(6)
        for box, score, label in zip(boxes.tolist(), entry["scores"], entry["labels"], strict=True):
            record = {"image_id": entry["image_id"], "category_id": int(category_ids[int(label)])}
            yield record | {"bbox": box, "score": float(str(np.float32(score)))}  # shortest exact digits


def write_coco_results(path: str | Path, detections: Iterable[Detections], category_ids: Sequence[int]) -> None:
    """Writes detections as `coco_results`, one per line, without holding them in memory.

    Args:
        path: The file; its folder is created if needed.
        detections: Detections with boxes in pixels of the image files.
        category_ids: The data set's own id of each label `0 … K-1`.
    """

    def write(temporary: Path) -> None:
        with temporary.open("w", encoding="utf-8") as file:
            separator = "[\n"
            for record in coco_results(detections, category_ids):
                file.write(separator + json.dumps(record, ensure_ascii=False))
                separator = ",\n"
            file.write("\n]\n" if separator == ",\n" else "[]\n")

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, write)


def write_json(path: str | Path, content: Any) -> None:
    """Writes strict JSON; creates the folder if needed.

    Args:
        path: The file.
        content: Plain values without nan.

    Raises:
        ValueError: The content has nan or infinity.
    """
    text = json.dumps(content, allow_nan=False, ensure_ascii=False, indent=2 if isinstance(content, dict) else None)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n", encoding="utf-8")


def _finite_or_none(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def format_number(value: float) -> str:
    """Formats a number of a result.

    Args:
        value: The number; below 0 or nan if no box contributes to it.

    Returns:
        Three digits, or `-`.
    """
    return "-" if not math.isfinite(value) or value < 0 else f"{value:.3f}"


def align_columns(rows: Sequence[Sequence[str]], sides: str) -> str:
    """Formats a table with columns of equal width.

    Args:
        rows: Cells of each row.
        sides: For each column, `<` to align it left or `>` to align it right.

    Returns:
        One line per row.
    """
    widths = [max(len(row[column]) for row in rows) for column in range(len(sides))]
    cells = [[f"{cell:{side}{width}}" for cell, side, width in zip(row, sides, widths, strict=True)] for row in rows]
    return "\n".join("  ".join(row).rstrip() for row in cells)
