"""Replicas that train together under `tf.distribute`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import keras


class Replicas(NamedTuple):
    """The replicas of one training step.

    Attributes:
        num_replicas: How many there are.
        all_reduce_sum: Sums a tensor, or each of a list, over them.
    """

    num_replicas: int
    all_reduce_sum: Callable[[Any], Any]


ALONE = Replicas(1, lambda x: x)
"""One replica."""


def current_replicas() -> Replicas:
    """The replicas that train together; one everywhere but under `tf.distribute`.

    A JAX program sees the global batch itself.

    Returns:
        Their number, and the sum over them.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        context = tf.distribute.get_replica_context()
        if context is not None and context.num_replicas_in_sync > 1:
            return Replicas(context.num_replicas_in_sync, lambda x: context.all_reduce("SUM", x))
    return ALONE
