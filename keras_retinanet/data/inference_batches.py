"""Batches for inference: every image once, as it is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_retinanet.config import ResizeConfig
from keras_retinanet.data.bad_images import BadImages, CutOffImages
from keras_retinanet.data.batch_share import BatchShare
from keras_retinanet.data.image import pad
from keras_retinanet.data.pipeline_options import PREFETCH, num_parallel_calls, pipeline_options, without_autograph
from keras_retinanet.data.sample_table import SampleTable
from keras_retinanet.data.thumbnails import Thumbnails
from keras_retinanet.schema import Sample, Tensor


class InferenceBatches:
    """Every image once, in batches of few shapes; the last batch of each shape may be smaller.

    Args:
        samples: The data set; boxes are ignored.
        resize: The resize rule.
        pad_value: Three floats, R, G, B: the model's `pad_value`.
        batch_size: int.
        workers: Threads. Defaults to `None`: one per core.
        max_shapes: Maximum number of batch shapes. Defaults to 4.
        bad_images: Tracks broken images, which are replaced by grey ones. Defaults to `None`: a broken image is an
            error.
        cut_off: Counts JPEGs without their last bytes. Defaults to `None`: they are used all the same.
        thumbnails: Keeps a thumbnail of each image. Defaults to `None`.

    Attributes:
        batch_shapes: `(H, W)` of the batches.
    """

    def __init__(
        self,
        samples: Iterable[Sample],
        *,
        resize: ResizeConfig,
        pad_value: Sequence[float],
        batch_size: int,
        workers: int | None = None,
        max_shapes: int = 4,
        bad_images: BadImages | None = None,
        cut_off: CutOffImages | None = None,
        thumbnails: Thumbnails | None = None,
    ) -> None:
        self._thumbnails = thumbnails
        self._table = SampleTable(samples, resize, bad_images, cut_off)
        self._pad_value, self._batch_size, self._workers = tuple(pad_value), batch_size, workers
        self.batch_shapes, self._group = self._table.group_by_shape(max_shapes, batch_size=1)
        self._built: tuple[Any, tf.data.Dataset] | None = None

    @property
    def largest(self) -> int:
        """Images of the largest batch."""
        return int(min(self._batch_size, np.bincount(self._group).max()))

    def __len__(self) -> int:
        return sum(-(-int(count) // self._batch_size) for count in np.bincount(self._group))

    def outside(self, share: BatchShare) -> Any:
        """The images that other processes measure. Whole batches are shared out, so each stays as it is.

        Args:
            share: The part of this process.

        Returns:
            `(I,)` bool, for `dataset`.
        """
        number, batch = np.zeros(len(self._group), np.int64), 0
        for group in range(len(self.batch_shapes)):
            rows = np.flatnonzero(self._group == group)
            number[rows] = batch + np.arange(len(rows)) // self._batch_size
            batch += -(-len(rows) // self._batch_size)
        return number % share.count != share.index

    def dataset(self, done: Any = None) -> tf.data.Dataset:
        """The batches.

        The pipeline is built again only where other images are left out than in the last call: TensorFlow keeps the
        Python functions of every pipeline (`_py_funcs_used_in_graph` of its global graph) until the process ends.

        Args:
            done: `(I,)` bool. Images that are left out; the shapes of the others do not change. Defaults to none.

        Returns:
            Dataset of `(images (B, H, W, 3) float32, {"size": (B, 2) float32 height and width before padding,
            "original_size": (B, 2) int32 of the stored image, "scale": (B, 2) float32 y, x network pixels over stored
            pixels, "image_index": (B,) int32})`.
        """
        is_due = np.ones(len(self._group), bool) if done is None else ~np.asarray(done, bool)
        if self._built is None or not np.array_equal(self._built[0], is_due):
            self._built = is_due, self._build(is_due)
        return self._built[1]

    def _build(self, is_due: Any) -> tf.data.Dataset:
        rows = [np.flatnonzero(is_due & (self._group == group)) for group in range(len(self.batch_shapes))]
        batches, *rest = [self._bucket(group, indices) for group, indices in enumerate(rows)]
        for part in rest:
            batches = batches.concatenate(part)
        count = sum(-(-len(indices) // self._batch_size) for indices in rows)
        batches = batches.apply(tf.data.experimental.assert_cardinality(count))
        return batches.with_options(pipeline_options(self._workers)).prefetch(PREFETCH)

    def _bucket(self, group: int, rows: Any) -> tf.data.Dataset:
        def load(index: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
            image = self._table.load_image(index)
            image = image if self._thumbnails is None else self._thumbnails.keep(image, index)
            size = tf.cast(tf.shape(image)[:2], tf.float32)
            padded = pad(image, tf.constant(self.batch_shapes[group]), self._pad_value)
            padded = tf.ensure_shape(padded, (*self.batch_shapes[group], 3))
            original, scale = self._table.original_size(index), self._table.scale(index)
            return padded, {"size": size, "original_size": original, "scale": scale, "image_index": index}

        indices = tf.data.Dataset.from_tensor_slices(rows.astype(np.int32))
        return indices.map(without_autograph(load), num_parallel_calls(self._workers), deterministic=True).batch(
            self._batch_size
        )
