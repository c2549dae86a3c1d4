"""All samples as a few tensors, so that a tf.data graph loads any of them by its number."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import numpy as np
import tensorflow as tf

from keras_retinanet.config import ResizeConfig
from keras_retinanet.data.errors import GRAPH_MARKS, GRAPH_SEPARATOR
from keras_retinanet.data.image import (
    decode,
    network_scale,
    resize_boxes,
    resize_by_rule,
    resized_dtype,
    resized_size,
)
from keras_retinanet.data.image_files import read_sizes
from keras_retinanet.schema import Sample, Tensor


class SampleTable:
    """Paths, sizes and boxes of a data set as tensors.

    Args:
        samples: The data set. Sizes that it does not tell are read from the image files.
        resize: How images are resized.

    Attributes:
        num_boxes: `(I,)` int. Boxes of each of the I images.
        resized: `(I, 2)` int. Height and width of each image after resizing.
        dtype: NumPy type of the resized images.

    Raises:
        ValueError: There are no samples.
        DataError: An image whose size is needed cannot be read.
    """

    def __init__(self, samples: Iterable[Sample], resize: ResizeConfig) -> None:
        samples = list(samples)
        if not samples:
            raise ValueError("No samples: at least one image is needed; check the data set's path and the limit.")
        self._resize = resize
        sizes = np.array(_sizes(samples), np.int64)
        self.resized = np.stack(resized_size(sizes[:, 0], sizes[:, 1], resize), axis=1)
        self.num_boxes = np.array([len(sample["labels"]) for sample in samples])
        self._paths = tf.constant([os.fsencode(sample["image"]) for sample in samples], tf.string)
        self._sizes = tf.constant(sizes, tf.int32)
        self._scales = tf.constant(network_scale(self.resized, sizes, resize), tf.float32)
        self.dtype = resized_dtype(resize).as_numpy_dtype
        self._targets = tf.constant(self.resized, tf.int32)
        self._splits = tf.constant(np.concatenate([[0], np.cumsum(self.num_boxes)]), tf.int64)
        self._boxes = tf.constant(_joined(samples, "boxes", np.float32, (-1, 4)))
        self._labels = tf.constant(_joined(samples, "labels", np.int32, (-1,)))
        self._ignore = tf.constant(_joined(samples, "ignore", bool, (-1,)))

    def __len__(self) -> int:
        return len(self.resized)

    def scale(self, index: Tensor) -> Tensor:
        """`(…, 2)` float32 y, x: resized over stored pixels of image `index`."""
        return tf.gather(self._scales, index)

    def load_image(self, index: Tensor) -> Tensor:
        """Read, decode and resize image `index`: `(h, w, 3)` of `dtype`.

        Raises:
            tf.errors.InvalidArgumentError: The file is missing, damaged or of another size than annotated;
                `errors.from_tensorflow` turns this into a `DataError`.
        """
        path, size = self._paths[index], self._sizes[index]
        image = _decoded_or_empty(path)
        found = tf.shape(image)[:2]
        told = tf.strings.format("is {} pixels high and wide, but {} in the annotations", (found, size))
        checks = [
            _check(tf.size(image) > 0, path, "cannot be decoded as an image", "replace the file or take it out"),
            _check(
                tf.reduce_all(tf.logical_or(found == size, found == 0)),
                path,
                told,
                "correct the annotated size, or restore the file",
            ),
        ]
        with tf.control_dependencies(checks):  # or the resizing would fail first, and name nothing
            return resize_by_rule(tf.identity(image), self._targets[index], self._resize)

    def annotations(self, index: Tensor) -> dict[str, Tensor]:
        """Boxes of image `index` in resized pixels: `boxes (N, 4)`, `labels (N,)`, `ignore (N,)`."""
        start, end = self._splits[index], self._splits[index + 1]
        return {
            "boxes": resize_boxes(self._boxes[start:end], self.scale(index)),
            "labels": self._labels[start:end],
            "ignore": self._ignore[start:end],
        }


def _sizes(samples: list[Sample]) -> list[tuple[int, int]]:
    unknown = [sample["image"] for sample in samples if sample.get("size") is None]
    read = iter(read_sizes(unknown))
    return [sample.get("size") or next(read) for sample in samples]


def _joined(samples: list[Sample], key: str, dtype: Any, shape: tuple[int, ...]) -> Any:
    parts = [np.asarray(sample[key], dtype).reshape(shape) for sample in samples]  # type: ignore[literal-required]
    return np.concatenate(parts)


@tf.autograph.experimental.do_not_convert
def _read(path: Tensor) -> Tensor:
    return decode(tf.io.read_file(path))


def _decoded_or_empty(path: Tensor) -> Tensor:
    """The image, or one without pixels where the file cannot be read.

    Graphs know no `try`; a dataset of one element that leaves out failures is the nearest thing to it (0.5 ms).
    """
    attempt = tf.data.Dataset.from_tensors(path).map(_read).ignore_errors()
    empty = tf.data.Dataset.from_tensors(tf.zeros((0, 0, 3), tf.uint8))
    return attempt.concatenate(empty).take(1).get_single_element()


def _check(is_fine: Tensor, path: Tensor, found: Tensor, fix: str) -> Tensor:
    parts = tf.strings.join([path, found, "", fix], GRAPH_SEPARATOR)
    return tf.debugging.Assert(is_fine, [tf.strings.join([GRAPH_MARKS[0], parts, GRAPH_MARKS[1]])])
