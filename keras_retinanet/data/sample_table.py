"""Holds all samples as a few tensors, so that a tf.data graph can load any of them by index."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_retinanet.config import ResizeConfig
from keras_retinanet.data.bad_images import GREY, BadImages, CutOffImages
from keras_retinanet.data.batch_shapes import choose_batch_shapes
from keras_retinanet.data.datasets.shared.annotated_images import AnnotatedImages
from keras_retinanet.data.decode_file import UNDECODED, Decoded
from keras_retinanet.data.decode_in_graph import decode_file_in_graph
from keras_retinanet.data.errors import GRAPH_MARKS, GRAPH_SEPARATOR
from keras_retinanet.data.exif import UPRIGHT
from keras_retinanet.data.exif_graph import turn_in_graph
from keras_retinanet.data.image import decode, resize_boxes, resize_by_rule, resized_dtype
from keras_retinanet.data.image_files import ByteRange, byte_range, read_sizes
from keras_retinanet.data.resized_sizes import network_scale, padded_size, resized_size
from keras_retinanet.data.sample_checks import check_samples
from keras_retinanet.schema import Sample, Tensor

MAX_KEPT = 2
"""Stored over resized pixels up to which it is cheaper to augment an image before it is resized."""


class SampleTable:
    """Paths, sizes and boxes of a data set as tensors.

    Args:
        samples: The data set. Missing sizes are read from the image files.
        resize: The resize rule.
        bad_images: Tracks broken images, which are replaced by grey ones without boxes. Defaults to `None`: a broken
            image is an error.
        cut_off: Counts JPEGs without their last bytes. Defaults to `None`: they are used all the same.

    Attributes:
        num_boxes: `(I,)` int. Boxes of each of the I images.
        sizes: `(I, 2)` int. Height and width of each image, upright if it is turned.
        resized: `(I, 2)` int. Height and width of each image after resizing.
        unresized: `(I, 2)` int. Those by `load_unresized`: of the stored image, or `resized` if that is much smaller or
            the resize rule has its own arithmetic.
        dtype: NumPy type of the resized images.

    Raises:
        ValueError: There are no samples.
        DataError: A sample is wrong, or an image whose size is needed cannot be read.
    """

    def __init__(
        self,
        samples: Iterable[Sample],
        resize: ResizeConfig,
        bad_images: BadImages | None = None,
        cut_off: CutOffImages | None = None,
    ) -> None:
        samples = samples if isinstance(samples, AnnotatedImages) else list(samples)
        if not len(samples):
            raise ValueError("No samples: at least one image is needed; check the data set's path and the limit.")
        if not isinstance(samples, AnnotatedImages):  # which its reader has checked
            check_samples(samples)
        self._resize, self._bad_images, self._cut_off = resize, bad_images, cut_off or CutOffImages()
        self.sizes = sizes = np.array(_sizes(samples), np.int64)
        self.resized = np.stack(resized_size(sizes[:, 0], sizes[:, 1], resize), axis=1)
        self.num_boxes = np.array([len(sample["labels"]) for sample in samples])
        self._names = tf.constant([os.fsencode(sample["image"]) for sample in samples], tf.string)
        self._ranges = _ranges([sample["image"] for sample in samples])
        self._sizes = tf.constant(sizes, tf.int32)
        self._orientations = _orientations(samples)
        self._scales = tf.constant(network_scale(self.resized, sizes, resize), tf.float32)
        self.dtype = resized_dtype(resize).as_numpy_dtype
        self._targets = tf.constant(self.resized, tf.int32)
        pixels = self.resized.prod(axis=1) * (MAX_KEPT if resize.method == "bilinear" and not resize.antialias else 0)
        is_kept = sizes.prod(axis=1) <= pixels
        self.unresized = np.where(is_kept[:, None], sizes, self.resized)
        self._is_kept, self._unresized = tf.constant(is_kept), tf.constant(self.unresized, tf.int32)
        self._splits = tf.constant(np.concatenate([[0], np.cumsum(self.num_boxes)]), tf.int64)
        self._boxes = tf.constant(_concatenate(samples, "boxes", np.float32, (-1, 4)))
        self._labels = tf.constant(_concatenate(samples, "labels", np.int32, (-1,)))
        self._ignore = tf.constant(_concatenate(samples, "ignore", bool, (-1,)))

    def __len__(self) -> int:
        return len(self.resized)

    @property
    def label_count(self) -> int:
        """The largest label, plus 1."""
        return 1 + int(np.max(self._labels, initial=-1))

    def group_by_shape(self, max_shapes: int, batch_size: int) -> tuple[list[tuple[int, int]], Any]:
        """Few batch shapes for all images; see `choose_batch_shapes`.

        Returns:
            The shapes `(H, W)`, and for each image the position of its own, `(I,)`.
        """
        padded = np.stack(padded_size(self.resized[:, 0], self.resized[:, 1], self._resize), axis=1)
        return choose_batch_shapes(
            padded, pad_multiple=self._resize.pad_multiple, max_shapes=max_shapes, batch_size=batch_size
        )

    def name(self, index: Tensor) -> Tensor:
        """`()` string: path of image `index`."""
        return tf.gather(self._names, index)

    def scale(self, index: Tensor) -> Tensor:
        """`(…, 2)` float32 y, x: resized over original pixels of image `index`."""
        return tf.gather(self._scales, index)

    def original_size(self, index: Tensor) -> Tensor:
        """`(…, 2)` int32 height and width of image `index`, upright if it is turned."""
        return tf.gather(self._sizes, index)

    def load(self, index: Tensor) -> dict[str, Tensor]:
        """Load image `index` and its boxes, in resized pixels.

        Returns:
            `image (h, w, 3)` of `dtype`, `boxes (N, 4)`, `labels (N,)`, `ignore (N,)`.

        Raises:
            tf.errors.InvalidArgumentError: The file is missing, damaged or of another size than annotated, and
                `bad_images` does not take care of that; `errors.from_tensorflow` turns this into a `DataError`.
        """
        image, is_whole = self.load_pixels(index)
        return {"image": image, **self.annotations(index, is_whole)}

    def load_unresized(self, index: Tensor) -> dict[str, Tensor]:
        """Load image `index` and its boxes, in pixels of `unresized`, with `resized_size (2,)`: see `placement`."""
        image, is_whole = self.load_pixels(index, is_resized=False)
        return {"image": image, **self.annotations(index, is_whole, is_resized=False)}

    def load_pixels(self, index: Tensor, is_resized: bool = True) -> tuple[Tensor, Tensor]:
        """Read, decode and resize image `index`: `(h, w, 3)` of `dtype`, and False if it was replaced.

        Args:
            index: Scalar int.
            is_resized: Resize it to `resized`; else to `unresized`. Defaults to `True`.

        Raises:
            tf.errors.InvalidArgumentError: As `load`.
        """
        name, size = self._names[index], self._sizes[index]
        image, reason = self._decode(index)
        image = self._upright(image, index)
        found = tf.shape(image)[:2]
        is_decoded, is_right = tf.size(image) > 0, tf.reduce_all(found == size)
        if self._bad_images is None:
            mismatch = _size_mismatch(found, size)
            undecoded = _check(is_decoded, name, reason, "replace or remove the file")
            checks = [
                undecoded,
                _check(is_right | ~is_decoded, name, mismatch, "correct the annotated size, or restore the file"),
            ]
            with tf.control_dependencies(checks):  # otherwise resizing fails first, without naming the file
                return self._resized(tf.identity(image), index, is_resized), tf.constant(True)
        report = self._bad_images.report_in_graph

        def replaced() -> tuple[Tensor, Tensor]:
            what = tf.where(is_decoded, _size_mismatch(found, size), reason)
            with tf.control_dependencies([report(name, what)]):
                target = (self._targets if is_resized else self._unresized)[index]
                return tf.fill(tf.concat([target, [3]], axis=0), tf.constant(GREY, self.dtype)), tf.constant(False)

        return tf.cond(
            is_decoded & is_right,
            lambda: (self._resized(image, index, is_resized), tf.constant(True)),
            replaced,
        )

    def _resized(self, image: Tensor, index: Tensor, is_resized: bool) -> Tensor:
        def resize() -> Tensor:
            return resize_by_rule(image, self._targets[index], self._resize)

        return resize() if is_resized else tf.cond(self._is_kept[index], lambda: tf.cast(image, self.dtype), resize)

    def load_image(self, index: Tensor) -> Tensor:
        """The image of `load` alone."""
        return self.load_pixels(index)[0]

    def annotations(self, index: Tensor, is_whole: Tensor = True, is_resized: bool = True) -> dict[str, Tensor]:
        """What `load`, or `load_unresized`, returns beside the image; without boxes unless the image is whole."""
        start = self._splits[index]
        end = tf.where(is_whole, self._splits[index + 1], start)
        scale, boxes = self.scale(index), self._boxes[start:end]
        if not is_resized:
            scale = tf.where(self._is_kept[index], 1.0, scale)
        return {
            **({} if is_resized else {"resized_size": self._targets[index]}),
            "boxes": resize_boxes(boxes, scale),
            "labels": self._labels[start:end],
            "ignore": self._ignore[start:end],
        }

    def _upright(self, image: Tensor, index: Tensor) -> Tensor:
        return image if self._orientations is None else turn_in_graph(image, self._orientations[index])

    def _decode(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """The image and `""`, or one without pixels and the reason.

        Graphs have no `try`; a dataset of one element that ignores errors is the closest equivalent (0.5 ms).
        """
        name, contents, bit_depth = self._names[index], self._attempt(index), self._resize.bit_depth

        def count(name: bytes, decoded: Decoded) -> None:
            if decoded.is_cut_off:
                self._cut_off.add(os.fsdecode(name))

        @tf.autograph.experimental.do_not_convert
        def decode_in_graph(contents: Tensor) -> tuple[Tensor, Tensor]:
            return decode(contents, bit_depth), tf.constant("")

        @tf.autograph.experimental.do_not_convert
        def decode_in_python(contents: Tensor) -> tuple[Tensor, Tensor]:
            return decode_file_in_graph(contents, name, count, bit_depth)

        unread = tf.data.Dataset.from_tensors((tf.zeros((0, 0, 3), tf.uint8), UNDECODED))
        attempts = contents.map(decode_in_graph).ignore_errors(), contents.map(decode_in_python).ignore_errors()
        return attempts[0].concatenate(attempts[1]).concatenate(unread).take(1).get_single_element()

    def _attempt(self, index: Tensor) -> tf.data.Dataset:
        """The bytes of an image as a data set of one element, which fails if they cannot be read."""
        if self._ranges is None:
            return tf.data.Dataset.from_tensors(self._names[index]).map(_read)
        # A data set of fixed-length records, with the rest of the file as header and footer, reads only this image.
        files, ranges, is_base64 = self._ranges
        start, length, rest = tf.unstack(ranges[index])
        contents = tf.data.FixedLengthRecordDataset(files[index], length, header_bytes=start, footer_bytes=rest)
        if is_base64 is None:
            return contents

        @tf.autograph.experimental.do_not_convert
        def decoded(content: Tensor) -> Tensor:
            return tf.cond(is_base64[index], lambda: _decode_base64(content), lambda: content)

        return contents.map(decoded)


def _size_mismatch(found: Tensor, size: Tensor) -> Tensor:
    return tf.strings.format("is {} pixels high and wide, but {} in the annotations", (found, size))


def _ranges(images: list[str]) -> tuple[Tensor, Tensor, Tensor | None] | None:
    """For images inside larger files: their files, `(I, 3)` bytes before, of and after each, and `(I,)` is base64.

    `None` if all images are files; the last is `None` if no image is in base64.
    """
    parts = [byte_range(image) for image in images]
    if not any(parts):
        return None
    whole = [part or ByteRange(image, 0, -1) for part, image in zip(parts, images, strict=True)]
    lengths = {file: _length(file) for file in {part.file for part in whole}}
    table = []
    for part in whole:
        length = lengths[part.file] if part.length < 0 else part.length
        table.append((part.start, max(length, 1), max(lengths[part.file] - part.start - length, 0)))
    files = tf.constant([os.fsencode(part.file) for part in whole], tf.string)
    is_base64 = [part.is_base64 for part in whole]
    return files, tf.constant(table, tf.int64), tf.constant(is_base64) if any(is_base64) else None


def _decode_base64(content: Tensor) -> Tensor:
    """Bytes from base64 in a JSON file, which may escape slashes; TensorFlow expects the alphabet of URLs."""
    return tf.io.decode_base64(tf.strings.regex_replace(tf.strings.regex_replace(content, r"\+", "-"), r"\\?/", "_"))


def _length(file: str) -> int:
    try:
        return os.path.getsize(file)
    except OSError:
        return 0  # reading fails later, and is handled there


def _orientations(samples: Sequence[Sample]) -> Tensor | None:
    """`(I,)` int32, or `None` if no image is turned: graphs then have no operation for it."""
    found = [sample.get("orientation", UPRIGHT) for sample in samples]
    return tf.constant(found, tf.int32) if max(found) > UPRIGHT else None


def _sizes(samples: Sequence[Sample]) -> list[tuple[int, int]]:
    unknown = [sample["image"] for sample in samples if sample.get("size") is None]
    read = iter(read_sizes(unknown))
    return [sample.get("size") or next(read) for sample in samples]


def _concatenate(samples: Sequence[Sample], key: str, dtype: Any, shape: tuple[int, ...]) -> Any:
    parts = [np.asarray(sample[key], dtype).reshape(shape) for sample in samples]  # type: ignore[literal-required]
    return np.concatenate(parts)


@tf.autograph.experimental.do_not_convert
def _read(path: Tensor) -> Tensor:
    return tf.io.read_file(path)


def _check(is_fine: Tensor, path: Tensor, found: Tensor, fix: str) -> Tensor:
    parts = tf.strings.join([path, found, "", fix], GRAPH_SEPARATOR)
    return tf.debugging.Assert(is_fine, [tf.strings.join([GRAPH_MARKS[0], parts, GRAPH_MARKS[1]])])
