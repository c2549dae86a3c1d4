"""A training step in parts on the TensorFlow backend: micro-batches one after the other, replicas side by side.

The parts' gradients add up to that of the whole batch. Losses are sums over objects divided by their number, so the
gradient of a part counts in proportion to its objects. It is summed over the replicas before the optimizer sees it:
Keras sums it afterwards, when each replica has already clipped and checked its own part.
"""

from __future__ import annotations

from typing import Any

from keras import ops

from keras_retinanet.model.batch_loss import BatchLoss, batch_loss, track_loss
from keras_retinanet.model.replicas import ALONE, Replicas, current_replicas
from keras_retinanet.schema import Targets, Tensor


def split_step(model: Any, images: Tensor, targets: Targets, parts: int) -> dict[str, Tensor]:
    """Updates a model by the gradient of a batch, and the metrics of its losses.

    Batch normalisation in training normalises each micro-batch by itself.

    Args:
        model: RetinaNet. Compiled, on the TensorFlow backend.
        images: `(B, H, W, 3)`. Of this replica.
        targets: Of the same images.
        parts: Micro-batches into which they are divided; a divisor of B.

    Returns:
        The mean losses so far, by name.
    """
    replicas = current_replicas()
    if parts == 1:
        gradients, found = _differentiate(model, images, targets, replicas)
    else:
        gradients, sums = _accumulate(model, images, targets, parts)
        share = 1.0 / ops.maximum(replicas.all_reduce_sum(sums.objects), 1.0)
        gradients = [gradient * ops.cast(share, gradient.dtype) for gradient in gradients]
        found = sums.times(share)
    if replicas.num_replicas > 1:
        # Keras' optimizer sums over replicas, too, but after it has clipped and checked each part: it gets equal parts
        # of the whole gradient, and `build_optimizer` makes it clip at such a part of the norm.
        gradients = [gradient / replicas.num_replicas for gradient in replicas.all_reduce_sum(gradients)]
    track_loss(model, found, targets["image_index"])
    whole = next(metric for metric in model.metrics if metric.name == "loss")
    count = replicas.all_reduce_sum(ops.cast(ops.shape(images)[0], "float32")) / replicas.num_replicas
    whole.update_state(found.loss * replicas.num_replicas, sample_weight=count)
    model.optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
    return model.get_metrics_result()


def _differentiate(
    model: Any, images: Tensor, targets: Targets, replicas: Replicas, *, per_object: bool = False
) -> tuple[list[Tensor], BatchLoss]:
    """Gradient and losses of a batch; with `per_object` times its objects, at least 1."""
    import tensorflow as tf

    with tf.GradientTape() as tape:
        found = batch_loss(model, targets, model(images, training=True), replicas)
        if per_object:
            found = found.times(ops.maximum(found.objects, 1.0))
        scaled = model.optimizer.scale_loss(found.loss)
    gradients = tape.gradient(scaled, model.trainable_variables, unconnected_gradients="zero")
    return [tf.convert_to_tensor(gradient) for gradient in gradients], found


def _accumulate(model: Any, images: Tensor, targets: Targets, parts: int) -> tuple[list[Tensor], BatchLoss]:
    """Sums over micro-batches; a loop, since TensorFlow would run them side by side otherwise."""
    import tensorflow as tf

    def split(value: Tensor) -> Tensor:
        shape = [parts, -1 if value.shape[0] is None else value.shape[0] // parts]
        rest = [tf.shape(value)[k + 1] if side is None else side for k, side in enumerate(value.shape[1:])]
        return tf.reshape(value, [*shape, *rest])

    whole = tf.nest.map_structure(lambda value: split(tf.convert_to_tensor(value)), (images, dict(targets)))

    def step(k: Tensor, sums: Any) -> Any:
        own_images, own_targets = tf.nest.map_structure(lambda value: value[k], whole)
        own = _differentiate(model, own_images, own_targets, ALONE, per_object=True)
        return k + 1, tf.nest.map_structure(lambda total, value: total + value, sums, own)

    zero = tf.zeros((), tf.float32)
    gradients = [tf.zeros(variable.shape, variable.dtype) for variable in model.trainable_variables]
    start = (gradients, BatchLoss(dict.fromkeys(model.loss_trackers, zero), zero, zero))
    _, sums = tf.while_loop(lambda k, _: k < parts, step, (0, start), parallel_iterations=1)
    gradients, found = sums
    return gradients, found
