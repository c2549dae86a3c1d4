"""Checks the batches that a user's own code hands to `fit`, so that a mistake is named before anything is learned."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_type_hints

import keras
import numpy as np

from keras_retinanet.model.image_checks import check_images
from keras_retinanet.schema import Targets

SHAPES = {
    "boxes": "(B, N, 4) x1, y1, x2, y2 in pixels",
    "labels": "(B, N) whole numbers",
    "ignore": "(B, N), 0 or 1",
    "size": "(B, 2) height and width of each image before padding",
    "image_index": "(B,) whole numbers",
}
"""What each entry of `schema.Targets` is."""

_RANKS = {"boxes": 3, "labels": 2, "ignore": 2, "size": 2, "image_index": 1}
_WHOLE = ("labels", "image_index")


class CheckedBatches:
    """The arguments of `fit`, of which the first batch is checked; targets in memory are checked whole.

    A `tf.data.Dataset` is not read twice: its first batch is checked on its way. Batches of a PyTorch `DataLoader` are
    not checked here.

    Args:
        x: As in `keras.Model.fit`.
        y: As in `keras.Model.fit`.
        class_names: Names of the labels.

    Attributes:
        x: To be passed on.
        y: To be passed on.
        error: What is wrong with a batch, once a dataset came upon it.

    Raises:
        ValueError: Targets are wrong; the message names sample and entry.
    """

    def __init__(self, x: Any, y: Any, class_names: Sequence[str]) -> None:
        self.x, self.y, self._names = x, y, tuple(class_names)
        self.error: ValueError | None = None
        if y is not None:
            check_images(x)
            check_targets(y, class_names, images=x, where="")
        elif _is_tensorflow_dataset(x):
            self.x = self._watched(x)
        elif isinstance(x, keras.utils.PyDataset):
            self._check(x[0])
        elif isinstance(x, Iterator):
            first = next(x, None)
            if first is not None:
                self._check(first)
                self.x = _chain(first, x)

    def _check(self, batch: Any) -> None:
        if not isinstance(batch, (tuple, list)) or len(batch) < 2:
            raise ValueError(f"a batch is a {type(batch).__name__}; allowed: a pair of images and targets.")
        check_images(batch[0])
        check_targets(batch[1], self._names, images=batch[0])

    def _watched(self, dataset: Any) -> Any:
        import tensorflow as tf

        if not isinstance(dataset.element_spec, tuple) or len(dataset.element_spec) < 2:
            raise ValueError("the dataset yields no pairs; allowed: batches of images and targets.")
        check_images(dataset.element_spec[0])

        def run(*values: Any) -> Any:
            try:
                self._check(tf.nest.pack_sequence_as(dataset.element_spec, list(values)))
            except ValueError as error:
                self.error = error
                raise
            return np.bool_(True)

        @tf.autograph.experimental.do_not_convert
        def watch(number: Any, batch: Any) -> Any:
            values = tf.nest.flatten(batch)
            is_fine = tf.cond(number == 0, lambda: tf.numpy_function(run, values, tf.bool), lambda: tf.constant(True))
            with tf.control_dependencies([is_fine]):
                return tf.nest.map_structure(tf.identity, batch)

        return dataset.enumerate().map(watch)


def _is_tensorflow_dataset(x: Any) -> bool:
    return hasattr(x, "element_spec") and type(x).__module__.startswith("tensorflow.")


def _chain(first: Any, rest: Iterator[Any]) -> Iterator[Any]:
    """The batches again; the first has a row more where Keras would conclude that all have as many boxes.

    On the TensorFlow backend, it takes a side for fixed in which the first two batches of a generator agree.
    """
    second = next(rest, None)
    if keras.backend.backend() == "tensorflow" and second is not None and _num_rows(first) == _num_rows(second):
        first = _with_another_row(first)
    yield first
    if second is not None:
        yield second
        yield from rest


def _num_rows(batch: Any) -> int | None:
    """N; `None` where the batch is none."""
    targets = batch[1] if isinstance(batch, (tuple, list)) and len(batch) > 1 else None
    shape = np.shape(targets["boxes"]) if isinstance(targets, Mapping) and "boxes" in targets else ()
    return shape[1] if len(shape) == 3 else None


def _with_another_row(batch: Any) -> Any:
    """A batch with a row of padding after its boxes."""

    def pad(name: str, value: Any) -> Any:
        array = _array(value)
        sides = [(0, 0), (0, 1), (0, 0)][: array.ndim]
        return np.pad(array, sides, constant_values=-1 if name == "labels" else 0)

    rows = {name: pad(name, batch[1][name]) for name in ("boxes", "labels", "ignore")}
    return (batch[0], {**batch[1], **rows}, *batch[2:])


def check_targets(
    targets: Any, class_names: Sequence[str], *, images: Any = None, where: str = " of the first batch"
) -> None:
    """Check the targets of a batch, or of all samples.

    Args:
        targets: Should be `schema.Targets`.
        class_names: Names of the labels.
        images: The images, of which shape and number are compared. Defaults to `None`.
        where: What follows the number of a sample in messages. Defaults to `" of the first batch"`.

    Raises:
        ValueError: They are wrong; the message names sample and entry, what is allowed, and what to do.
    """
    require_entries(targets)
    arrays = {name: _array(targets[name]) for name in SHAPES}
    _check_shapes(arrays, np.shape(images) if images is not None else ())
    _check_labels(arrays["labels"], class_names, where)
    _check_boxes(arrays["boxes"], arrays["labels"] >= 0, where)
    _check_sizes(arrays["size"], np.shape(images) if images is not None else (), where)


def require_entries(targets: Any) -> None:
    """Check that no entry of `schema.Targets` is missing.

    Raises:
        ValueError: It is not a mapping, or lacks an entry.
    """
    names = list(get_type_hints(Targets))
    if not isinstance(targets, Mapping):
        raise ValueError(f"targets are a {type(targets).__name__}; allowed: a dict with {', '.join(names)}.")
    missing = [name for name in names if name not in targets]
    if missing:
        what = ", ".join(f"{name!r}: {SHAPES[name]}" for name in missing)
        raise ValueError(f"targets lack {what}; they have {', '.join(map(str, targets)) or 'nothing'}.")


def _array(values: Any) -> Any:
    return values if isinstance(values, np.ndarray) else keras.ops.convert_to_numpy(values)


def _check_shapes(arrays: Mapping[str, Any], images: Sequence[int]) -> None:
    counts = {"images": images[0]} if len(images) else {}
    for name, array in arrays.items():
        is_right = array.ndim == _RANKS[name] and array.dtype.kind in ("iu" if name in _WHOLE else "iufb")
        is_right &= array.shape[2:] == (4,) if name == "boxes" else name != "size" or array.shape[1:] == (2,)
        if not is_right:
            found = f"targets[{name!r}] is an array of shape {array.shape} and {array.dtype}"
            raise ValueError(f"{found}; allowed: {SHAPES[name]}.")
        counts[name] = len(array)
    if len(set(counts.values())) > 1:
        found = ", ".join(f"{count} {name}" for name, count in counts.items())
        raise ValueError(f"images and targets differ in their number of samples: {found}.")
    boxes = {name: arrays[name].shape[1] for name in ("boxes", "labels", "ignore")}
    if len(set(boxes.values())) > 1:
        found = ", ".join(f"targets[{name!r}] has {count}" for name, count in boxes.items())
        raise ValueError(f"entries differ in their number of boxes N: {found}.")


def _check_labels(labels: Any, class_names: Sequence[str], where: str) -> None:
    wrong = (labels < -1) | (labels >= len(class_names))
    if not wrong.any():
        return
    sample, box = np.argwhere(wrong)[0]
    last = len(class_names) - 1
    names = ", ".join(class_names[:10]) + (" …" if last >= 10 else "")
    used = labels[labels != -1]
    from_one = used.min() >= 1 and used.max() == last + 1
    fix = "They seem to count from 1: subtract 1, but leave -1 as it is." if from_one else "Map your ids to them."
    raise ValueError(
        f"targets['labels'], sample {sample}{where}, box {box}: {labels[sample, box]}; allowed: 0 … {last} ({names}), "
        f"and -1 for rows that are no boxes. {fix}"
    )


def _check_boxes(boxes: Any, is_box: Any, where: str) -> None:
    is_finite = np.isfinite(boxes).all(axis=-1)
    has_area = (boxes[..., 2] > boxes[..., 0]) & (boxes[..., 3] > boxes[..., 1])
    wrong = ~is_finite | (is_box & ~has_area)
    if not wrong.any():
        return
    sample, box = np.argwhere(wrong)[0]
    what = f"targets['boxes'], sample {sample}{where}, box {box}: {np.round(boxes[sample, box], 3).tolist()}"
    if not is_finite[sample, box]:
        raise ValueError(f"{what}; allowed: finite numbers. Leave the box out, or give it the label -1 and zeros.")
    fix = "Convert x, y, width, height to x1, y1, x2, y2; leave out boxes without area."
    raise ValueError(f"{what}; allowed: x1 < x2 and y1 < y2. {fix}")


def _check_sizes(sizes: Any, images: Sequence[int], where: str) -> None:
    limit = np.array(images[1:3]) if len(images) == 4 else np.inf
    wrong = ~((sizes > 0) & (sizes <= limit))
    if wrong.any():
        sample = np.argwhere(wrong)[0][0]
        most = f" up to {images[1]} and {images[2]}" if len(images) == 4 else ""
        raise ValueError(
            f"targets['size'], sample {sample}{where}: {sizes[sample].tolist()}; allowed: height and width of images, "
            f"in pixels of the batch before padding,{most or ' above 0'}."
        )
