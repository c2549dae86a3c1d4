"""The training objective: anchors are assigned to boxes, predictions are compared with them, sums are normalised."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from keras import ops

from keras_retinanet.assigners import ASSIGNERS, AssignerInputs, Assignment, assign, with_a_row
from keras_retinanet.config import AssignerConfig, LossConfig
from keras_retinanet.geometry.background import without_background
from keras_retinanet.geometry.box_coder import BoxCoder
from keras_retinanet.geometry.boxes import iou
from keras_retinanet.losses import (
    BOX_LOSSES,
    CLASSIFICATION_LOSSES,
    ClassTargets,
    class_constants,
    distribution_focal,
    soft_cross_entropy,
)
from keras_retinanet.schema import Predictions, Targets, Tensor


class LossTerms(NamedTuple):
    """The parts of the loss, scalars in float32; those that the network does not have are `None`.

    Attributes:
        classification: Loss of the class scores.
        box: Loss of the boxes, times its weight.
        distribution: Distribution focal loss, times its weight.
        quality: Loss of the predicted IoU, times its weight.
        objects: Anchors of the global batch that are objects.
    """

    classification: Tensor
    box: Tensor
    distribution: Tensor | None = None
    quality: Tensor | None = None
    objects: Tensor | None = None


class DetectionLoss:
    """Compares predictions with targets.

    Args:
        box_coder: The network's box coder.
        anchors_per_cell: Anchors at each position, one number per level.
        assigner_config: Which anchor learns which box.
        loss_config: Names and constants of the losses.
    """

    def __init__(
        self,
        box_coder: BoxCoder,
        anchors_per_cell: tuple[int, ...],
        assigner_config: AssignerConfig,
        loss_config: LossConfig,
    ) -> None:
        self.box_coder, self.anchors_per_cell = box_coder, anchors_per_cell
        self.assigner_config, self.config = assigner_config, loss_config
        self.uses_predictions = ASSIGNERS[assigner_config.assigner].uses_predictions

    def __call__(self, y: Targets, y_pred: Predictions, all_reduce_sum: Callable[[Tensor], Tensor]) -> LossTerms:
        """The loss of a batch.

        Sums over the batch are divided by the objects of the global batch, at least 1; losses whose objects have
        weights or target scores by the sum of these.

        Args:
            y: Targets of the batch.
            y_pred: Predictions for the batch.
            all_reduce_sum: Sums a scalar over replicas.

        Returns:
            The parts of the loss.
        """
        anchors = ops.concatenate(list(y_pred["anchors"].values()), axis=1)[0]  # (A, 4)
        deltas = ops.cast(y_pred["deltas"], "float32")
        decoded = self.box_coder(deltas, anchors[None]) if self._needs_decoded_boxes(y_pred) else None  # (B, A, 4)
        assignment = self.assign(y, y_pred, decoded)
        labels, matched = _gather_targets(y, assignment, anchors)
        is_object = assignment.anchor_labels == 1

        def share_of(weights: Tensor) -> Tensor:
            return 1.0 / ops.maximum(all_reduce_sum(ops.sum(weights)), 1.0)

        objects = all_reduce_sum(ops.sum(ops.cast(is_object, "float32")))
        per_object = 1.0 / ops.maximum(objects, 1.0)
        quality = self._quality(assignment, decoded, matched)
        targets = ClassTargets(labels, assignment.anchor_labels, quality, anchors)
        loss = CLASSIFICATION_LOSSES[self.config.classification]
        class_sum = loss.function(y_pred["logits"], targets, **class_constants(self.config))
        has_target_scores = loss.uses_quality and assignment.quality is not None
        if loss.is_mean:
            class_share = share_of(ops.ones(()))
        else:
            class_share = share_of(ops.where(is_object, assignment.quality, 0.0)) if has_target_scores else per_object
        weights = self._box_weights(y_pred["logits"], quality)
        box_share = per_object if weights is None else share_of(ops.where(is_object, weights, 0.0))

        def box_sum(values: Tensor) -> Tensor:
            values = values if weights is None else values * weights
            return ops.sum(ops.where(is_object, values, 0.0)) * box_share

        return LossTerms(
            class_sum * class_share,
            box_sum(self._box_values(deltas, decoded, anchors, matched)) * self.config.box_weight,
            self._distribution_loss(deltas, anchors, matched, box_sum),
            self._quality_loss(y_pred, decoded, matched, is_object, per_object),
            objects,
        )

    def _needs_decoded_boxes(self, y_pred: Predictions) -> bool:
        """True if a loss or the assigner compares predicted boxes in pixels."""
        return (
            BOX_LOSSES[self.config.box].is_on_boxes
            or self.box_coder.has_distribution
            or CLASSIFICATION_LOSSES[self.config.classification].uses_quality
            or self.config.box_weighting == "quality"
            or "quality" in y_pred
            or self.uses_predictions
        )

    def assign(self, y: Targets, y_pred: Predictions, decoded: Tensor | None) -> Assignment:
        """Which anchors learn which boxes.

        Args:
            y: Targets of the batch.
            y_pred: Predictions for the batch.
            decoded: Predicted boxes `(B, A, 4)` in pixels; read by assigners that use predictions.

        Returns:
            Anchor labels and box indices `(B, A)`.
        """
        inputs = AssignerInputs(
            level_anchors=tuple(anchors[0] for anchors in y_pred["anchors"].values()),
            anchors_per_cell=self.anchors_per_cell,
            boxes=ops.convert_to_tensor(y["boxes"]),
            labels=ops.convert_to_tensor(y["labels"]),
            ignore=ops.convert_to_tensor(y["ignore"]),
            sizes=ops.convert_to_tensor(y["size"]),
            predicted_boxes=ops.stop_gradient(decoded) if self.uses_predictions else None,
            logits=ops.stop_gradient(self._class_logits(y_pred["logits"])) if self.uses_predictions else None,
        )
        return assign(self.assigner_config, inputs)

    def _class_logits(self, logits: Tensor) -> Tensor:
        has_background = CLASSIFICATION_LOSSES[self.config.classification].has_background
        return without_background(logits) if has_background else logits

    def _quality(self, assignment: Assignment, decoded: Tensor | None, matched: Tensor) -> Tensor | None:
        """`(B, A)` without gradient, where a loss reads it: the assigner's, else the IoU of the predicted box."""
        is_read = CLASSIFICATION_LOSSES[self.config.classification].uses_quality
        if not (is_read or self.config.box_weighting == "quality"):
            return None
        return ops.stop_gradient(iou(decoded, matched) if assignment.quality is None else assignment.quality)

    def _box_weights(self, logits: Tensor, quality: Tensor | None) -> Tensor | None:
        """Weight of each anchor in the losses of its box, `(B, A)`; `None` where all weigh the same."""
        if self.config.box_weighting == "score":
            best = ops.max(self._class_logits(logits), axis=-1)
            return ops.stop_gradient(ops.sigmoid(ops.cast(best, "float32")))
        return quality if self.config.box_weighting == "quality" else None

    def _box_values(self, deltas: Tensor, decoded: Tensor | None, anchors: Tensor, matched: Tensor) -> Tensor:
        """Box loss of each anchor `(B, A)`; that of a distribution compares its mean."""
        loss = BOX_LOSSES[self.config.box]
        predicted, target = decoded, matched
        if not loss.is_on_boxes:
            predicted = self.box_coder.encode(decoded, anchors[None]) if self.box_coder.has_distribution else deltas
            target = self.box_coder.encode(matched, anchors[None])
        return loss.function(predicted, target, self.config.beta)

    def _distribution_loss(
        self, deltas: Tensor, anchors: Tensor, matched: Tensor, box_sum: Callable[[Tensor], Tensor]
    ) -> Tensor | None:
        if not self.box_coder.has_distribution:
            return None
        distances = self.box_coder.encode(matched, anchors[None])
        return box_sum(distribution_focal(deltas, distances)) * self.config.dfl_weight

    def _quality_loss(
        self, y_pred: Any, decoded: Tensor | None, matched: Tensor, is_object: Tensor, per_object: Tensor
    ) -> Tensor | None:
        """Cross entropy of the predicted IoU with that of the predicted box, over objects."""
        if "quality" not in y_pred:
            return None
        target = ops.stop_gradient(iou(decoded, matched))
        values = soft_cross_entropy(ops.cast(y_pred["quality"][..., 0], "float32"), target)
        return ops.sum(ops.where(is_object, values, 0.0)) * per_object * self.config.quality_weight


def _gather_targets(y: Targets, assignment: Assignment, anchors: Tensor) -> tuple[Tensor, Tensor]:
    """Label `(B, A)` and box `(B, A, 4)` assigned to each anchor; the box of background is the anchor itself."""
    boxes, labels, _ = with_a_row(*(ops.convert_to_tensor(y[name]) for name in ("boxes", "labels", "ignore")))
    labels = ops.take_along_axis(labels, assignment.matched_idxs, axis=1)
    own = ops.take_along_axis(boxes, assignment.matched_idxs[..., None], axis=1)
    return labels, ops.where((assignment.anchor_labels == 1)[..., None], own, anchors[None])
