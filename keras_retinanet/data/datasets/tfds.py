"""TensorFlow Datasets: any prepared data set of images with boxes, by its name.

Reference: https://www.tensorflow.org/datasets/catalog/overview#object_detection.
"""

from __future__ import annotations

import functools
import io
import os
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from keras_retinanet.data.box_columns import BoxColumns, select_rows
from keras_retinanet.data.datasets.annotated_images import AnnotatedImages
from keras_retinanet.data.datasets.box_cleaning import OnError
from keras_retinanet.data.datasets.class_names import label_of
from keras_retinanet.data.datasets.record_files import read_records
from keras_retinanet.data.error_collector import collect_errors
from keras_retinanet.data.errors import DataError, short_repr
from keras_retinanet.data.image_files import image_reference

_FLAGS = ("is_crowd", "is_difficult", "is_group_of")
_IDS = ("image/id", "image/filename", "image_id", "id", "filename")
_LAYOUT = "a feature of images, and a sequence with a BBoxFeature and a ClassLabel"


class _Keys(NamedTuple):
    """Names of the features that hold the image, its boxes and their classes."""

    image: str
    objects: str
    box: str
    label: str | None


class _Example(NamedTuple):
    image: str
    image_id: int | str
    size: tuple[int, int]
    boxes: Any
    labels: Any
    ignore: Any
    where: str


class TfdsDataset(AnnotatedImages):
    """A data set of TensorFlow Datasets that has been prepared on this machine.

    Takes whichever sequence of the features has boxes and class labels (`objects` of `coco` and `voc`, `bobjects` of
    `open_images_v4`). Boxes marked `is_crowd`, `is_difficult` or `is_group_of` become ignore regions. Nothing is
    downloaded. Images are read from their place in the TFRecord files.

    Args:
        path: The name, such as `voc/2007` or `coco/2017:1.1.0`; or the folder of one prepared version.
        set_name: A split, also a part of one (`train[:10%]`). Defaults to `train`.
        class_names: Names in the order of the labels wanted. Defaults to the data set's own.
        on_error: What to do with boxes outside their image or without area. Defaults to `"skip"`.

    Attributes:
        class_names: Names, label 0 first.

    Raises:
        DataError: The data set is not there, has no boxes, or something in it is broken.
        ImportError: TensorFlow Datasets is not installed.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        set_name: str | None = None,
        *,
        class_names: Sequence[str] | None = None,
        on_error: OnError = "skip",
    ) -> None:
        builder, split = _builder(os.fspath(path)), set_name or "train"
        keys = _keys(builder, os.fspath(path))
        own = _own_names(builder, keys)
        names = tuple(class_names) if class_names is not None else own
        shards = _shards(builder, split, os.fspath(path))
        examples = [example for shard in shards for example in _examples(builder, keys, *shard, on_error)]
        super().__init__(
            names,
            [example.image for example in examples],
            [example.image_id for example in examples],
            [example.size for example in examples],
            _columns(examples, own, names, on_error),
            listed_in=f"tfds:{os.fspath(path)}, {split}",
            on_error=on_error,
            sources=[file for file, _, _ in shards],
        )

    @staticmethod
    def default_sets(path: str | os.PathLike[str]) -> tuple[str, str | None]:
        """Names of the training set and, where there is one, of the validation set."""
        splits = _builder(os.fspath(path)).info.splits
        return "train", next((name for name in ("validation", "val") if name in splits), None)


def _builder(name: str) -> Any:
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise ImportError(
            f"tfds:{name} needs TensorFlow Datasets ({error}): pip install 'keras-retinanet[tfds]'."
        ) from None
    try:
        builder = tfds.builder_from_directory(name) if os.path.isdir(name) else tfds.builder(name)
    except Exception as error:  # a dozen kinds, with pages of text, for a name that is not known
        reason = short_repr(str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__, 120)
        fix = "correct the name, or give the folder of a prepared version"
        raise DataError(f"tfds:{name}", f"cannot be opened ({reason})", "a name of the catalogue", fix) from None
    if not builder.info.splits:
        fix = f"prepare it: `tfds build {name}`, or `tfds.builder({name!r}).download_and_prepare()`"
        raise DataError(f"tfds:{name}", f"is not in {builder.data_dir}", "a prepared data set", fix)
    return builder


def _keys(builder: Any, name: str) -> _Keys:
    import tensorflow_datasets as tfds

    features = builder.info.features
    image = next((key for key, kind in features.items() if isinstance(kind, tfds.features.Image)), None)
    for key, sequence in features.items():
        inner = getattr(sequence, "feature", None)
        if image is None or not isinstance(inner, tfds.features.FeaturesDict):
            continue
        box = next((part for part, kind in inner.items() if isinstance(kind, tfds.features.BBoxFeature)), None)
        label = next((part for part, kind in inner.items() if isinstance(kind, tfds.features.ClassLabel)), None)
        if box is not None:
            return _Keys(image, key, box, label)
    raise DataError(
        f"tfds:{name}", f"has the features {short_repr(list(features), 200)}", _LAYOUT, "choose another one"
    )


def _own_names(builder: Any, keys: _Keys) -> tuple[str, ...]:
    """Names of the class labels; of objects without a label the name of their feature."""
    if keys.label is None:
        return (keys.objects,)
    return tuple(builder.info.features[keys.objects].feature[keys.label].names)


def _shards(builder: Any, split: str, name: str) -> list[tuple[str, int, int]]:
    """File, first example and end of each piece of a split."""
    where = f"tfds:{name}"
    file_format = builder.info.file_format.value if builder.info.file_format else "tfrecord"
    if file_format != "tfrecord":
        fix = "prepare it with file_format='tfrecord'"
        raise DataError(where, f"is stored as {file_format}", "tfrecord files", fix)
    try:
        pieces = builder.info.splits[split].file_instructions
    except Exception as error:  # KeyError, ValueError, AssertionError: whatever the text of a split runs into
        reason = short_repr(" ".join(str(error).split()), 120)
        there = ", ".join(builder.info.splits)
        raise DataError(where, f"no split {split!r} ({reason})", there, "choose one of these") from None
    return [
        (os.fspath(piece.filename), piece.skip, piece.examples_in_shard if piece.take < 0 else piece.skip + piece.take)
        for piece in pieces
    ]


def _examples(builder: Any, keys: _Keys, file: str, first: int, end: int, on_error: OnError) -> Iterator[_Example]:
    for number, (position, content) in enumerate(read_records(file, on_error)):
        if number >= end:
            return
        if number >= first:
            where = f"{file}, record {number + 1}"
            read = functools.partial(_example, builder, keys, file, position, content, where)
            example = collect_errors(on_error, read, None)
            if example is not None:
                yield example


def _example(builder: Any, keys: _Keys, file: str, position: int, content: bytes, where: str) -> _Example | None:
    import tensorflow_datasets as tfds

    try:
        decoders = {keys.image: tfds.decode.SkipDecoding()}
        read = builder.info.features.deserialize_example_np(content, decoders=decoders)
        encoded = bytes(np.asarray(read[keys.image], object).item())
        with Image.open(io.BytesIO(encoded)) as image:
            size = (image.height, image.width)
    except Exception as error:  # of the parser, or of one of Pillow's plug-ins
        reason = short_repr(str(error), 100)
        raise DataError(where, f"cannot be read ({reason})", "what the features say", "prepare it anew") from None
    objects = read[keys.objects]
    shares = np.asarray(objects[keys.box], np.float64).reshape(-1, 4)  # y1, x1, y2, x2
    count = len(shares)
    flags = [np.asarray(objects[flag], bool) for flag in _FLAGS if flag in objects]
    found = np.asarray(next((read[key] for key in _IDS if key in read), where)).item()
    return _Example(
        image=image_reference(file, position + content.find(encoded), len(encoded)),
        image_id=found.decode("utf-8", "replace") if isinstance(found, bytes) else found,
        size=size,
        boxes=shares[:, [1, 0, 3, 2]] * np.array([size[1], size[0]] * 2, np.float64),
        labels=np.zeros(count, np.int64) if keys.label is None else np.asarray(objects[keys.label], np.int64),
        ignore=np.any(flags, axis=0) if flags else np.zeros(count, bool),
        where=where,
    )


def _columns(examples: list[_Example], own: Sequence[str], class_names: Sequence[str], on_error: OnError) -> BoxColumns:
    wanted = {name: label for label, name in enumerate(class_names)}
    owner = np.repeat(np.arange(len(examples)), [len(example.labels) for example in examples])

    def label_at(given: int, where: str) -> int:
        if not 0 <= given < len(own):  # -1: an annotation without a class
            raise DataError(where, f"class label {given}", f"0 to {len(own) - 1}", "prepare it anew")
        return label_of(own[given], wanted, where)

    labels = np.array(
        [
            collect_errors(on_error, functools.partial(label_at, label, example.where), -1)
            for example in examples
            for label in example.labels
        ],
        np.int64,
    )
    columns = BoxColumns(
        image=owner,
        boxes=np.concatenate([example.boxes for example in examples] or [np.zeros((0, 4))]),
        labels=labels,
        ignore=np.concatenate([example.ignore for example in examples] or [np.zeros(0, bool)]),
        name=lambda row: examples[owner[row]].where,
    )
    return select_rows(columns, labels >= 0)
