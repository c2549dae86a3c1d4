"""Batches for training and inference: read, decode, resize, augment, pad and group, all in a tf.data graph."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_retinanet.config import ResizeConfig
from keras_retinanet.data.augment import (
    apply_augmentations,
    check_names,
    max_images_per_sample,
    resizes_first,
    without_mixtures,
)
from keras_retinanet.data.augmentations.user_functions import is_user_function
from keras_retinanet.data.augmentations.xla import coloured_padding, pad_to
from keras_retinanet.data.bad_images import BadImages, CutOffImages
from keras_retinanet.data.batch_share import WHOLE, BatchShare
from keras_retinanet.data.epoch_order import EpochOrder
from keras_retinanet.data.image_cache import cache_samples
from keras_retinanet.data.inference_batches import InferenceBatches
from keras_retinanet.data.pipeline_options import PREFETCH, num_parallel_calls, pipeline_options, without_autograph
from keras_retinanet.data.sample_table import SampleTable
from keras_retinanet.data.thumbnails import Thumbnails, watched
from keras_retinanet.schema import Sample, Tensor

__all__ = ["InferenceBatches", "TrainingBatches"]

_USUAL_BOXES = 128  # up to here, padding all batches costs less than compiling a second shape


class TrainingBatches:
    """Endless shuffled and augmented batches of static shapes.

    Images are grouped by aspect ratio into few batch shapes, and each batch holds images of one group. A *data epoch*
    uses every image once, in a new order. If a group does not fill its last batch, the batch is completed with the
    group's first images of that data epoch, so at most `batch_size - 1` images per group are repeated, different ones
    each time. An *epoch* is one data epoch, or `steps` batches of the endless sequence of data epochs.

    Order and augmentation depend only on `(seed, data epoch, image index)`: a run that resumes at epoch e gets the
    batches that an uninterrupted run would have got.

    Args:
        samples: The data set.
        resize: The resize rule.
        pad_value: Three floats, R, G, B: the model's `pad_value`.
        batch_size: Images of every batch.
        seed: Seed of order and augmentation.
        augmentations: Names from `AUGMENTATIONS` and `MIXTURES`, applied in this order. Defaults to the
            horizontal flip.
        workers: Threads. Defaults to `None`: one per core.
        cache: Keep the images in memory (3 bytes per pixel), as they are before augmentation. Defaults to `False`.
        max_shapes: Maximum number of batch shapes. Defaults to 4.
        steps: Batches per epoch. Defaults to `None`: one data epoch.
        bad_images: Tracks broken images, which are replaced by grey ones without boxes. Defaults to `None`: a broken
            image is an error.
        cut_off: Counts JPEGs without their last bytes. Defaults to `None`: they are used all the same.
        thumbnails: Keeps a thumbnail of each image. Defaults to `None`.
        close_epoch: Epoch, counted from 0, from which images are no longer combined. Defaults to `None`: never.
        repeat_factors: `(I,)` float. How often each image is used per data epoch, in the mean. Defaults to once.
        share: The part of each batch that is read here; only its rows are in the batches. Defaults to the whole.

    Attributes:
        batch_shapes: `(H, W)` of the batches.
        steps_per_epoch: int.
        close_epoch: The epoch from which images are no longer combined; may be changed before `dataset`.
        box_counts: Numbers of boxes N that batches are padded to: one, or two if a few images have very many.

    Raises:
        ValueError: No samples, or an unknown augmentation.

    Example:
    >>> batches = TrainingBatches(dataset, resize=ResizeConfig(), pad_value=(0, 0, 0), batch_size=2, seed=0)
    >>> model.fit(batches.dataset(), steps_per_epoch=batches.steps_per_epoch, epochs=12)
    """

    def __init__(
        self,
        samples: Iterable[Sample],
        *,
        resize: ResizeConfig,
        pad_value: Sequence[float],
        batch_size: int,
        seed: int,
        augmentations: Sequence[str] = ("horizontal_flip",),
        workers: int | None = None,
        cache: bool = False,
        max_shapes: int = 4,
        steps: int | None = None,
        bad_images: BadImages | None = None,
        cut_off: CutOffImages | None = None,
        thumbnails: Thumbnails | None = None,
        close_epoch: int | None = None,
        repeat_factors: Any | None = None,
        share: BatchShare = WHOLE,
    ) -> None:
        check_names(augmentations)
        self._table = SampleTable(samples, resize, bad_images, cut_off)
        self._pad_value, self._batch_size, self._seed = tuple(pad_value), batch_size, seed
        self._augmentations, self._workers, self._share = tuple(augmentations), workers, share
        self.close_epoch = close_epoch
        self.batch_shapes, self._group = self._table.group_by_shape(max_shapes, batch_size)
        self._order = EpochOrder(self._group, len(self.batch_shapes), batch_size, seed, repeat_factors)
        self.steps_per_epoch = steps or self._order.batches
        self.box_counts = _box_counts(self._table.num_boxes * max_images_per_sample(augmentations))
        is_resized = not resizes_first(self._augmentations)
        stored = self._table.load if is_resized else self._table.load_unresized
        load = cache_samples(self._table, workers, is_resized=is_resized) if cache else stored
        self._load_sample = watched(load, thumbnails)

    @property
    def image_sizes(self) -> Any:
        """`(I, 2)` int: height and width of each image file."""
        return self._table.sizes

    @property
    def shape_counts(self) -> Any:
        """`(G, 3)` int: height and width of each of the G batch shapes, and its number of images."""
        counts = np.bincount(self._group, minlength=len(self.batch_shapes))
        return np.column_stack([np.asarray(self.batch_shapes), counts])

    @property
    def padded_sizes(self) -> Any:
        """`(I, 2)` int: height and width of the batches that each image is in."""
        return np.asarray(self.batch_shapes)[self._group]

    def dataset(self, first_epoch: int = 0, last_epoch: int | None = None, *, first_step: int = 0) -> tf.data.Dataset:
        """The batches, starting at an epoch.

        Args:
            first_epoch: Counted from 0. Defaults to 0.
            last_epoch: Stop before this epoch. Defaults to `None`: endless.
            first_step: Batches of the first epoch to skip; their images are not read. Defaults to 0.

        Returns:
            Dataset of `(images (B, H, W, 3) float32, schema.Targets)`.
        """
        first = first_epoch * self.steps_per_epoch + first_step
        start, skipped = divmod(first, self._order.batches)
        order = (
            tf.data.Dataset.counter(start)
            .map(without_autograph(self._order.__call__))
            .unbatch()
            .skip(skipped * self._batch_size)
        )
        if last_epoch is not None:
            order = order.take((last_epoch * self.steps_per_epoch - first) * self._batch_size)
        closing = without_mixtures(self._augmentations)
        loaded = None
        for part, names in self._split_at_close(order, first, closing):
            load = functools.partial(self._load, names)
            calls = num_parallel_calls(self._workers)
            own = self._take_share(part).map(without_autograph(load), calls, deterministic=True)
            loaded = own if loaded is None else loaded.concatenate(own)
        assert loaded is not None
        rows = self._share.rows(self._batch_size)
        batches = loaded.batch(rows.stop - rows.start, drop_remainder=True)
        batches = batches.map(without_autograph(self._finish), PREFETCH, deterministic=True)
        return batches.with_options(pipeline_options(self._workers))

    def _take_share(self, order: tf.data.Dataset) -> tf.data.Dataset:
        """Of every batch, the images that are read here."""
        if self._share.count == 1:
            return order
        rows = self._share.rows(self._batch_size)
        batches = order.batch(self._batch_size, drop_remainder=True)
        return batches.map(without_autograph(lambda index, seed: (index[rows], seed[rows]))).unbatch()

    def _split_at_close(
        self, order: tf.data.Dataset, first: int, closing: tuple[str, ...]
    ) -> list[tuple[tf.data.Dataset, tuple[str, ...]]]:
        """The images before and after mixtures are turned off, each part with its augmentations."""
        if self.close_epoch is None or closing == self._augmentations:
            return [(order, self._augmentations)]
        before = max(self.close_epoch * self.steps_per_epoch - first, 0) * self._batch_size
        if not before:
            return [(order, closing)]
        return [(order.take(before), self._augmentations), (order.skip(before), closing)]

    def _load(self, augmentations: tuple[str, ...], index: Tensor, sample_seed: Tensor) -> dict[str, Tensor]:
        target_size = tf.gather(tf.constant(self.batch_shapes, tf.int32), tf.constant(self._group)[index])
        setting = {"target_size": target_size, "pad_value": tf.constant(self._pad_value, tf.float32)}
        seed = tf.random.fold_in(tf.constant([self._seed, 1], tf.int64), sample_seed)
        seed = tf.random.fold_in(seed, index)

        def load_other(seed: Tensor) -> dict[str, Tensor]:
            number = tf.random.stateless_uniform((), seed, 0, len(self._table), tf.int32)
            return {**setting, **self._load_sample(number)}

        if any(is_user_function(name) for name in augmentations):
            setting |= {"name": self._table.name(index), "label_count": tf.constant(self._table.label_count)}
        sample = apply_augmentations({**setting, **self._load_sample(index)}, augmentations, seed, load_other)
        missing = [[0, self.box_counts[-1] - tf.shape(sample["labels"])[0]]]
        count = (self.box_counts[-1],)
        return {
            "image": tf.ensure_shape(pad_to(sample["image"], target_size), self._static_shape()),
            "boxes": tf.ensure_shape(tf.pad(sample["boxes"], [*missing, [0, 0]]), (*count, 4)),
            "labels": tf.ensure_shape(tf.pad(sample["labels"], missing, constant_values=-1), count),
            "ignore": tf.ensure_shape(tf.pad(tf.cast(sample["ignore"], tf.int32), missing), count),
            "size": tf.cast(tf.shape(sample["image"])[:2], tf.float32),
            "image_index": tf.cast(index, tf.int32),
        }

    def _static_shape(self) -> tuple[int | None, int | None, int]:
        heights, widths = (set(sides) for sides in zip(*self.batch_shapes, strict=True))
        return heights.pop() if len(heights) == 1 else None, widths.pop() if len(widths) == 1 else None, 3

    def _finish(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        images = coloured_padding(batch.pop("image"), batch["size"], tf.constant(self._pad_value, tf.float32))
        usual, most = self.box_counts[0], self.box_counts[-1]
        if usual < most and self._share.count == 1:  # all parts of a batch have the same shape
            is_usual = tf.reduce_all(batch["labels"][:, usual:] < 0)
            count = tf.where(is_usual, usual, most)
            for key in ("boxes", "labels", "ignore"):
                batch[key] = batch[key][:, :count]
        return images, batch


def _box_counts(num_boxes: Any) -> tuple[int, ...]:
    """Powers of two from 8 that batches are padded to."""
    most = max(8, 1 << int(np.max(num_boxes) - 1).bit_length()) if np.max(num_boxes) else 8
    return (most,) if most <= _USUAL_BOXES else (_USUAL_BOXES, most)
