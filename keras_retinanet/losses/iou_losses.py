"""Losses on decoded boxes: one minus a generalised, distance or complete IoU."""

from __future__ import annotations

from keras import ops

from keras_retinanet.geometry import boxes
from keras_retinanet.schema import Tensor


def giou_loss(predicted: Tensor, target: Tensor, beta: float = 0.0) -> Tensor:
    """`1 - GIoU` of boxes `(..., 4)` in pixels, `(...)` float32; `beta` is not used."""
    del beta
    return 1.0 - boxes.giou(ops.cast(predicted, "float32"), ops.cast(target, "float32"))


def diou_loss(predicted: Tensor, target: Tensor, beta: float = 0.0) -> Tensor:
    """`1 - DIoU` of boxes `(..., 4)` in pixels, `(...)` float32; `beta` is not used."""
    del beta
    return 1.0 - boxes.diou(ops.cast(predicted, "float32"), ops.cast(target, "float32"))


def ciou_loss(predicted: Tensor, target: Tensor, beta: float = 0.0) -> Tensor:
    """`1 - CIoU` of boxes `(..., 4)` in pixels, `(...)` float32; `beta` is not used."""
    del beta
    return 1.0 - boxes.ciou(ops.cast(predicted, "float32"), ops.cast(target, "float32"))
