"""The loss of a batch as `RetinaNet` is trained by it, and what is recorded of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from keras import ops

from keras_retinanet.model.detection_loss import DetectionLoss
from keras_retinanet.model.replicas import Replicas, current_replicas
from keras_retinanet.model.target_checks import require_entries
from keras_retinanet.schema import Predictions, Targets, Tensor

MAX_NAN_BATCH_INDICES = 64
"""Largest number of image indices that are kept of a batch whose loss is not finite."""


class BatchLoss(NamedTuple):
    """The loss of a batch; under `tf.distribute` the share of this replica. Scalars in float32.

    Attributes:
        terms: Parts of the loss by name.
        loss: Their sum, with the penalties of layers.
        objects: Anchors of the global batch that are objects.
    """

    terms: Mapping[str, Tensor]
    loss: Tensor
    objects: Tensor

    def times(self, factor: Tensor) -> BatchLoss:
        """The losses times a factor.

        Args:
            factor: Scalar.

        Returns:
            The product; the number of objects is as before.
        """
        terms = {name: value * factor for name, value in self.terms.items()}
        return BatchLoss(terms, self.loss * factor, self.objects)


def batch_loss(model: Any, targets: Targets, predictions: Predictions, replicas: Replicas) -> BatchLoss:
    """The loss and its parts; nothing is recorded.

    Args:
        model: RetinaNet. The network.
        targets: Targets of the batch.
        predictions: Predictions for the batch.
        replicas: Those whose batches are one global batch.

    Returns:
        The loss.
    """
    require_entries(targets)
    targets = _with_usual_dtypes(targets)
    objective = DetectionLoss(model.box_coder, model.anchors.num_anchors, model.assigner_config, model.loss_config)
    found = objective(targets, predictions, replicas.all_reduce_sum)
    terms = {name: getattr(found, name) for name in model.loss_trackers}
    loss = sum(terms.values())
    for penalty in model.losses:
        loss = loss + ops.sum(penalty) / replicas.num_replicas
    return BatchLoss(terms, loss, found.objects)


def _with_usual_dtypes(targets: Targets) -> Targets:
    """The targets as `Targets` states them: users have sizes as integers, labels of 64 bits, `ignore` as booleans."""
    return Targets(
        boxes=ops.cast(targets["boxes"], "float32"),
        labels=ops.cast(targets["labels"], "int32"),
        ignore=ops.cast(targets["ignore"], "int32"),
        size=ops.cast(targets["size"], "float32"),
        image_index=targets["image_index"],
    )


def track_loss(model: Any, found: BatchLoss, image_index: Tensor) -> None:
    """Updates the mean of each part of the loss, and keeps the images of the first batch that is not finite.

    Args:
        model: RetinaNet. The network.
        found: The loss of the batch.
        image_index: `(B,)` int. Images of the batch.
    """
    replicas = current_replicas()
    for name, tracker in model.loss_trackers.items():
        tracker.update_state(found.terms[name] * replicas.num_replicas)
    index = ops.cast(ops.reshape(image_index, (-1,)), "int32")[:MAX_NAN_BATCH_INDICES]
    row = ops.concatenate([index, ops.full((MAX_NAN_BATCH_INDICES,), -1, dtype="int32")])[:MAX_NAN_BATCH_INDICES]
    kept = model.nan_batch_indices.value
    is_new = ops.logical_and(ops.logical_not(ops.isfinite(found.loss)), kept[0] < 0)
    model.nan_batch_indices.assign(ops.where(is_new, row, kept))
