"""Reports, counts and replaces images that turn out broken during a run, until there are too many."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from keras_retinanet.data.errors import GRAPH_MARKS, GRAPH_SEPARATOR, DataError
from keras_retinanet.schema import Tensor

MAX_BROKEN_SHARE = 0.1
"""Largest share of broken images before the run stops: more than that is a disk failure, not a broken file."""

GREY = 127
"""Value of every pixel of the image that replaces a broken one; it has no boxes, so it only trains background."""


class BadImages:
    """Tracks broken images, for pipelines that continue without them.

    An image is reported once and counted once, however often it is loaded. A tenth of a data set (but at least one
    image) may be broken; one more ends the run.

    Args:
        num_images: Images of the data set.
        log: Receives one line per broken image. Defaults to `print`.

    Attributes:
        found: What was wrong with each, by path.
    """

    def __init__(self, num_images: int, log: Callable[[str], object] = print) -> None:
        self.found: dict[str, str] = {}
        self._max_broken, self._num_images, self._log = max(1, int(num_images * MAX_BROKEN_SHARE)), num_images, log
        self._lock = threading.Lock()

    def report_in_graph(self, path: Tensor, found: Tensor) -> Tensor:
        """Report an image from inside a tf.data graph.

        Args:
            path: Scalar string.
            found: Scalar string. What is wrong with it.

        Returns:
            Scalar bool, a control dependency for other operations.

        Raises:
            tf.errors.OpError: There are too many; `errors.from_tensorflow` turns this into a `DataError`.
        """
        return tf.numpy_function(self._report, [path, found], tf.bool)

    def summary(self) -> str | None:
        """One sentence about all broken images, or `None` if there are none."""
        if not self.found:
            return None
        names = ", ".join(list(self.found)[:5]) + (f" and {len(self.found) - 5} more" if len(self.found) > 5 else "")
        return f"{len(self.found)} broken images were replaced by grey ones without boxes: {names}"

    def _report(self, path: Any, found: Any) -> Any:
        # Bytes inside a graph, arrays of one outside.
        name, what = (np.asarray(text).item().decode("utf-8", "replace") for text in (path, found))
        with self._lock:
            is_new = name not in self.found
            self.found[name] = what
            count = len(self.found)
        if count > self._max_broken:
            raise _too_many(name, what, count, self._num_images)
        if is_new:
            self._log(f"warning: {name} {what}; a grey picture without boxes takes its place (broken so far: {count})")
        return np.bool_(True)


def _too_many(name: str, what: str, count: int, num_images: int) -> DataError:
    """A data error whose text survives TensorFlow."""
    fix = "see whether the disk is still there, and restore the files"
    found = f"{what}, as are others: {count} of {num_images} images"
    parts = GRAPH_SEPARATOR.join([name, found, f"a share of {MAX_BROKEN_SHARE:g}", fix])
    return DataError(f"{GRAPH_MARKS[0]}{parts}{GRAPH_MARKS[1]}", "too many broken images")
