"""Detections as objects of supervision and FiftyOne."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from keras_retinanet.extras import Extra, install_hint
from keras_retinanet.schema import DetectedImage


def to_supervision(found: DetectedImage) -> Any:
    """Converts the detections of an image for supervision's annotators, trackers and zones.

    Args:
        found: What `Detector` found.

    Returns:
        `supervision.Detections`, with the class names in `data["class_name"]`.

    Raises:
        ImportError: supervision is not installed.

    Example:
        >>> found = keras_retinanet.detect("snapshots/RUN", "street.jpg")
        >>> supervision.BoxAnnotator().annotate(image, to_supervision(found))
    """
    supervision = _import("supervision", "supervision")
    return supervision.Detections(
        xyxy=np.asarray(found.boxes, np.float32).reshape(-1, 4),
        confidence=np.asarray(found.scores, np.float32),
        class_id=np.asarray(found.labels, int),
        data={"class_name": np.array(found.names, dtype=str)},
    )


def to_fiftyone(found: DetectedImage) -> Any:
    """Converts the detections of an image for a field of a FiftyOne sample.

    Args:
        found: What `Detector` found; its size is known.

    Returns:
        `fiftyone.Detections`, boxes as shares of the image.

    Raises:
        ImportError: FiftyOne is not installed.
        ValueError: The image could not be read.

    Example:
        >>> for sample in dataset:
        ...     sample["found"] = to_fiftyone(detector.detect_one(sample.filepath))
        ...     sample.save()
    """
    fiftyone = _import("fiftyone", "fiftyone")
    if found.size is None:
        raise ValueError(f"{found.image} could not be read, so its size is unknown: {found.error}")
    height, width = found.size
    corners = np.asarray(found.boxes, np.float64).reshape(-1, 4) / [width, height, width, height]
    boxes = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1).tolist()
    return fiftyone.Detections(
        detections=[
            fiftyone.Detection(label=name, bounding_box=box, confidence=float(score))
            for name, box, score in zip(found.names, boxes, found.scores, strict=True)
        ]
    )


def _import(name: str, extra: Extra) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise ImportError(f"{name} is not installed: {install_hint(extra)}") from None
