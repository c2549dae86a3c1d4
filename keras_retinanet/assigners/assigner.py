"""What an assigner gets and returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from keras import ops

from keras_retinanet.schema import Tensor


class AssignerInputs(NamedTuple):
    """A batch as assigners see it. Boxes are in pixels, `(x1, y1, x2, y2)`.

    Attributes:
        level_anchors: `(A_level, 4)` per pyramid level, finest first, the same for all images. Within a level anchors
            are ordered by row, column and anchor of the cell.
        anchors_per_cell: Anchors at each position, one number per level.
        boxes: `(B, N, 4)`; an assigner is given at least one row.
        labels: `(B, N)` int; padding is negative.
        ignore: `(B, N)` bool, or int with 1 for ignore regions.
        sizes: `(B, 2)`: height and width of each image before padding.
        predicted_boxes: `(B, A, 4)`, decoded, without gradient. Given only to assigners with `uses_predictions`.
        logits: `(B, A, K)`, without gradient. Given only to assigners with `uses_predictions`.
    """

    level_anchors: tuple[Tensor, ...]
    anchors_per_cell: tuple[int, ...]
    boxes: Tensor
    labels: Tensor
    ignore: Tensor
    sizes: Tensor
    predicted_boxes: Tensor | None = None
    logits: Tensor | None = None

    @property
    def anchors(self) -> Tensor:
        """`(A, 4)`: the anchors of all levels."""
        return ops.concatenate(self.level_anchors, axis=0)


def with_a_row(boxes: Tensor, labels: Tensor, ignore: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The boxes of a batch with one row of padding if there is none, so that there is a row to point at.

    Args:
        boxes: `(B, N, 4)`.
        labels: `(B, N)` int.
        ignore: `(B, N)` bool, or int with 1 for ignore regions.

    Returns:
        The three, with a row where N is 0; N may be known only when the batch arrives.
    """
    count = boxes.shape[1]
    if count:
        return boxes, labels, ignore
    missing = 1 if count == 0 else ops.cast(ops.shape(boxes)[1] == 0, "int32")
    rows = ops.zeros((ops.shape(boxes)[0], missing, 4), boxes.dtype)
    labels = ops.concatenate([labels, ops.cast(rows[..., 0] - 1, labels.dtype)], axis=1)
    ignore = ops.concatenate([ignore, ops.cast(rows[..., 0], ignore.dtype)], axis=1)
    return ops.concatenate([boxes, rows], axis=1), labels, ignore


class Assignment(NamedTuple):
    """Which anchor learns which box.

    Attributes:
        anchor_labels: `(B, A)` int32: 1 object, 0 background, -1 ignored.
        matched_idxs: `(B, A)` int32: row in `boxes` of the assigned box; read where `anchor_labels` is 1.
        quality: `(B, A)` float32 in `0 … 1`: target score of the assigned box, for losses with `uses_quality`.
            `None` leaves it to the model, which takes the IoU of the predicted with the assigned box.
    """

    anchor_labels: Tensor
    matched_idxs: Tensor
    quality: Tensor | None = None


@dataclass(frozen=True)
class Assigner:
    """A rule that assigns anchors to boxes.

    An assigner is most easily written for one image and mapped over the batch by `per_image.assign_each_image`, as
    those here are. One that `uses_predictions` ranks anchors by what they predict, as `task_aligned` does; it may
    return the target scores of its objects as `quality`.

    Attributes:
        function: `(AssignerInputs, **constants) → Assignment`.
        constants: The fields of `AssignerConfig` that it takes as keyword arguments.
        uses_predictions: Set `AssignerInputs.predicted_boxes` and `logits`.
    """

    function: Callable[..., Assignment]
    constants: tuple[str, ...] = ()
    uses_predictions: bool = False
