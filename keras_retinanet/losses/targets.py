"""What a classification loss compares the logits with."""

from __future__ import annotations

from typing import NamedTuple

from keras_retinanet.schema import Tensor


class ClassTargets(NamedTuple):
    """Targets of a batch, one entry per anchor.

    Attributes:
        labels: `(B, A)` int: class of the assigned box; read where `anchor_labels` is 1.
        anchor_labels: `(B, A)` int: 1 object, 0 background, -1 ignored.
        quality: `(B, A)` float32 in `0 … 1`: IoU of the predicted with the assigned box, without gradient; read where
            `anchor_labels` is 1. `None` unless the loss has `uses_quality`.
        anchors: `(A, 4)` in pixels; read by losses that choose anchors by their overlap.
    """

    labels: Tensor
    anchor_labels: Tensor
    quality: Tensor | None = None
    anchors: Tensor | None = None
