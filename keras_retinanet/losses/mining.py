"""Choosing the anchors that learn: hard examples (OHEM) and hard negatives (SSD)."""

from __future__ import annotations

import functools
from collections.abc import Callable

import keras
from keras import ops

from keras_retinanet.config import MiningScope
from keras_retinanet.geometry.nms import Suppression, batched_nms, take_rows
from keras_retinanet.losses.targets import ClassTargets
from keras_retinanet.schema import Tensor


def keep_anchors(targets: ClassTargets, is_kept: Tensor) -> ClassTargets:
    """Targets in which all other anchors are ignored.

    Args:
        targets: Labels.
        is_kept: `(B, A)` bool.

    Returns:
        The targets of the loss.
    """
    return targets._replace(anchor_labels=ops.where(is_kept, targets.anchor_labels, -1))


def hard_negatives(losses: Tensor, anchor_labels: Tensor, negative_ratio: float) -> Tensor:
    """All objects, and the background anchors of largest loss: up to `negative_ratio` for each object of the image.

    Args:
        losses: `(B, A)` float32, at least 0.
        anchor_labels: `(B, A)`: 1 object, 0 background, -1 ignored.
        negative_ratio: Background anchors per object of the image; an image without objects has none.

    Returns:
        `(B, A)` bool.

    Reference:
        Liu et al., SSD, 2016, §2.2; torchvision `SSD.compute_loss`.
    """
    is_object = anchor_labels == 1
    order = ops.argsort(ops.where(anchor_labels == 0, -losses, 1.0), axis=1)  # background first, largest loss first
    rank = ops.argsort(order, axis=1)
    limit = ops.sum(ops.cast(is_object, "float32"), axis=1, keepdims=True) * negative_ratio
    is_hard = ops.logical_and(anchor_labels == 0, ops.cast(rank, "float32") < limit)
    return ops.logical_or(is_object, is_hard)


def hard_examples(
    losses: Tensor,
    targets: ClassTargets,
    *,
    mined_examples: int,
    mining_nms: float,
    negative_ratio: float,
    mining_scope: MiningScope,
) -> Tensor:
    """The anchors of largest loss that do not overlap one with a larger loss.

    With a ratio, objects are chosen first and background up to the ratio after them, and anchors suppress those of
    their own kind only.

    Args:
        losses: `(B, A)` float32, at least 0.
        targets: Labels and anchors.
        mined_examples: Anchors to choose: of each image, or of the batch.
        mining_nms: An anchor is left out if its IoU with a chosen one is above this; 1 leaves out none.
        negative_ratio: Background anchors per chosen object; 0 chooses by loss alone.
        mining_scope: Choose from each image, or from all images of the batch.

    Returns:
        `(B, A)` bool.

    Raises:
        ValueError: The targets have no anchors.

    Reference:
        Shrivastava et al., Training Region-based Object Detectors with Online Hard Example Mining, 2016, §4; Focal
        Loss for Dense Object Detection, §5.1, for one-stage detectors and the ratio.
    """
    if targets.anchors is None:
        raise ValueError("Mining hard examples needs `ClassTargets.anchors`.")
    constants = (mined_examples, mining_nms, negative_ratio, mining_scope)
    chosen = _compiled(*constants)(losses, ops.cast(targets.anchor_labels, "int32"), targets.anchors)
    return ops.stop_gradient(ops.cast(chosen, "int32")) == 1


@functools.cache
def _compiled(
    examples: int, nms: float, ratio: float, scope: MiningScope
) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """The choice with its constants fixed, compiled where the backend does not do so itself."""

    def run(losses: Tensor, anchor_labels: Tensor, anchors: Tensor) -> Tensor:
        batch, count = ops.shape(losses)[0], ops.shape(losses)[1]
        rows = 1 if scope == "batch" else batch
        image = ops.broadcast_to(ops.arange(batch, dtype="int32")[:, None], (batch, count))
        boxes = ops.broadcast_to(ops.cast(anchors, "float32")[None], (batch, count, 4))
        table = [ops.reshape(each, (rows, -1)) for each in (losses, anchor_labels, image)]
        choose = functools.partial(_choose, table[0], table[2], ops.reshape(boxes, (rows, -1, 4)), nms)
        if not ratio:
            return ops.reshape(choose(table[1] >= 0, examples), (batch, count))
        num_objects = max(int(examples / (1 + ratio)), 1)
        objects = choose(table[1] == 1, num_objects)
        limit = ops.sum(ops.cast(objects, "float32"), axis=1, keepdims=True) * ratio
        others = choose(table[1] == 0, examples - num_objects, limit)
        return ops.reshape(ops.logical_or(objects, others), (batch, count))

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.function(run, autograph=False, jit_compile=True)
    return run


def _choose(
    losses: Tensor,
    image: Tensor,
    boxes: Tensor,
    nms: float,
    is_candidate: Tensor,
    count: int,
    limit: Tensor | None = None,
) -> Tensor:
    """`(R, M)` bool: up to `count` candidates of largest loss after NMS within images, at most `limit (R, 1)`."""
    order = ops.cast(ops.argsort(ops.where(is_candidate, -losses, 1.0), axis=1), "int32")
    ordered, is_first, labels = (take_rows(values, order) for values in (boxes, is_candidate, image))
    picks = batched_nms(ordered, is_first, labels, Suppression("per_class", nms, count, "ops"))  # (R, count)
    is_pick = picks >= 0
    if limit is not None:
        is_pick = ops.logical_and(is_pick, ops.arange(count, dtype="float32")[None] < limit)
    chosen = ops.where(is_pick, take_rows(order, ops.maximum(picks, 0)), -1)
    length = ops.shape(losses)[1]
    first = ops.arange(ops.shape(losses)[0], dtype="int32")[:, None] * length
    place = ops.where(is_pick, chosen + first, ops.size(losses))  # those that are no picks go behind the end
    marks = ops.zeros((ops.size(losses) + 1,), dtype="int32")
    marks = ops.scatter_update(marks, ops.reshape(place, (-1, 1)), ops.ones_like(ops.reshape(place, (-1,))))
    return ops.reshape(marks[:-1], ops.shape(losses)) == 1
