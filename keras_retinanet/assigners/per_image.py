"""Assigners written for one image, mapped over a batch; and the rules on ignored anchors that they share."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_retinanet.assigners.assigner import Assignment
from keras_retinanet.schema import Tensor

CROWD_SHARE = 0.5
"""An anchor with at least this share of its area inside an ignore region does not learn background there."""

ImageAssigner = Callable[..., tuple[Tensor, Tensor]]
"""`(anchors, boxes (N, 4), labels (N,), ignore (N,), size (2,), **constants) → anchor labels and indices, (A,)`."""


def assign_each_image(
    function: ImageAssigner, anchors: Any, images: tuple[Tensor, ...], **constants: Any
) -> Assignment:
    """Runs an assigner on each image of a batch, one after the other.

    On the TensorFlow backend the loop is compiled by XLA, once per shape; training only, never part of an export.

    Args:
        function: The assigner of one image.
        anchors: `(A, 4)`, or a tuple of `(A_level, 4)`: its first argument.
        images: Tensors `(B, …)`: its other arguments.
        **constants: Its keyword arguments, hashable.

    Returns:
        Anchor labels and indices `(B, A)`.
    """
    return Assignment(*_compiled(function, tuple(sorted(constants.items())))(anchors, images))


@functools.cache
def _compiled(function: ImageAssigner, constants: tuple[tuple[str, Any], ...]) -> Callable[..., tuple[Tensor, Tensor]]:
    """The loop over images with its constants fixed, compiled where the backend does not do so itself."""

    def run(anchors: Any, images: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        one = functools.partial(function, anchors, **dict(constants))
        return _map_images(lambda image: one(*image), images, _num_anchors(anchors))

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        # Without Python conditions there is nothing for AutoGraph to translate, half of the tracing time.
        return tf.function(run, autograph=False, jit_compile=True)
    return run


def _num_anchors(anchors: Any) -> int | None:
    """`A`, or `None` where a shape is not known while tracing."""
    counts = [level.shape[0] for level in (anchors if isinstance(anchors, tuple) else (anchors,))]
    return None if None in counts else sum(counts)


def _map_images(one: ImageAssigner, images: tuple[Tensor, ...], num_anchors: int | None) -> tuple[Tensor, Tensor]:
    """`ops.map` to two int32 tensors of known shape; without it TensorFlow would trace `one` a second time."""
    if keras.backend.backend() != "tensorflow":
        return ops.map(one, images)
    import tensorflow as tf

    return tf.map_fn(one, images, fn_output_signature=(tf.TensorSpec((num_anchors,), tf.int32),) * 2)


def label_anchors(is_object: Tensor, is_ignored: Tensor, anchors: Tensor, size: Tensor) -> Tensor:
    """Anchor labels of one image; an anchor whose centre lies outside the unpadded image is ignored in any case.

    Args:
        is_object: `(A,)` bool.
        is_ignored: `(A,)` bool, read where `is_object` is `False`.
        anchors: `(A, 4)` in pixels.
        size: `(2,)`: height and width of the image before padding.

    Returns:
        `(A,)` int32: 1 object, 0 background, -1 ignored.
    """
    labels = ops.where(is_object, 1, ops.where(is_ignored, -1, 0))
    x, y = (anchors[:, 0] + anchors[:, 2]) / 2, (anchors[:, 1] + anchors[:, 3]) / 2
    is_outside = ops.logical_or(y >= size[0], x >= size[1])
    return ops.cast(ops.where(is_outside, -1, labels), "int32")
