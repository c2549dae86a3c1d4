"""The shapes of the images that a network was trained on, in the metadata of its snapshot: an export follows them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from keras_retinanet.config import ResizeConfig, to_dict

KEY = "training_shapes"


class TrainingShape(NamedTuple):
    """A batch shape of the training and its images.

    Attributes:
        height: Pixels, padding included.
        width: Pixels, padding included.
        images: Number of training images in batches of this shape.
    """

    height: int
    width: int
    images: int


def with_shapes(
    metadata: Mapping[str, Any], resize: ResizeConfig, shapes: Iterable[tuple[int, int, int]]
) -> dict[str, Any]:
    """Adds the shapes of the training images.

    Args:
        metadata: The metadata of a network.
        resize: The rule by which the images are resized.
        shapes: Height, width and number of images of each batch shape.

    Returns:
        New metadata of plain values.
    """
    listed = [[int(value) for value in shape] for shape in shapes]
    return {**metadata, KEY: {"resize": to_dict(resize), "shapes": listed}}


def find_shapes(metadata: Mapping[str, Any], resize: ResizeConfig) -> list[TrainingShape]:
    """The shapes of the training images.

    Args:
        metadata: The metadata of a network.
        resize: The rule by which its images are resized now.

    Returns:
        Batch shapes; none if the metadata do not say, or if the rule is no longer that of the training.
    """
    stored = metadata.get(KEY)
    if stored is None or to_dict(ResizeConfig()) | stored["resize"] != to_dict(resize):  # older rules lack settings
        return []
    return [TrainingShape(*shape) for shape in stored["shapes"]]
