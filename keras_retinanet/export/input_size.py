"""The input size of an artefact that takes one size only: the one that the training images need."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import keras

from keras_retinanet.config import ResizeConfig
from keras_retinanet.data.resized_sizes import padded_size, resized_size
from keras_retinanet.framework_internals import nested_layers
from keras_retinanet.model.retinanet import RetinaNet
from keras_retinanet.snapshots.training_shapes import TrainingShape, find_shapes

LEAST_SHARE = 0.95
"""Share of the training images that must fit unreduced: a few panoramas among photos do not decide for all, and what is
reduced, at most one image in twenty, only has a smaller scale."""
_CAUSE = "group normalisation includes the padding, so detections differ from the snapshot's"


@dataclass(frozen=True)
class InputSize:
    """An input size, why it was chosen, and what it costs.

    Attributes:
        size: Height and width in pixels.
        reason: Why this size.
        note: What its padding changes, and which size to try instead; `None` if it changes nothing.
    """

    size: tuple[int, int]
    reason: str
    note: str | None = None


def default_input_size(network: RetinaNet) -> InputSize:
    """The input size where none is given.

    Args:
        network: The network, whose metadata hold the shapes of its training images if `retinanet-train` wrote it.

    Returns:
        `smallest_size` of the training images; `largest_square` if they are not known, or if the resize rule is no
        longer that of the training.
    """
    resize = network.resize_config
    square, shapes = largest_square(resize), find_shapes(network.metadata, resize)
    if resize.is_square or resize.shape:
        return InputSize(square, "the only size of the resize rule")
    if not shapes:
        reason = "the square that holds every image: the snapshot has no shapes of training images under this rule"
        return InputSize(square, reason, _warn_of_square(square, resize) if _has_group_norm(network) else None)
    size = smallest_size(shapes)
    held = _share_held(shapes, size)
    reason = f"the smallest that holds {_percent(held)} of the training images; what is larger is reduced until it fits"
    return InputSize(size, reason, _warn_of_shapes(size, shapes) if _has_group_norm(network) else None)


def smallest_size(shapes: Sequence[TrainingShape]) -> tuple[int, int]:
    """The size of fewest pixels that holds at least `LEAST_SHARE` of the training images.

    Args:
        shapes: Batch shapes of the training, at least one.

    Returns:
        Height and width. With images of one shape these are its sides; with as many tall as wide images, the longer
        side of both.
    """
    sizes = [(one.height, other.width) for one in shapes for other in shapes]
    enough = [size for size in sizes if _share_held(shapes, size) >= LEAST_SHARE]
    return min(enough, key=lambda size: (size[0] * size[1], size))


def largest_square(resize: ResizeConfig) -> tuple[int, int]:
    """The smallest square that contains every resized image.

    Args:
        resize: The resize rule.

    Returns:
        Height and width; with a `shape`, its sides.
    """
    height, width = padded_size(resize.max_side, resize.max_side, resize)
    return int(height), int(width)


def _has_group_norm(network: RetinaNet) -> bool:
    return any(isinstance(layer, keras.layers.GroupNormalization) for layer in nested_layers(network))


def _warn_of_shapes(size: tuple[int, int], shapes: Sequence[TrainingShape]) -> str | None:
    """What the size costs a network that normalises over its maps: nothing, if nearly all images have this shape."""
    same = _share(shapes, lambda shape: shape[:2] == size)
    if same >= LEAST_SHARE:
        return None
    common = max(shapes, key=lambda shape: shape.images)
    text = f"{_percent(1 - same)} of the training images had other shapes; {_CAUSE}."
    if common[:2] != size:
        part = _percent(_share(shapes, lambda shape: shape is common))
        text += f" For images of the most common shape ({part}): --image-size {common.height} {common.width}."
    return f"{text} Compare with retinanet-evaluate."


def _warn_of_square(square: tuple[int, int], resize: ResizeConfig) -> str | None:
    photo = padded_size(*resized_size(3000, 4000, resize), resize)
    if photo == square:
        return None
    return (
        f"every image is padded to {square[0]} x {square[1]}; {_CAUSE}. If all images have one shape, give it, for "
        f"photos of 4:3 --image-size {photo[0]} {photo[1]}; then compare both with retinanet-evaluate."
    )


def _share_held(shapes: Sequence[TrainingShape], size: tuple[int, int]) -> float:
    return _share(shapes, lambda shape: shape.height <= size[0] and shape.width <= size[1])


def _share(shapes: Sequence[TrainingShape], is_counted: Callable[[TrainingShape], bool]) -> float:
    return sum(shape.images for shape in shapes if is_counted(shape)) / sum(shape.images for shape in shapes)


def _percent(share: float) -> str:
    return f"{100 * share:.3g}%"
