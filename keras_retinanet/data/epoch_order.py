"""The order of images: every image once an epoch, or as often as its repeat factor says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_retinanet.schema import Sample, Tensor


def repeat_factors(samples: Sequence[Sample], threshold: float) -> Any:
    """How often each image is used per epoch, so that rare classes are seen more often.

    Args:
        samples: The data set.
        threshold: Share of the images below which a class is rare, t.

    Returns:
        `(I,)` float64: `max(1, √(t / f))` of the image's rarest class, f being the share of images that show the class.
        Ignore regions do not count.

    Reference:
        Gupta et al. 2019, LVIS, appendix B.2.
    """
    shown = [np.unique(np.asarray(sample["labels"])[~np.asarray(sample["ignore"], bool)]) for sample in samples]
    labels, counts = np.unique(np.concatenate([*shown, np.zeros(0, int)]), return_counts=True)
    of_class = dict(zip(labels.tolist(), np.maximum(1.0, np.sqrt(threshold * len(samples) / counts)), strict=True))
    return np.array([max((of_class[label] for label in own.tolist()), default=1.0) for own in shown])


class EpochOrder:
    """Image index and seed of every image of a data epoch, batch after batch.

    Each batch holds images of one group. A group that does not fill its last batch is completed with its first images
    of that data epoch.

    Args:
        group: `(I,)` int. Group of each image.
        groups: Number of groups.
        batch_size: Images of a batch.
        seed: Seed of the order.
        factors: `(I,)` float. How often each image is used per epoch, in the mean: an image of factor 1.3 is used once
            in seven of ten epochs and twice in three. Defaults to `None`: once.

    Attributes:
        batches: Batches of a data epoch.
    """

    def __init__(self, group: Any, groups: int, batch_size: int, seed: int, factors: Any | None = None) -> None:
        self._members = [np.flatnonzero(group == number) for number in range(groups)]
        self._batch_size, self._seed, self._factors = batch_size, seed, factors
        weights = np.ones(len(group)) if factors is None else factors
        self._totals = [max(round(float(weights[members].sum())), min(len(members), 1)) for members in self._members]
        self.batches = sum(-(-total // batch_size) for total in self._totals)
        self._most = 1 if factors is None else 1 + int(np.ceil(2 * np.max(factors)))

    def __call__(self, number: Tensor) -> tuple[Tensor, Tensor]:
        """The images of data epoch `number`: `(batches · B,)` index, and the part of the seed that tells them apart."""
        seed = tf.random.fold_in(tf.constant([self._seed, 0], tf.int64), number)
        rows, repeats = [], []
        for group, (members, total) in enumerate(zip(self._members, self._totals, strict=True)):
            places = tf.range(-(-total // self._batch_size) * self._batch_size)
            own = tf.random.fold_in(seed, group)
            order = tf.random.experimental.stateless_shuffle(tf.constant(members, tf.int32), own)
            uses = tf.zeros_like(order)
            if self._factors is not None:
                order, uses = _resample(order, tf.constant(self._factors), total, tf.random.fold_in(own, 1))
            repeat = tf.gather(uses, places % total) + places // total * self._most
            rows.append(tf.reshape(tf.gather(order, places % total), (-1, self._batch_size)))
            repeats.append(tf.reshape(repeat, (-1, self._batch_size)))
        table = tf.stack([tf.concat(rows, axis=0), tf.concat(repeats, axis=0)], axis=-1)  # (batches, B, 2)
        table = tf.random.experimental.stateless_shuffle(table, tf.random.fold_in(seed, len(self._members)))
        table = tf.reshape(table, (-1, 2))
        # A repeated image is augmented differently: the repeat is part of its seed.
        sample_seed = number * (self._batch_size * self._most) + tf.cast(table[:, 1], tf.int64)
        return table[:, 0], sample_seed


def _resample(order: Tensor, factors: Tensor, total: int, seed: Tensor) -> tuple[Tensor, Tensor]:
    """Systematic sampling: `total` images, image i between ⌊r⌋ and ⌈r⌉ times and r times in the mean.

    Returns:
        `(total,)` int32 image indices in random order, and which use of its image each is.
    """
    seeds = tf.unstack(tf.random.split(seed, 2))
    ends = tf.cumsum(tf.gather(factors, order))
    ends = ends * (total / ends[-1])
    start = tf.random.stateless_uniform((), seeds[0], dtype=tf.float64)
    ends = tf.concat([ends[:-1], [tf.constant(total, tf.float64)]], axis=0)
    edges = tf.cast(tf.floor(ends + start), tf.int32)
    first = tf.concat([[0], edges[:-1]], axis=0)
    chosen = tf.repeat(order, edges - first)
    uses = tf.range(total) - tf.repeat(first, edges - first)
    both = tf.random.experimental.stateless_shuffle(tf.stack([chosen, uses], axis=1), seeds[1])
    return both[:, 0], both[:, 1]
