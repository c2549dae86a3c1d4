"""Finds near duplicates among the images that training and evaluation decode anyway."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_retinanet.data.near_duplicates import MIN_CONTRAST, THUMBNAIL_SIDE, group_near_duplicates
from keras_retinanet.schema import Sample, Tensor

MAX_COMPARED = 20_000
"""Images that are compared; those after them are not."""

_LUMA = (0.299, 0.587, 0.114)  # as Pillow's mode L
_MIN_SIDE = 8 * THUMBNAIL_SIDE  # pixels that are averaged; taking all of them would cost more and change nothing
_MAX_SHOWN = 3


class Thumbnails:
    """Keeps a grey thumbnail of each image when a pipeline loads it for the first time.

    Args:
        num_images: Images of the data set.
    """

    def __init__(self, num_images: int) -> None:
        self._grey = np.zeros((min(num_images, MAX_COMPARED), THUMBNAIL_SIDE, THUMBNAIL_SIDE), np.uint8)
        self._is_seen = np.zeros(num_images, bool)
        self._is_seen[MAX_COMPARED:] = True
        self._lock = threading.Lock()

    def keep(self, image: Tensor, index: Tensor) -> Tensor:
        """Keep the thumbnail of an image that is loaded in a tf.data graph.

        Args:
            image: `(H, W, 3)`.
            index: Scalar int, its position.

        Returns:
            `image`, which depends on the thumbnail having been kept.
        """
        is_new = tf.ensure_shape(tf.numpy_function(self._is_new, [index], tf.bool), ())

        def store() -> Tensor:
            return tf.numpy_function(self._store, [index, _shrink(image)], tf.bool)

        with tf.control_dependencies([tf.cond(is_new, store, lambda: tf.constant(False))]):
            return tf.identity(image)

    def found(self) -> list[bytes | None]:
        """Thumbnails by position; `None` for images that were not loaded or are plain."""
        pairs = zip(self._grey, self._is_seen, strict=False)
        return [grey.tobytes() if is_seen and grey.std() > MIN_CONTRAST else None for grey, is_seen in pairs]

    def brightness(self, samples: Sequence[Sample]) -> dict[int | str, float] | None:
        """Mean brightness of the images that were loaded.

        Args:
            samples: The images.

        Returns:
            0 … 255 by image id; `None` if no image was loaded.
        """
        means = self._grey.mean(axis=(1, 2)).tolist()
        loaded = zip(samples, means, self._is_seen.tolist(), strict=False)  # those after MAX_COMPARED have none
        return {sample["image_id"]: mean for sample, mean, is_seen in loaded if is_seen} or None

    def _is_new(self, index: Any) -> Any:
        return np.bool_(not self._is_seen[index])

    def _store(self, index: Any, grey: Any) -> Any:
        with self._lock:
            self._grey[index], self._is_seen[index] = grey, True
        return np.bool_(True)


def describe_near_duplicates(splits: Sequence[tuple[str, Sequence[str], Thumbnails]]) -> list[str]:
    """Describe images that look the same.

    Args:
        splits: Name, images and thumbnails of each split.

    Returns:
        At most one sentence on images of several splits, and one on images of one split.
    """
    thumbnails, names, split_of = [], [], []
    for split, images, kept in splits:
        own = kept.found()
        thumbnails += own
        names += list(images[: len(own)])
        split_of += [split] * len(own)
    groups = group_near_duplicates(thumbnails)
    across = [group for group in groups if len({split_of[position] for position in group}) > 1]
    sentences = []
    if across:
        shown = "; ".join(
            " ~ ".join(names[position] for position in _first_of_each(group, split_of)) for group in across[:_MAX_SHOWN]
        )
        sentences.append(f"{len(across)} images look the same in training and validation, so that validation measures "
                         f"what was learned by heart: {shown}")  # fmt: skip
    if within := [group for group in groups if group not in across]:
        shown = "; ".join(" ~ ".join(names[position] for position in group[:2]) for group in within[:_MAX_SHOWN])
        sentences.append(f"{len(within)} images have near duplicates in their own split: {shown}")
    return sentences


def watched(
    load: Callable[[Tensor], dict[str, Tensor]], kept: Thumbnails | None
) -> Callable[[Tensor], dict[str, Tensor]]:
    """A function that loads a sample and keeps the thumbnail of its image.

    Args:
        load: Function from a position to a sample with `image`.
        kept: Where thumbnails are kept; `None` returns `load`.

    Returns:
        The function.
    """
    if kept is None:
        return load

    def load_and_keep(index: Tensor) -> dict[str, Tensor]:
        sample = load(index)
        return {**sample, "image": kept.keep(sample["image"], index)}

    return load_and_keep


def _first_of_each(group: Sequence[int], split_of: Sequence[str]) -> list[int]:
    """The first position of each split."""
    first = {split_of[position]: position for position in reversed(group)}
    return sorted(first.values())


def _shrink(image: Tensor) -> Tensor:
    """`(S, S)` uint8 grey levels."""
    step = tf.maximum(tf.reduce_min(tf.shape(image)[:2]) // _MIN_SIDE, 1)
    grey = tf.reduce_sum(tf.cast(image[::step, ::step], tf.float32) * _LUMA, axis=-1, keepdims=True)
    small = tf.image.resize(tf.ensure_shape(grey, (None, None, 1)), (THUMBNAIL_SIDE, THUMBNAIL_SIDE), method="area")
    return tf.cast(tf.round(small[..., 0]), tf.uint8)
