"""Reports and counts images that turn out broken or cut off during a run, and replaces the broken ones."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from typing import Any

import numpy as np
import tensorflow as tf

from keras_retinanet.data.errors import GRAPH_MARKS, GRAPH_SEPARATOR, DataError, from_tensorflow
from keras_retinanet.schema import Tensor

MAX_BROKEN_SHARE = 0.1
"""Largest share of broken images before the run stops: more than that is a disk failure, not a broken file."""

MAX_NAMED = 5
"""Images that a summary names."""

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

    def report(self, path: str, found: str) -> None:
        """Report an image outside of a graph.

        Args:
            path: The image.
            found: What is wrong with it.

        Raises:
            DataError: There are too many.
        """
        try:
            self._report(path.encode(), found.encode())
        except DataError as error:
            raise from_tensorflow(error) or error from None

    def summary(self) -> str | None:
        """One sentence about all broken images, or `None` if there are none."""
        if not self.found:
            return None
        found = f"{len(self.found)} broken images were replaced by grey ones without boxes"
        return f"{found}: {_first_names(self.found)}"

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


class CutOffImages:
    """Counts JPEGs that lack their last bytes and were decoded as far as they go.

    Args:
        log: Receives a line for each of the first `MAX_NAMED`. Defaults to `None`: nothing is logged.

    Attributes:
        found: Their paths, in the order in which they were decoded.
    """

    def __init__(self, log: Callable[[str], object] | None = None) -> None:
        self.found: dict[str, None] = {}
        self._log, self._lock = log, threading.Lock()

    def add(self, path: str) -> None:
        """Count an image, once however often it is decoded."""
        with self._lock:
            is_new = path not in self.found
            self.found[path] = None
            count = len(self.found)
        if is_new and self._log is not None and count <= MAX_NAMED:
            self._log(f"warning: {path} lacks its last bytes; it is decoded as far as it goes (so far: {count})")

    def summary(self) -> str | None:
        """One sentence about all of them, or `None` if there are none."""
        if not self.found:
            return None
        what = "JPEG lacks its last bytes and was" if len(self.found) == 1 else "JPEGs lack their last bytes and were"
        return f"{len(self.found)} {what} decoded as far as possible: {_first_names(self.found)}"


def _first_names(found: Collection[str]) -> str:
    more = f" and {len(found) - MAX_NAMED} more" if len(found) > MAX_NAMED else ""
    return ", ".join(list(found)[:MAX_NAMED]) + more


def _too_many(name: str, what: str, count: int, num_images: int) -> DataError:
    """A data error whose text survives TensorFlow."""
    fix = "see whether the disk is still there, and restore the files"
    found = f"{what}, as are others: {count} of {num_images} images"
    parts = GRAPH_SEPARATOR.join([name, found, f"a share of {MAX_BROKEN_SHARE:g}", fix])
    return DataError(f"{GRAPH_MARKS[0]}{parts}{GRAPH_MARKS[1]}", "too many broken images")
