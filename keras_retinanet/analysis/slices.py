"""AP of parts of a data set: by size, aspect ratio and position of the boxes, by image, and by class.

Boxes outside a part are handled as COCO handles those outside an area range: they count as ignore regions, and so do
detections outside that take no box. Parts made of whole images or classes are evaluated alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_retinanet.analysis.matches import Matches, take_boxes
from keras_retinanet.analysis.precision import average_precision
from keras_retinanet.box_overlap import areas
from keras_retinanet.evaluation.coco_engine import IOU_THRESHOLDS, MAX_DETECTIONS

Array = NDArray[Any]
_INFINITE = float("inf")
_Ranges = tuple[tuple[str, float, float], ...]
_SIZES: _Ranges = (
    ("small, below 32² px", 0, 32**2),
    ("medium", 32**2, 96**2),
    ("large, above 96² px", 96**2, _INFINITE),
)
_RATIOS: _Ranges = (("tall, below 2:3", 0, 2 / 3), ("square", 2 / 3, 3 / 2), ("wide, above 3:2", 3 / 2, _INFINITE))
_COUNTS: _Ranges = (("up to 5", 0, 5), ("6 to 20", 6, 20), ("more than 20", 21, _INFINITE))
_BRIGHTNESS: _Ranges = (("dark, below 85", 0, 85), ("medium", 85, 170), ("bright, from 170", 170, 256))
_TRAINING_BOXES: _Ranges = (("below 100", 0, 99), ("100 to 999", 100, 999), ("1,000 and more", 1000, _INFINITE))


@dataclass(frozen=True)
class Slice:
    """A part of the data set and its numbers.

    Attributes:
        kind: What divides the data set: `"size"`, `"aspect ratio"`, `"position"`, `"boxes per image"`, `"brightness"`
            or `"training boxes"`.
        name: The part, such as `"small, below 32² px"`.
        num_boxes: Boxes in the part, ignore regions left out.
        ap: Mean over IoU 0.50 … 0.95 and the classes that have boxes in the part; nan without a box.
        ap50: AP at IoU 0.50.
        recall50: Share of the boxes found at IoU 0.50 by all detections; nan without a box.
    """

    kind: str
    name: str
    num_boxes: int
    ap: float
    ap50: float
    recall50: float


@dataclass(frozen=True)
class _Part:
    """Which detections, boxes and classes belong to a part, each `True` or an array of bool."""

    kind: str
    name: str
    found: Array
    truth: Array


def compute_slices(
    matches: Matches, brightness: Mapping[int | str, float] | None = None, training_boxes: Sequence[int] | None = None
) -> tuple[Slice, ...]:
    """Computes AP of every part that has a box.

    Args:
        matches: The images. Position needs the `size` of every sample.
        brightness: Mean brightness of each image, 0 … 255, by id. Defaults to none, which leaves this division out.
        training_boxes: `(K,)` boxes of each class that the model was trained on. Defaults to none, as above.

    Returns:
        The parts, those of one kind together.
    """
    parts = [*_box_parts(matches), *_image_parts(matches, brightness), *_class_parts(matches, training_boxes)]
    return tuple(_evaluate(matches, part) for part in parts if (part.truth & ~matches.truth.ignore).any())


def _box_parts(matches: Matches) -> Iterator[_Part]:
    found, truth = matches.found, matches.truth
    area = areas(found.box)
    for name, low, high in _SIZES:
        yield _Part("size", name, (area >= low) & (area <= high), (truth.area >= low) & (truth.area <= high))
    ratios = [_ratio(side.box) for side in (found, truth)]
    for name, low, high in _RATIOS:
        inside = [(ratio >= low) & (ratio < high) for ratio in ratios]
        yield _Part("aspect ratio", name, *inside)
    if all("size" in sample for sample in matches.samples):
        places = [_place(matches, side) for side in (found, truth)]
        for k, name in enumerate(("centre of the image", "outer part", "at the edge")):
            yield _Part("position", name, places[0] == k, places[1] == k)


def _ratio(box: Array) -> Array:
    """`(N,)` width over height."""
    side = np.maximum(box[:, 2:] - box[:, :2], 1e-9)
    return side[:, 0] / side[:, 1]


def _place(matches: Matches, boxes: Any) -> Array:
    """`(N,)` 2: within 1 % of the image's sides from the edge; 0: the centre lies in their middle half; 1: others."""
    sizes = np.array([sample["size"][::-1] for sample in matches.samples], np.float64).reshape(-1, 2)[boxes.image]
    corners = boxes.box.reshape(-1, 2, 2) / sizes[:, None]
    center = corners.mean(axis=1)
    is_central = (np.abs(center - 0.5) <= 0.25).all(axis=1)
    is_cut = (corners[:, 0] <= 0.01).any(axis=1) | (corners[:, 1] >= 0.99).any(axis=1)
    return np.where(is_cut, 2, np.where(is_central, 0, 1))


def _image_parts(matches: Matches, brightness: Mapping[int | str, float] | None) -> Iterator[_Part]:
    truth = matches.truth
    counts = np.bincount(truth.image[~truth.ignore], minlength=len(matches.samples))
    for name, low, high in _COUNTS:
        yield _part_of_images(matches, "boxes per image", name, (counts >= low) & (counts <= high))
    if brightness is not None:
        values = np.array([brightness.get(sample["image_id"], np.nan) for sample in matches.samples])
        for name, low, high in _BRIGHTNESS:
            yield _part_of_images(matches, "brightness", name, (values >= low) & (values < high))


def _part_of_images(matches: Matches, kind: str, name: str, is_inside: Array) -> _Part:
    return _Part(kind, name, is_inside[matches.found.image], is_inside[matches.truth.image])


def _class_parts(matches: Matches, training_boxes: Sequence[int] | None) -> Iterator[_Part]:
    if training_boxes is not None:
        counts = np.asarray(training_boxes)
        for name, low, high in _TRAINING_BOXES:
            is_inside = (counts >= low) & (counts <= high)
            yield _Part("training boxes", name, is_inside[matches.found.label], is_inside[matches.truth.label])


def _evaluate(matches: Matches, part: _Part) -> Slice:
    truth, found = matches.truth, matches.found
    num_classes = len(matches.class_names)
    is_wanted = part.truth & ~truth.ignore
    num_boxes = np.bincount(truth.label[is_wanted], minlength=num_classes)
    ap, recall50 = np.full((len(IOU_THRESHOLDS), num_classes), np.nan), float("nan")
    counts = found.rank < MAX_DETECTIONS[-1]
    rows = [np.flatnonzero(counts & (found.label == k)) for k in range(num_classes)]
    rows = [chosen[np.argsort(-found.score[chosen], kind="stable")] for chosen in rows]
    for t, threshold in enumerate(IOU_THRESHOLDS):
        is_allowed = matches.overlaps.is_class & (matches.overlaps.iou >= threshold) & counts[matches.overlaps.found]
        taken = take_boxes(matches.overlaps, is_allowed, truth.ignore, len(found.label), ~part.truth)
        is_right = np.append(is_wanted, False)[taken]
        is_counted = is_right | ((taken < 0) & part.found)
        if not t:
            recall50 = float(is_right.sum() / is_wanted.sum())
        for k in np.flatnonzero(num_boxes).tolist():
            chosen = rows[k][is_counted[rows[k]]]
            ap[t, k] = average_precision(found.score[chosen], is_right[chosen], int(num_boxes[k]))
    present = num_boxes > 0
    return Slice(
        part.kind,
        part.name,
        int(num_boxes.sum()),
        float(ap[:, present].mean()),
        float(ap[0, present].mean()),
        recall50,
    )
