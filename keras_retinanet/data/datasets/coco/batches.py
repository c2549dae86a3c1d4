"""Annotations of a COCO file as columns, some thousands at a time: as objects they need half a kilobyte each."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class Batch(NamedTuple):
    """What is used of some successive annotations, all of them of the usual form.

    Attributes:
        ids: Their IDs; `None` if none has one.
        images: IDs of their images.
        categories: IDs of their categories.
        boxes: `(M, 4)` float64 x1, y1, x2, y2.
        crowd: Whether each is a crowd region.
        areas: `(M,)` float64.
        turned: Number in the batch, and angle, of the boxes that are rotated.
    """

    ids: list[Any] | None
    images: list[Any]
    categories: list[Any]
    boxes: Any
    crowd: bytes
    areas: Any
    turned: list[tuple[int, float]]


def shrink(items: list[Any]) -> list[Batch | None]:
    """Keep what is used of some annotations; `[None]` if one is unusual."""
    try:
        num_ids = sum(["id" in item for item in items])
        batch = Batch(
            [item["id"] for item in items] if num_ids else None,
            [item["image_id"] for item in items],
            [item["category_id"] for item in items],
            corners_of([item["bbox"] for item in items]),
            bytes([item.get("iscrowd") or 0 for item in items]),
            areas_of(items),
            [(row, angle) for row, item in enumerate(items) if "attributes" in item and (angle := rotation_of(item))],
        )
        is_sound = num_ids in (0, len(items)) and max(batch.crowd, default=0) < 2
        hash((*(batch.ids or ()), *batch.images, *batch.categories))
        return [batch if is_sound and np.isfinite(batch.boxes).all() else None]
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return [None]


def corners_of(boxes: list[Any]) -> Any:
    """x, y, width, height `(M, 4)` to x1, y1, x2, y2."""
    given = np.array(boxes, np.float64).reshape(len(boxes), 4)
    with np.errstate(all="ignore"):  # what overflows is infinite, and is reported as such
        return np.concatenate([given[:, :2], given[:, :2] + given[:, 2:]], axis=1)


def areas_of(items: list[Any]) -> Any:
    """Areas of the outlines, by which COCO distinguishes small from large; of the box if not annotated."""
    annotated = np.array([item.get("area") for item in items], np.float64)  # none is NaN
    sides = np.array([item["bbox"][2:] for item in items], np.float64).reshape(-1, 2)
    with np.errstate(over="ignore"):  # reported as a box that is not finite
        return np.where(annotated >= 0, annotated, sides[:, 0] * sides[:, 1])


def rotation_of(item: dict[str, Any]) -> float:
    """Degrees; 0 for a box that is not turned, or that encloses an outline anyway."""
    attributes = item.get("attributes")
    angle = attributes.get("rotation") if isinstance(attributes, dict) and not item.get("segmentation") else None
    try:
        degrees = float(angle or 0) % 180
    except (TypeError, ValueError, OverflowError):
        return 0.0
    return degrees if np.isfinite(degrees) else 0.0
