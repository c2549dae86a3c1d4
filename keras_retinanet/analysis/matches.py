"""Detections and annotated boxes of all images in columns, what overlaps what, and which detection takes which box.

Overlaps are computed once; every analysis chooses among them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_retinanet.evaluation.detections import pair_detections
from keras_retinanet.evaluation.matching import IGNORED, RIGHT, WRONG, overlap_matrix
from keras_retinanet.evaluation.metric import keep_counted
from keras_retinanet.schema import Detections, Sample

Array = NDArray[Any]


@dataclass(frozen=True)
class Found:
    """The detections of all images, image by image, best first.

    Attributes:
        image: `(D,)` int64 position of the image.
        label: `(D,)` int64.
        score: `(D,)` float64.
        box: `(D, 4)` float64 in pixels.
        rank: `(D,)` int64: how many better detections of its class its image has.
    """

    image: Array
    label: Array
    score: Array
    box: Array
    rank: Array


@dataclass(frozen=True)
class Truth:
    """The annotated boxes of all images, image by image.

    Attributes:
        image: `(N,)` int64 position of the image.
        row: `(N,)` int64 position among the boxes of the image.
        label: `(N,)` int64.
        box: `(N, 4)` float64 in pixels.
        ignore: `(N,)` bool: ignore regions.
        area: `(N,)` float64: area of the object, or of its box where the source has none.
    """

    image: Array
    row: Array
    label: Array
    box: Array
    ignore: Array
    area: Array


@dataclass(frozen=True)
class Overlaps:
    """The pairs of a detection and an annotated box of the same image that overlap, of whatever class.

    Attributes:
        found: `(P,)` int64 position among the detections.
        truth: `(P,)` int64 position among the annotated boxes.
        iou: `(P,)` float64; for an ignore region, the share of the detection inside.
        is_class: `(P,)` bool: both have the same class.
    """

    found: Array
    truth: Array
    iou: Array
    is_class: Array


@dataclass(frozen=True)
class Matches:
    """All images in columns, matched by COCO's rule at one IoU threshold.

    Attributes:
        samples: The images.
        class_names: Names of the labels `0 … K-1`.
        iou_threshold: IoU from which a detection is right.
        found: The detections.
        truth: The annotated boxes.
        overlaps: What overlaps what.
        taken: `(D,)` int64: the box or region that each detection takes, -1 for none.
        verdict: `(D,)` int64 `evaluation.matching.RIGHT`, `WRONG` or `IGNORED`.
        is_found: `(N,)` bool: a detection takes the box.
    """

    samples: tuple[Sample, ...]
    class_names: tuple[str, ...]
    iou_threshold: float
    found: Found
    truth: Truth
    overlaps: Overlaps
    taken: Array
    verdict: Array
    is_found: Array


def match(
    samples: Sequence[Sample],
    detections: Sequence[Detections],
    class_names: Sequence[str],
    iou_threshold: float = 0.5,
    least_overlap: float = 0.1,
) -> Matches:
    """Puts all images in columns and matches them.

    Args:
        samples: Annotated images.
        detections: Detections with boxes in pixels of the image files; images without any may be left out.
        class_names: Names of the labels `0 … K-1`.
        iou_threshold: IoU from which a detection is right.
        least_overlap: Pairs that overlap less are left out.

    Returns:
        Columns, overlaps and matches.

    Raises:
        ValueError: Detections of an unknown image, or a label outside `0 … K-1`.
    """
    pairs = [
        (sample, keep_counted(found, None, None))
        for sample, found in pair_detections(samples, detections, len(class_names))
    ]
    found, truth = _found_columns([entry for _, entry in pairs]), _truth_columns(samples)
    overlaps = _overlaps(pairs, found, truth, least_overlap)
    taken = take_boxes(overlaps, overlaps.is_class & (overlaps.iou >= iou_threshold), truth.ignore, len(found.label))
    is_found = np.zeros(len(truth.label), bool)
    is_found[taken[taken >= 0]] = True
    verdict = verdicts(taken, truth.ignore)
    return Matches(tuple(samples), tuple(class_names), iou_threshold, found, truth, overlaps, taken, verdict, is_found)


def take_boxes(
    overlaps: Overlaps, is_allowed: Array, ignore: Array, num_found: int, outside: Array | None = None
) -> Array:
    """COCO's rule: each detection, best first, takes the free box that it overlaps most.

    Args:
        overlaps: The pairs.
        is_allowed: `(P,)` bool: the detection may take the box.
        ignore: `(N,)` bool: regions that take any number of detections that no other box takes.
        num_found: int, `D`.
        outside: `(N,)` bool: boxes that take one detection that no other box takes. Defaults to none.

    Returns:
        `(D,)` int64: the box that each detection takes, -1 for none.
    """
    found, truth, iou = (column[is_allowed] for column in (overlaps.found, overlaps.truth, overlaps.iou))
    is_last = (ignore if outside is None else ignore | outside)[truth]
    order = np.lexsort((-truth, -iou, is_last, found))  # of equal overlaps the last box, as in pycocotools
    taken, is_free = [-1] * num_found, [True] * len(ignore)
    for detection, box, is_region in zip(
        found[order].tolist(), truth[order].tolist(), ignore[truth[order]].tolist(), strict=True
    ):
        if taken[detection] < 0 and is_free[box]:
            taken[detection] = box
            is_free[box] = is_region
    return np.array(taken, np.int64)


def best_overlaps(overlaps: Overlaps, is_chosen: Array, num_found: int) -> tuple[Array, Array]:
    """The chosen box that each detection overlaps most.

    Args:
        overlaps: The pairs.
        is_chosen: `(P,)` bool.
        num_found: int, `D`.

    Returns:
        `(D,)` float64 overlaps, 0 without a box; `(D,)` int64 boxes, the first of equal overlaps, -1 without one.
    """
    chosen = np.flatnonzero(is_chosen)
    chosen = chosen[np.lexsort((overlaps.truth[chosen], -overlaps.iou[chosen], overlaps.found[chosen]))]
    detection, first = np.unique(overlaps.found[chosen], return_index=True)
    best, box = np.zeros(num_found), np.full(num_found, -1)
    best[detection], box[detection] = overlaps.iou[chosen[first]], overlaps.truth[chosen[first]]
    return best, box


def verdicts(taken: Array, ignore: Array) -> Array:
    """Which detections are right.

    Args:
        taken: `(D,)` int64 from `take_boxes`.
        ignore: `(N,)` bool.

    Returns:
        `(D,)` int64 `RIGHT`, `WRONG` or `IGNORED`.
    """
    is_ignored = np.append(ignore, False)[taken]
    return np.where(taken < 0, WRONG, np.where(is_ignored, IGNORED, RIGHT))


def _found_columns(detections: Sequence[Detections]) -> Found:
    label = _concatenate([entry["labels"] for entry in detections], np.int64)
    image = np.repeat(np.arange(len(detections)), [len(entry["labels"]) for entry in detections])
    order = np.lexsort((np.arange(len(label)), label, image))  # by class within the image, best first
    is_first = np.ones(len(label), bool)
    is_first[1:] = (np.diff(image[order]) != 0) | (np.diff(label[order]) != 0)
    starts = np.maximum.accumulate(np.where(is_first, np.arange(len(label)), 0))
    rank = np.empty(len(label), np.int64)
    rank[order] = np.arange(len(label)) - starts
    score = _concatenate([entry["scores"] for entry in detections], np.float64)
    return Found(image, label, score, _concatenate_boxes(detections), rank)


def _truth_columns(samples: Sequence[Sample]) -> Truth:
    counts = [len(sample["labels"]) for sample in samples]
    box = _concatenate_boxes(samples)
    own = [sample.get("areas", np.full(count, np.nan)) for sample, count in zip(samples, counts, strict=True)]
    area = _concatenate(own, np.float64)
    return Truth(
        image=np.repeat(np.arange(len(samples)), counts),
        row=_concatenate([np.arange(count) for count in counts], np.int64),
        label=_concatenate([sample["labels"] for sample in samples], np.int64),
        box=box,
        ignore=_concatenate([sample["ignore"] for sample in samples], bool),
        area=np.where(np.isnan(area), (box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1]), area),
    )


def _overlaps(pairs: Sequence[tuple[Sample, Detections]], found: Found, truth: Truth, least: float) -> Overlaps:
    first_found = first_truth = 0
    rows: list[Array] = [np.zeros(0, np.int64)]
    columns: list[Array] = [np.zeros(0, np.int64)]
    values: list[Array] = [np.zeros(0)]
    for sample, entry in pairs:
        matrix = overlap_matrix(entry["boxes"], sample["boxes"], np.asarray(sample["ignore"], bool))
        row, column = np.nonzero(matrix >= least)
        rows.append(row + first_found)
        columns.append(column + first_truth)
        values.append(matrix[row, column])
        first_found, first_truth = first_found + matrix.shape[0], first_truth + matrix.shape[1]
    row, column = np.concatenate(rows), np.concatenate(columns)
    return Overlaps(row, column, np.concatenate(values), found.label[row] == truth.label[column])


def _concatenate(columns: Sequence[Any], dtype: Any) -> Array:
    return np.concatenate([np.zeros(0, dtype), *(np.asarray(column, dtype) for column in columns)])


def _concatenate_boxes(images: Sequence[Any]) -> Array:
    boxes = [np.asarray(image["boxes"], np.float64).reshape(-1, 4) for image in images]
    return np.concatenate([np.zeros((0, 4)), *boxes])
