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

from keras_retinanet.schema import Detections, Sample

Array = NDArray[Any]
Pairs = Sequence[tuple[Sample, Detections]]
Engine = Literal["hotcoco", "pycocotools"]

IOU_THRESHOLDS: tuple[float, ...] = tuple(np.linspace(0.5, 0.95, 10).tolist())
"""COCO's IoU thresholds 0.50, 0.55 … 0.95, with pycocotools' rounding."""
MAX_DETECTIONS = (1, 10, 100)
"""COCO's limits on the detections of a class in an image."""
_BLOCK = 512  # images converted at a time


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
    num_classes: int,
    *,
    iou_thresholds: Sequence[float] = IOU_THRESHOLDS,
    max_detections: Sequence[int] = MAX_DETECTIONS,
    engine: Engine | None = None,
) -> Curves:
    """Matches detections with annotations as COCO does.

    Boxes marked `ignore` are crowd regions. The size of an object is its `areas`, or the area of its box.

    Args:
        pairs: Annotations and detections of each image; of equal scores, those of earlier images come first.
        num_classes: int, `K`.
        iou_thresholds: `T` floats.
        max_detections: `M` ints, ascending.
        engine: `"hotcoco"` or `"pycocotools"`. Defaults to the first that is installed.

    Returns:
        Precision and recall.

    Raises:
        ImportError: Neither package is installed.
    """
    limits, thresholds = [int(limit) for limit in max_detections], [float(value) for value in iou_thresholds]
    if not pairs or not num_classes:
        shape = len(thresholds), num_classes, 4, len(limits)
        return Curves(np.full((shape[0], 101, *shape[1:]), -1.0), np.full(shape, -1.0))
    run = {"hotcoco": _run_hotcoco, "pycocotools": _run_pycocotools}[engine or installed_engine()]
    evaluated = run(pairs, num_classes, thresholds, limits)
    return Curves(np.asarray(evaluated["precision"]), np.asarray(evaluated["recall"]))


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


def _run_hotcoco(pairs: Pairs, num_classes: int, thresholds: list[float], limits: list[int]) -> dict[str, Any]:
    import hotcoco

    params = hotcoco.Params("bbox")
    params.iou_thrs, params.max_dets = thresholds, limits
    stream = hotcoco.StreamingEval(_categories(num_classes), params=params)
    num_boxes = 0
    for first in range(0, len(pairs), _BLOCK):
        block = pairs[first : first + _BLOCK]
        truth = _annotations(block, first, num_boxes)
        num_boxes += len(truth)
        stream.update([{"id": first + index} for index in range(len(block))], truth, _detection_rows(block, first))
    evaluator = stream.finalize()
    evaluator.accumulate()
    return evaluator.eval or {}


def _run_pycocotools(pairs: Pairs, num_classes: int, thresholds: list[float], limits: list[int]) -> dict[str, Any]:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    rows = _detection_rows(pairs, 0)
    found = [
        {"id": k + 1, "image_id": int(image), "category_id": int(label), "bbox": box, "area": box[2] * box[3],
         "score": score, "iscrowd": 0}
        for k, (image, *box, score, label) in enumerate(rows.tolist())
    ]  # fmt: skip
    table = {"images": [{"id": index} for index in range(len(pairs))], "categories": _categories(num_classes)}
    with contextlib.redirect_stdout(io.StringIO()):
        sides = [COCO(), COCO()]
        for side, annotations in zip(sides, (_annotations(pairs, 0, 0), found), strict=True):
            side.dataset = {**table, "annotations": annotations}
            side.createIndex()
        evaluator = COCOeval(*sides, "bbox")
        evaluator.params.iouThrs, evaluator.params.maxDets = np.array(thresholds), limits
        evaluator.evaluate()
        evaluator.accumulate()
    return evaluator.eval


def _categories(num_classes: int) -> list[dict[str, Any]]:
    return [{"id": label, "name": str(label)} for label in range(num_classes)]


def _annotations(pairs: Pairs, first_image: int, first_box: int) -> list[dict[str, Any]]:
    """COCO's annotations; the id of an image is its index, boxes count from 1: pycocotools never matches an id of 0."""
    boxes = _xywh([sample for sample, _ in pairs])
    areas = [
        np.asarray(sample["areas"], np.float64) if "areas" in sample else np.full(len(sample["labels"]), np.nan)
        for sample, _ in pairs
    ]
    area = np.concatenate(areas)
    columns = {
        "id": range(first_box + 1, first_box + 1 + len(boxes)),
        "image_id": _image_indices([sample for sample, _ in pairs], first_image).tolist(),
        "category_id": _concatenate([sample for sample, _ in pairs], "labels", np.int64).tolist(),
        "bbox": boxes.tolist(),
        "area": np.where(np.isnan(area), boxes[:, 2] * boxes[:, 3], area).tolist(),
        "iscrowd": _concatenate([sample for sample, _ in pairs], "ignore", bool).astype(int).tolist(),
    }
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _detection_rows(pairs: Pairs, first_image: int) -> Array:
    """`(D, 7)` float64 image, x, y, width, height, score, label."""
    found = [entry for _, entry in pairs]
    columns = _image_indices(found, first_image), _xywh(found)
    scores, labels = _concatenate(found, "scores", np.float64), _concatenate(found, "labels", np.float64)
    return np.column_stack([*columns, scores, labels])


def _image_indices(images: Sequence[Any], first: int) -> Array:
    return np.repeat(np.arange(first, first + len(images)), [len(image["labels"]) for image in images])


def _xywh(images: Sequence[Any]) -> Array:
    boxes = np.concatenate([np.asarray(image["boxes"], np.float64).reshape(-1, 4) for image in images])
    boxes[:, 2:] -= boxes[:, :2]
    return boxes


def _concatenate(images: Sequence[Any], name: str, dtype: Any) -> Array:
    return np.concatenate([np.asarray(image[name], dtype) for image in images])
