"""The list `annotations` of a COCO file: all boxes at once, and one by one where a value is unusual."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from keras_retinanet.data.box_columns import BoxColumns
from keras_retinanet.data.datasets.coco.fields import REMAKE, as_whole, field, find_id
from keras_retinanet.data.datasets.shared.outlines import box_of_segmentation, enclosing_box
from keras_retinanet.data.error_collector import ErrorCollector, OnError, parse_each, report_or_raise
from keras_retinanet.data.errors import DataError, short_repr

OUTLINE = 1
"""What stands in place of an outline that was not parsed."""


class Source(NamedTuple):
    """What the annotations refer to.

    Attributes:
        file: The JSON file.
        images: Positions of the images by ID.
        labels: Labels by category ID.
        has_rotation: Whether an annotation may have an attribute `rotation`.
        read_outlines: Function that reads the annotations again, with their outlines.
    """

    file: Path
    images: Mapping[int | str, int]
    labels: Mapping[int, int]
    has_rotation: bool
    read_outlines: Callable[[], list[Any]]


class _Rows(NamedTuple):
    """Annotations that are used, and the position of each in the file."""

    items: list[Any]
    positions: Sequence[int]
    notes: list[str]


def read_columns(items: list[Any], source: Source, on_error: OnError) -> tuple[BoxColumns, list[str]]:
    """Read the boxes of all annotations.

    Args:
        items: The list `annotations`.
        source: What they refer to.
        on_error: What to do about broken annotations: `"skip"` leaves them out with a note.

    Returns:
        The boxes, and notes.

    Raises:
        DataError: An annotation is broken and `on_error` is `"error"`, or all are broken.
    """
    rows = _drop_copies(items, source, on_error)
    columns = _columns(rows, source)
    if columns is None:
        repaired = _repair(rows, source, on_error)
        columns = _columns(repaired, source)
        if columns is None:
            raise DataError(str(source.file), "the annotations cannot be read", "COCO annotations", REMAKE)
        rows = repaired
    if source.has_rotation:
        _enclose_turned(columns.boxes, rows, source)
    return columns, rows.notes


def _where(item: Any, position: int, file: Path) -> str:
    has_id = isinstance(item, dict) and "id" in item
    return f"{file}, annotation " + (f"id {short_repr(item['id'])}" if has_id else f"number {position + 1}")


def _columns(rows: _Rows, source: Source) -> BoxColumns | None:
    """All boxes at once; `None` if a value is unusual."""
    items, images, labels = rows.items, source.images, source.labels
    try:
        crowd = [item.get("iscrowd") or 0 for item in items]
        columns = BoxColumns(
            image=np.array([images[item["image_id"]] for item in items], np.int64),
            boxes=_corners([item["bbox"] for item in items]),
            labels=np.array([labels[item["category_id"]] for item in items], np.int64),
            ignore=np.array(crowd, bool),
            name=lambda row: _where(items[row], rows.positions[row], source.file),
            areas=_areas(items),
        )
        is_sound = set(crowd) <= {0, 1} and bool(np.isfinite(columns.boxes).all())
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return None
    return columns if is_sound else None


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


def _drop_copies(items: list[Any], source: Source, on_error: OnError) -> _Rows:
    """Leave out annotations that repeat another with its ID, and note IDs that are missing or repeated."""
    notes: list[str] = []
    rows = _Rows(items, range(len(items)), notes)
    try:
        ids = [item["id"] for item in items if "id" in item]
        is_unique = len(set(ids)) == len(ids)
    except TypeError:
        return rows  # an entry is not an object, or an ID not a number or a text
    if len(ids) < len(items):
        notes.append(f"{source.file}: {len(items) - len(ids)} annotations have no id: numbered by their position")
    if is_unique:
        return rows
    seen: set[tuple[str, ...]] = set()
    kept, positions = [], []
    for position, item in enumerate(items):
        if isinstance(item, dict) and "id" in item:
            key = tuple(short_repr(item.get(name), 500) for name in ("id", "image_id", "category_id", "bbox"))
            if item.get("bbox") and key in seen:
                if on_error != "skip":
                    found = "repeats another one: id, image, category and box"
                    where = _where(item, position, source.file)
                    report_or_raise(on_error, DataError(where, found, "each annotation once", "remove the second one"))
                continue
            seen.add(key)
            item = {name: value for name, value in item.items() if name != "id"}
        kept.append(item)
        positions.append(position)
    note = f"{source.file}: annotation ids are repeated ({len(ids) - len(set(ids))} times): numbered by their position"
    if len(kept) < len(items):
        note += f"; {len(items) - len(kept)} annotations equal another in id, image, category and box and are left out"
    return _Rows(kept, positions, [*notes, note])


def _repair(rows: _Rows, source: Source, on_error: OnError) -> _Rows:
    """Bring each annotation into the usual form; broken ones are left out."""
    items, notes = _with_outlines(rows, source), list(rows.notes)
    collector = ErrorCollector() if on_error == "skip" else on_error
    outlined: list[int] = []

    def parse(numbered: tuple[int, Any]) -> tuple[int, dict[str, Any]]:
        position, item = numbered
        parsed = _parse(item, source, _where(item, position, source.file))
        if not item.get("bbox"):
            outlined.append(position)
        return position, parsed

    found = list(parse_each(zip(rows.positions, items, strict=True), parse, collector))
    if on_error == "skip" and isinstance(collector, ErrorCollector) and collector.errors:
        if not found:
            raise collector.errors[0]
        notes += collector.describe_left_out()
    if outlined:
        notes.append(f"{source.file}: {len(outlined)} annotations have an outline, no box: its enclosing box is used")
    return _Rows([item for _, item in found], [position for position, _ in found], notes)


def _with_outlines(rows: _Rows, source: Source) -> list[Any]:
    """The annotations, with their outlines parsed if a box is missing."""
    needs = [isinstance(item, dict) and not item.get("bbox") and bool(item.get("segmentation")) for item in rows.items]
    if not any(needs):
        return rows.items
    full = source.read_outlines()
    return [
        {**item, "segmentation": full[position]["segmentation"]} if is_needed else item
        for item, position, is_needed in zip(rows.items, rows.positions, needs, strict=True)
    ]


def _parse(item: Any, source: Source, where: str) -> dict[str, Any]:
    """One annotation in the usual form: ids that exist, four finite numbers, 0 or 1."""
    image = field(item, "image_id", where, (int, float, str), "the id of an image")
    known_image = find_id(image, source.images)
    if known_image is None:
        raise DataError(where, f"image_id {short_repr(image)} is not an image", "ids of the list 'images'", REMAKE)
    category = field(item, "category_id", where, (int, float, str), "the id of a category")
    known_category = find_id(category, source.labels)
    if known_category is None:
        allowed = short_repr(list(source.labels), 200)
        found = f"category_id {short_repr(category)} is not a category"
        raise DataError(where, found, allowed, "add it to 'categories'")
    crowd = item.get("iscrowd") or 0
    if (is_crowd := as_whole(int(crowd) if isinstance(crowd, bool) else crowd)) not in (0, 1):
        raise DataError(where, f"iscrowd is {short_repr(crowd)}", "0 or 1", "correct it")
    area = item.get("area")
    try:
        area = None if area is None else float(area)
    except (TypeError, ValueError, OverflowError):
        raise DataError(where, f"area is {short_repr(area)}", "a number", "correct it or remove it") from None
    ids = {"image_id": known_image, "category_id": known_category}
    return {**item, **ids, "bbox": _parse_box(item, where), "iscrowd": is_crowd, "area": area}


def _parse_box(item: dict[str, Any], where: str) -> list[float]:
    """x, y, width, height."""
    box, outline = item.get("bbox"), item.get("segmentation")
    if not box and outline:
        try:
            x1, y1, x2, y2 = box_of_segmentation(outline)
        except ValueError as error:
            raise DataError(
                where, f"has no bbox, and its outline is broken: {error}", "a box or an outline", REMAKE
            ) from None
        sides = [x1, y1, x2 - x1, y2 - y1]
    else:
        if "bbox" not in item:
            raise DataError(where, "has no 'bbox'", "[x, y, width, height]", f"add 'bbox', or {REMAKE}")
        sides = _parse_sides(box, where)
    with np.errstate(all="ignore"):
        if not np.isfinite([*sides, sides[0] + sides[2], sides[1] + sides[3]]).all():
            found = f"coordinates {short_repr(sides, 120)}"
            raise DataError(where, found, "finite numbers", "correct the box or remove it")
    return sides


def _parse_sides(box: Any, where: str) -> list[float]:
    values = [box.get(name) for name in ("x", "y", "width", "height")] if isinstance(box, dict) else box
    try:
        if isinstance(values, list) and len(values) == 4:
            return [float(side) for side in values]
    except (TypeError, ValueError, OverflowError):
        pass
    raise DataError(where, f"bbox is {short_repr(box)}", "[x, y, width, height], four numbers", "correct it")


def _enclose_turned(boxes: Any, rows: _Rows, source: Source) -> None:
    """Replace rectangles that are stored unturned, with an angle, by their enclosing boxes."""
    turned = [(row, angle) for row, item in enumerate(rows.items) if (angle := _rotation(item))]
    for row, angle in turned:
        boxes[row] = enclosing_box(boxes[row].tolist(), angle)
    if turned:
        rows.notes.append(f"{source.file}: {len(turned)} boxes are rotated: their enclosing boxes are used")


def _rotation(item: dict[str, Any]) -> float:
    """Degrees; 0 for a box that is not turned, or that encloses an outline anyway."""
    attributes = item.get("attributes")
    angle = attributes.get("rotation") if isinstance(attributes, dict) and not item.get("segmentation") else None
    try:
        degrees = float(angle or 0) % 180
    except (TypeError, ValueError, OverflowError):
        return 0.0
    return degrees if np.isfinite(degrees) else 0.0
