"""The precision and recall that COCO's numbers are means of, from hotcoco, or pycocotools where that is missing.

Nothing else imports either package. Both give the same numbers, to the last bit; hotcoco takes a tenth of the time and,
fed in blocks of images, of the memory of others.

Reference: https://cocodataset.org/#detection-eval
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from keras_retinanet.evaluation.columns import Found, Pairs, Truth

Array = NDArray[Any]
Engine = Literal["hotcoco", "pycocotools"]

IOU_THRESHOLDS: tuple[float, ...] = tuple(np.linspace(0.5, 0.95, 10).tolist())
"""COCO's IoU thresholds 0.50, 0.55 … 0.95, with pycocotools' rounding."""
MAX_DETECTIONS = (1, 10, 100)
"""COCO's limits on the detections of a class in an image."""
_MAX_ROWS = 2_000_000  # detections matched at a time, about 80 bytes each


class Curves(NamedTuple):
    """What the numbers are means of; -1 where a class has no box of that size.

    Attributes:
        precision: `(T, 101, K, 4, M)` at T IoU thresholds, the recalls 0, 0.01 … 1, K classes, the sizes all, small,
            medium and large, and M limits on the detections of a class in an image.
        recall: `(T, K, 4, M)`.
    """

    precision: Array
    recall: Array


def compute_curves(
    pairs: Pairs,
    truth: Truth,
    num_classes: int,
    *,
    iou_thresholds: Sequence[float] = IOU_THRESHOLDS,
    max_detections: Sequence[int] = MAX_DETECTIONS,
    score_threshold: float | None = None,
    engine: Engine | None = None,
) -> Curves:
    """Matches detections with annotations as COCO does.

    Boxes marked `ignore` are crowd regions. Millions of detections are matched some classes at a time.

    Args:
        pairs: Annotations and detections of each image; of equal scores, those of earlier images come first.
        truth: The annotations of `pairs` as columns.
        num_classes: int, `K`.
        iou_thresholds: `T` floats.
        max_detections: `M` ints, ascending.
        score_threshold: Only detections that score above it count. Defaults to all.
        engine: `"hotcoco"` or `"pycocotools"`. Defaults to the first that is installed.

    Returns:
        Precision and recall.

    Raises:
        ImportError: Neither package is installed.
    """
    limits, thresholds = [int(limit) for limit in max_detections], [float(value) for value in iou_thresholds]
    if not len(pairs) or not num_classes:
        shape = len(thresholds), num_classes, 4, len(limits)
        return Curves(np.full((shape[0], 101, *shape[1:]), -1.0), np.full(shape, -1.0))
    run = {"hotcoco": _run_hotcoco, "pycocotools": _run_pycocotools}[engine or installed_engine()]
    least = -np.inf if score_threshold is None else score_threshold
    parts = [run(pairs, truth, classes, thresholds, limits, least) for classes in _groups(pairs, num_classes)]
    precision, recall = ([np.asarray(part[name]) for part in parts] for name in ("precision", "recall"))
    return Curves(np.concatenate(precision, axis=2), np.concatenate(recall, axis=1))


def installed_engine() -> Engine:
    """The package that computes COCO's numbers here.

    Returns:
        `"hotcoco"` where it is installed, else `"pycocotools"`.

    Raises:
        ImportError: Neither is installed.
    """
    for name in get_args(Engine):
        if importlib.util.find_spec(name) is not None:
            return name
    raise ImportError("COCO's numbers need hotcoco, or pycocotools where that has no wheel: pip install hotcoco")


def _run_hotcoco(
    pairs: Pairs, truth: Truth, classes: Sequence[int], thresholds: list[float], limits: list[int], least: float
) -> dict[str, Any]:
    import hotcoco

    params = hotcoco.Params("bbox")
    params.iou_thrs, params.max_dets = thresholds, limits
    stream = hotcoco.StreamingEval(_categories(classes), params=params)
    for first, end, found in pairs.blocks():
        images = [{"id": image} for image in range(first, end)]
        stream.update(images, _annotations(truth, classes, first, end), _rows(found, first, classes, least))
    evaluator = stream.finalize()
    evaluator.accumulate()
    return evaluator.eval or {}


def _run_pycocotools(
    pairs: Pairs, truth: Truth, classes: Sequence[int], thresholds: list[float], limits: list[int], least: float
) -> dict[str, Any]:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    rows = np.concatenate([_rows(found, first, classes, least) for first, _, found in pairs.blocks()])
    found = [
        {"id": k + 1, "image_id": int(image), "category_id": int(label), "bbox": box, "area": box[2] * box[3],
         "score": score, "iscrowd": 0}
        for k, (image, *box, score, label) in enumerate(rows.tolist())
    ]  # fmt: skip
    table = {"images": [{"id": index} for index in range(len(pairs))], "categories": _categories(classes)}
    with contextlib.redirect_stdout(io.StringIO()):
        sides = [COCO(), COCO()]
        for side, annotations in zip(sides, (_annotations(truth, classes, 0, len(pairs)), found), strict=True):
            side.dataset = {**table, "annotations": annotations}
            side.createIndex()
        evaluator = COCOeval(*sides, "bbox")
        evaluator.params.iouThrs, evaluator.params.maxDets = np.array(thresholds), limits
        evaluator.evaluate()
        evaluator.accumulate()
    return evaluator.eval


def _groups(pairs: Pairs, num_classes: int) -> list[range]:
    """Ranges of classes with few enough detections each; the numbers of a class do not depend on other classes."""
    if pairs.num_detections() <= _MAX_ROWS:
        return [range(num_classes)]
    counts = np.zeros(num_classes, np.int64)
    for _, _, found in pairs.blocks():
        counts += np.bincount(found.labels, minlength=num_classes)
    first, groups = 0, []
    for label in range(1, num_classes + 1):
        if label == num_classes or counts[first : label + 1].sum() > _MAX_ROWS:
            groups.append(range(first, label))
            first = label
    return groups


def _categories(classes: Sequence[int]) -> list[dict[str, Any]]:
    return [{"id": label, "name": str(label)} for label in classes]


def _annotations(truth: Truth, classes: Sequence[int], first: int, end: int) -> list[dict[str, Any]]:
    """COCO's annotations; the id of an image is its index, boxes count from 1: pycocotools never matches an id of 0."""
    rows = np.arange(truth.splits[first], truth.splits[end])
    rows = rows[_are_among(truth.labels[rows], classes)]
    image = np.searchsorted(truth.splits, rows, side="right") - 1
    columns = {
        "id": rows + 1,
        "image_id": image,
        "category_id": truth.labels[rows],
        "bbox": _xywh(truth.boxes[rows]),
        "area": truth.areas[rows],
        "iscrowd": truth.ignore[rows].astype(int),
    }
    return [dict(zip(columns, row, strict=True)) for row in zip(*(c.tolist() for c in columns.values()), strict=True)]


def _rows(found: Found, first: int, classes: Sequence[int], least: float) -> Array:
    """`(D, 7)` float64 image, x, y, width, height, score, label of the detections of these classes that count."""
    rows = np.flatnonzero(_are_among(found.labels, classes) & (found.scores > least))
    columns = found.image[rows] + first, _xywh(found.boxes[rows]), found.scores[rows], found.labels[rows]
    return np.column_stack([np.asarray(column, np.float64) for column in columns])


def _are_among(labels: Array, classes: Sequence[int]) -> Array:
    return (labels >= classes[0]) & (labels <= classes[-1])


def _xywh(boxes: Array) -> Array:
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
