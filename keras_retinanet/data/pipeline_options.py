"""How the pipelines of tf.data run: threads, order, and functions without AutoGraph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

PREFETCH = 2
"""Batches made ahead; each may take 100 MB."""


def without_autograph(function: Callable[..., Any]) -> Callable[..., Any]:
    """Disables AutoGraph for a function without Python conditions; its translation takes half of the start-up time.

    Args:
        function: The function.

    Returns:
        The function for `tf.data.Dataset.map`.
    """
    return tf.autograph.experimental.do_not_convert(function)


def num_parallel_calls(workers: int | None) -> int:
    """Calls of a function that `tf.data.Dataset.map` runs at the same time.

    Args:
        workers: Threads; `None` for one per core.

    Returns:
        The number, or `tf.data.AUTOTUNE`.
    """
    return workers or tf.data.AUTOTUNE


def pipeline_options(workers: int | None) -> tf.data.Options:
    """Options of a pipeline whose order does not depend on the threads.

    Args:
        workers: Threads; `None` for one per core.

    Returns:
        The options.
    """
    options = tf.data.Options()
    options.deterministic = True
    if workers:
        options.threading.private_threadpool_size = workers
    return options
