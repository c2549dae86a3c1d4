"""The 12 numbers of the COCO challenge, and the AP of each class.

Reference: https://cocodataset.org/#detection-eval; numerics of pycocotools 2.0, computed by faster-coco-eval.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster
from numpy.typing import NDArray

from keras_retinanet.evaluation.detections import pair_detections
from keras_retinanet.evaluation.metric import EvaluationResult, count_boxes
from keras_retinanet.schema import Detections, Sample

Array = NDArray[Any]

STATS = {
    "AP": "mean AP of IoU 0.50 … 0.95",
    "AP50": "AP at IoU 0.50",
    "AP75": "AP at IoU 0.75",
    "APs": "AP of small objects, below 32² px",
    "APm": "AP of medium objects",
    "APl": "AP of large objects, above 96² px",
    "AR1": "recall with 1 detection per image",
    "AR10": "recall with 10 detections per image",
    "AR100": "recall with 100 detections per image",
    "ARs": "recall of small objects",
    "ARm": "recall of medium objects",
    "ARl": "recall of large objects",
}
"""The 12 numbers in COCO's order, with their meaning."""


def evaluate(
    samples: Sequence[Sample], detections: Sequence[Detections], class_names: Sequence[str]
) -> EvaluationResult:
    """Compares detections with annotations as the COCO challenge does.

    Boxes marked `ignore` are crowd regions: detections inside them count neither as right nor as wrong. Objects are
    small, medium or large by `sample["areas"]`, or by the area of their box if a sample has no areas. Images are
    ordered by id, as in pycocotools, so that ties in score give the same numbers.

    Args:
        samples: Annotated images.
        detections: Detections with boxes in pixels of the image files; images without any may be left out.
        class_names: Names of the labels `0 … K-1`.

    Returns:
        `stats` has the 12 numbers by the names of `STATS`, -1 where no annotated box contributes to a number;
        `per_class` has `"AP"` and `"AP50"`.

    Raises:
        ValueError: Detections of an unknown image, or a label outside `0 … K-1`.
    """
    pairs = pair_detections(samples, detections, len(class_names))
    pairs.sort(key=lambda pair: (isinstance(pair[0]["image_id"], str), pair[0]["image_id"]))
    truth = [sample for sample, _ in pairs]
    found = [entry for _, entry in pairs]
    labels, ignore = _concatenate(truth, "labels", np.int64), _concatenate(truth, "ignore", bool)
    scores = _concatenate(found, "scores", np.float64).tolist()
    stats, precision = _run_coco_eval(
        _records(truth, labels, _areas(truth), iscrowd=ignore.astype(int).tolist()),
        _records(found, _concatenate(found, "labels", np.int64), None, score=scores),
        len(pairs),
        len(class_names),
    )
    return EvaluationResult(
        stats=dict(zip(STATS, stats, strict=True)),
        captions=STATS,
        class_names=tuple(class_names),
        per_class={"AP": _class_means(precision), "AP50": _class_means(precision[:1])},
        num_boxes=count_boxes(labels, ignore, len(class_names)),
        num_images=len(pairs),
        num_detections=sum(len(entry["scores"]) for entry in found),
    )


def _concatenate(images: Sequence[Any], name: str, dtype: Any) -> Array:
    """Concatenates an array over all images."""
    return np.concatenate([np.asarray(image[name], dtype) for image in images] or [np.zeros(0, dtype)])


def _areas(samples: Sequence[Sample]) -> Array:
    """Area of every annotated box: the annotated one, else that of the box."""
    areas = [np.asarray(sample.get("areas", _box_areas(sample)), np.float64) for sample in samples]
    return np.concatenate(areas or [np.zeros(0)])


def _box_areas(sample: Sample) -> Array:
    boxes = np.asarray(sample["boxes"], np.float64).reshape(-1, 4)
    return np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)


def _records(images: Sequence[Any], labels: Array, areas: Array | None, **columns: list[Any]) -> list[dict[str, Any]]:
    """COCO's annotation dicts, ids from 1; `image_id` is the index of the image."""
    boxes = np.concatenate([np.asarray(image["boxes"], np.float64).reshape(-1, 4) for image in images] or [_NO_BOXES])
    boxes[:, 2:] -= boxes[:, :2]  # (N, 4) x, y, width, height
    table = {
        "id": range(1, len(boxes) + 1),
        "image_id": np.repeat(np.arange(len(images)), [len(image["labels"]) for image in images]).tolist(),
        "category_id": labels.tolist(),
        "bbox": boxes.tolist(),
        "area": (np.prod(boxes[:, 2:], axis=1) if areas is None else areas).tolist(),
        "iscrowd": [0] * len(boxes),
        **columns,
    }
    return [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]


_NO_BOXES = np.zeros((0, 4))


def _run_coco_eval(
    truth: list[dict[str, Any]], found: list[dict[str, Any]], num_images: int, num_classes: int
) -> tuple[list[float], Array]:
    """The 12 numbers, and precision `(10 IoU thresholds, 101 recalls, K)`, -1 for classes without a box."""
    if not num_images or not num_classes:
        return [-1.0] * len(STATS), np.full((10, 101, num_classes), -1.0)
    table = {
        "images": [{"id": index} for index in range(num_images)],
        "categories": [{"id": label} for label in range(num_classes)],
    }
    sides = [COCO(table | {"annotations": rows}) for rows in (truth, found)]
    evaluator = COCOeval_faster(*sides, iouType="bbox", print_function=_ignore_output)
    evaluator.run()
    stats = [float(value) for value in evaluator.stats[: len(STATS)]]
    return stats, np.asarray(evaluator.eval["precision"])[:, :, :, 0, -1]


def _ignore_output(*_: Any) -> None:
    """Replaces `print` in faster-coco-eval."""


def _class_means(precision: Array) -> Array:
    """`(K,)` mean of `(T, R, K)` over thresholds and recalls; nan for classes without a box."""
    means: Array = precision.mean(axis=(0, 1))
    return np.where(precision[0, 0] > -1, means, np.nan)
