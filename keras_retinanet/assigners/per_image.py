"""Assigners written for one image, mapped over a batch; and the rules on ignored anchors that they share."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_retinanet.assigners.assigner import Assignment
from keras_retinanet.geometry.boxes import EPSILON, area, intersection
from keras_retinanet.schema import Tensor

CROWD_SHARE = 0.5
"""An anchor with at least this share of its area inside an ignore region does not learn background there."""

CENTRE_MARGIN = 0.01
"""Pixels by which an anchor's centre must lie inside the box, as in the published code of ATSS and TOOD."""

ImageAssigner = Callable[..., tuple[Tensor, ...]]
"""`(anchors, boxes (N, 4), labels (N,), ignore (N,), size (2,), **constants) → anchor labels and indices, (A,)`.

One with `has_quality` returns the quality `(A,)` too.
"""


def assign_each_image(
    function: ImageAssigner,
    anchors: Any,
    images: tuple[Tensor, ...],
    batch: tuple[Tensor, ...] = (),
    has_quality: bool = False,
    **constants: Any,
) -> Assignment:
    """Runs an assigner on each image of a batch, one after the other.

    On the TensorFlow backend the loop is compiled by XLA, once per shape; training only, never part of an export. In
    loops of its own, the function reads rows with `at_row`.

    Args:
        function: The assigner of one image.
        anchors: `(A, 4)`, or a tuple of `(A_level, 4)`: its first argument.
        images: Tensors `(B, …)`: its other arguments.
        batch: Tensors that each image is given whole, after its own: large ones, of which a slice would be a copy.
        has_quality: Whether it returns the quality too. Defaults to `False`.
        **constants: Its keyword arguments, hashable.

    Returns:
        Anchor labels, indices and, with `has_quality`, quality `(B, A)`.
    """
    return Assignment(*_compiled(function, has_quality, tuple(sorted(constants.items())))(anchors, images, batch))


@functools.cache
def _compiled(
    function: ImageAssigner, has_quality: bool, constants: tuple[tuple[str, Any], ...]
) -> Callable[..., tuple[Tensor, ...]]:
    """The loop over images with its constants fixed, compiled where the backend does not do so itself."""
    dtypes = ("int32", "int32", "float32")[: 3 if has_quality else 2]

    def run(anchors: Any, images: tuple[Tensor, ...], batch: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        one = functools.partial(function, anchors, **dict(constants))
        return _map_images(lambda image: one(*image, *batch), images, _num_anchors(anchors), dtypes)

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        # Without Python conditions there is nothing for AutoGraph to translate, half of the tracing time.
        return tf.function(run, autograph=False, jit_compile=True)
    return run


def _num_anchors(anchors: Any) -> int | None:
    """`A`, or `None` where a shape is not known while tracing."""
    counts = [level.shape[0] for level in (anchors if isinstance(anchors, tuple) else (anchors,))]
    return None if None in counts else sum(counts)


def _map_images(
    one: ImageAssigner, images: tuple[Tensor, ...], num_anchors: int | None, dtypes: tuple[str, ...]
) -> tuple[Tensor, ...]:
    """`ops.map` to tensors of known shape; without it TensorFlow would trace `one` a second time."""
    if keras.backend.backend() != "tensorflow":
        return ops.map(one, images)
    import tensorflow as tf

    return tf.map_fn(one, images, fn_output_signature=tuple(tf.TensorSpec((num_anchors,), kind) for kind in dtypes))


def centres(boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Centres `(...)`, x and y, of boxes `(..., 4)`."""
    return (boxes[..., 0] + boxes[..., 2]) / 2, (boxes[..., 1] + boxes[..., 3]) / 2


def largest_crowd_share(anchors: Tensor, boxes: Tensor, is_region: Tensor) -> Tensor:
    """Largest share of each anchor's area that lies in one ignore region; only those rows are visited.

    Args:
        anchors: `(A, 4)` in pixels.
        boxes: `(N, 4)` in pixels.
        is_region: `(N,)` bool.

    Returns:
        `(A,)` float32.
    """
    anchor_area = ops.maximum(area(anchors), EPSILON)
    rows, count = rows_first(is_region)

    def visit(step: Tensor, share: Tensor) -> Tensor:
        return ops.maximum(share, intersection(anchors, at_row(boxes, at_row(rows, step))) / anchor_area)

    return ops.fori_loop(0, count, visit, ops.zeros_like(anchor_area))


def at_row(values: Tensor, row: Tensor) -> Tensor:
    """`values[row]` where the row depends on the data: gathered.

    TensorFlow's XLA compiles a slice, which `values[row]` is, for constant bounds. It would make a constant of the
    row, so of the labels that it comes from, and compile the assigner again for each batch: over a second.

    Args:
        values: `(N, …)`.
        row: Scalar.

    Returns:
        `(…)`.
    """
    return ops.take(values, row, axis=0)


def rows_first(is_chosen: Tensor) -> tuple[Tensor, Tensor]:
    """Rows `(N,)` int32 with the chosen ones first, in their order, and the number of these, for loops over them.

    Args:
        is_chosen: `(N,)` bool.
    """
    place = ops.arange(ops.shape(is_chosen)[0], dtype="int32")
    rows = ops.argsort(ops.where(is_chosen, place, place + ops.shape(is_chosen)[0]))
    return ops.cast(rows, "int32"), ops.sum(ops.cast(is_chosen, "int32"))


def largest(values: Tensor, k: int) -> Tensor:
    """Positions `(k,)` int32 of the largest values, or of all if there are fewer; of equals the first.

    Args:
        values: `(N,)`.
        k: At least 1.
    """
    if keras.backend.backend() == "torch":  # torch.topk leaves the order of equal values open
        return ops.cast(ops.argsort(-values)[:k], "int32")
    size: Any = ops.shape(values)[0]
    k = min(k, size) if isinstance(size, int) else ops.minimum(k, size)
    return ops.cast(ops.top_k(values, k)[1], "int32")


def with_values_at(values: Tensor, positions: Tensor, is_new: Tensor, new: Tensor) -> Tensor:
    """`values (A,)` with `new (C,)` at those `positions (C,)`, without repetition, that `is_new (C,)` marks."""
    updates = ops.where(is_new, new, ops.take(values, positions))
    return ops.scatter_update(values, positions[:, None], updates)


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
    x, y = centres(anchors)
    is_outside = ops.logical_or(y >= size[0], x >= size[1])
    return ops.cast(ops.where(is_outside, -1, labels), "int32")
