"""The list `annotations` of a COCO file: all boxes at once, and one by one where a value is unusual."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from keras_retinanet.data.box_columns import BoxColumns
from keras_retinanet.data.datasets.coco.batches import Batch, areas_of, corners_of, rotation_of
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
        read_items: Function that reads the annotations again, as objects; with `True` including their outlines.
    """

    file: Path
    images: Mapping[int | str, int]
    labels: Mapping[int, int]
    read_items: Callable[[bool], list[Any]]


class _Rows(NamedTuple):
    """Annotations that are used, and the position of each in the file."""

    items: list[Any]
    positions: Sequence[int]
    notes: list[str]


def is_used(category: int, batches: Sequence[Batch | None], read_items: Callable[[bool], list[Any]]) -> bool:
    """Whether an annotation has a category."""
    if None not in batches:
        return any(as_whole(given) == category for batch in batches if batch for given in set(batch.categories))
    return any(as_whole(item.get("category_id")) == category for item in read_items(False) if isinstance(item, dict))


def read_columns(batches: Sequence[Batch | None], source: Source, on_error: OnError) -> tuple[BoxColumns, list[str]]:
    """Read the boxes of all annotations.

    Args:
        batches: From `shrink`.
        source: What they refer to.
        on_error: What to do about broken annotations: `"skip"` leaves them out with a note.

    Returns:
        The boxes, and notes.

    Raises:
        DataError: An annotation is broken and `on_error` is `"error"`, or all are broken.
    """
    found = [batch for batch in batches if batch is not None]
    joined = _join(found, source) if len(found) == len(batches) else None
    return _read_items(source, on_error) if joined is None else joined


def _join(batches: Sequence[Batch], source: Source) -> tuple[BoxColumns, list[str]] | None:
    """The boxes of all batches; `None` if IDs are repeated, or not known."""
    ids = [item for batch in batches for item in batch.ids or ()]
    count = sum(len(batch.images) for batch in batches)
    if len(ids) not in (0, count) or len(set(ids)) < len(ids):
        return None
    notes = []
    if count > len(ids):
        notes.append(f"{source.file}: {count} annotations have no id: numbered by their position")
    try:
        images = [source.images[item] for batch in batches for item in batch.images]
        labels = [source.labels[item] for batch in batches for item in batch.categories]
    except KeyError:
        return None
    boxes = np.concatenate([np.zeros((0, 4)), *(batch.boxes for batch in batches)])
    starts = itertools.accumulate((len(batch.images) for batch in batches), initial=0)
    turned = [
        (start + row, angle) for start, batch in zip(starts, batches, strict=False) for row, angle in batch.turned
    ]
    _enclose_turned(boxes, turned, source, notes)

    def where(row: int) -> str:
        return _where({"id": ids[row]} if ids else {}, row, source.file)

    columns = BoxColumns(
        image=np.array(images, np.int64),
        boxes=boxes,
        labels=np.array(labels, np.int64),
        ignore=np.frombuffer(b"".join(batch.crowd for batch in batches), bool),
        name=where,
        areas=np.concatenate([np.zeros(0), *(batch.areas for batch in batches)]),
    )
    return columns, notes


def _read_items(source: Source, on_error: OnError) -> tuple[BoxColumns, list[str]]:
    """The boxes of all annotations as objects, which are repaired one by one if that is needed."""
    rows = _drop_copies(source.read_items(False), source, on_error)
    columns = _columns(rows, source)
    if columns is None:
        repaired = _repair(rows, source, on_error)
        columns = _columns(repaired, source)
        if columns is None:
            raise DataError(str(source.file), "the annotations cannot be read", "COCO annotations", REMAKE)
        rows = repaired
    turned = [(row, angle) for row, item in enumerate(rows.items) if (angle := rotation_of(item))]
    _enclose_turned(columns.boxes, turned, source, rows.notes)
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
            boxes=corners_of([item["bbox"] for item in items]),
            labels=np.array([labels[item["category_id"]] for item in items], np.int64),
            ignore=np.array(crowd, bool),
            name=lambda row: _where(items[row], rows.positions[row], source.file),
            areas=areas_of(items),
        )
        is_sound = set(crowd) <= {0, 1} and bool(np.isfinite(columns.boxes).all())
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return None
    return columns if is_sound else None


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
    full = source.read_items(True)
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


def _enclose_turned(boxes: Any, turned: list[tuple[int, float]], source: Source, notes: list[str]) -> None:
    """Replace rectangles that are stored unturned, with an angle, by their enclosing boxes."""
    for row, angle in turned:
        boxes[row] = enclosing_box(boxes[row].tolist(), angle)
    if turned:
        notes.append(f"{source.file}: {len(turned)} boxes are rotated: their enclosing boxes are used")
