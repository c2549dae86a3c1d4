"""TensorFlow Datasets: any prepared data set of images with boxes, by its name.

Reference: https://www.tensorflow.org/datasets/catalog/overview#object_detection.
"""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from keras_retinanet.data.box_columns import BoxColumns, select_rows
from keras_retinanet.data.datasets.shared.annotations import Annotations
from keras_retinanet.data.datasets.shared.reader import Layout, Reader
from keras_retinanet.data.datasets.shared.record_files import read_records
from keras_retinanet.data.error_collector import OnError, report_or_raise
from keras_retinanet.data.errors import DataError, short_repr
from keras_retinanet.data.file_headers import header_of
from keras_retinanet.data.image_files import image_reference
from keras_retinanet.data.image_headers import ImageHeader
from keras_retinanet.extras import install_hint

_FLAGS = ("is_crowd", "is_difficult", "is_group_of")
_FEATURES, _INFO = "features.json", "dataset_info.json"
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
    header: ImageHeader
    boxes: Any
    labels: Any
    ignore: Any
    where: str


class TfdsDataset(Reader):
    """A data set of TensorFlow Datasets that has been prepared on this machine.

    Uses whichever sequence of the features has boxes and class labels (`objects` of `coco` and `voc`, `bobjects` of
    `open_images_v4`). Boxes marked `is_crowd`, `is_difficult` or `is_group_of` become ignore regions. Nothing is
    downloaded. Images are read from their place in the TFRecord files.

    `path` is the name, such as `voc/2007` or `coco/2017:1.1.0`, or the folder of a prepared data set, whose newest
    version is read; a set is a split, also a part of one (`train[:10%]`).
    """

    word = "tfds"
    summary = "a prepared TensorFlow Dataset, such as voc/2007; also as tfds:NAME"
    path_metavar = "NAME"
    usual_validation = "validation"

    def read(self) -> Annotations:
        """Read the examples of a split.

        Raises:
            DataError: The data set does not exist, has no boxes, or something in it is broken.
            ImportError: TensorFlow Datasets is not installed.
        """
        name = str(self.path)
        builder = _builder(name)
        keys = _keys(builder, name)
        own = _own_names(builder, keys)
        shards = _shards(builder, self.set_name, name)
        examples = [example for shard in shards for example in self._examples(builder, keys, *shard)]
        return Annotations(
            listed_in=f"tfds:{name}, {self.set_name}",
            class_names=own,
            images=[example.image for example in examples],
            image_ids=[example.image_id for example in examples],
            headers=[example.header for example in examples],
            boxes=_columns(examples, len(own), self.tolerance),
            sources=[file for file, _, _ in shards],
        )

    def _examples(self, builder: Any, keys: _Keys, file: str, first: int, end: int) -> Iterator[_Example]:
        """Examples of a part of a file; a broken one is left out, but a damaged file is an error."""
        parse = functools.partial(_example, builder, keys, file)
        for numbered in itertools.islice(enumerate(read_records(file, self.on_error), start=1), first, end):
            yield from self.parse_each([numbered], parse)

    @classmethod
    def find_layout(cls, path: str | os.PathLike[str]) -> Layout | None:
        """Recognise the folder of a prepared data set, or of one configuration or version, by `features.json`."""
        folder = _find_version(path)
        if folder is None:
            return None
        evidence = os.path.relpath(folder / _FEATURES, path)
        return Layout(cls.word, Path(path), evidence, 3, "TensorFlow Datasets")

    @classmethod
    def default_sets(cls, path: str | os.PathLike[str]) -> tuple[str, str | None]:
        """Names of the training set and, if there is one, of the validation set."""
        splits = _builder(os.fspath(path)).info.splits
        return "train", next((name for name in ("validation", "val") if name in splits), None)


def _find_version(path: str | os.PathLike[str]) -> Path | None:
    """Folder of the newest prepared version at or below a path; never raises."""
    try:
        found = [file for depth in ("", "*/", "*/*/") for file in Path(path).glob(depth + _FEATURES)]
        folders = [file.parent for file in found if (file.parent / _INFO).is_file()]
    except (OSError, ValueError):
        return None

    def version(folder: Path) -> tuple[int, ...]:
        return tuple(int(number) for number in folder.name.split(".") if number.isdecimal())

    homes = {folder.parent for folder in folders}
    return max(folders, key=version) if len(homes) == 1 else None


def _builder(name: str) -> Any:
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise ImportError(f"tfds:{name} needs TensorFlow Datasets ({error}): {install_hint('tfds')}.") from None
    try:
        folder = _find_version(name)
        builder = tfds.builder_from_directory(str(folder)) if folder is not None else tfds.builder(name)
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


def _example(builder: Any, keys: _Keys, file: str, numbered: tuple[int, tuple[int, bytes]]) -> _Example:
    import tensorflow_datasets as tfds

    number, (position, content) = numbered
    where = f"{file}, record {number}"
    try:
        decoders = {keys.image: tfds.decode.SkipDecoding()}
        read = builder.info.features.deserialize_example_np(content, decoders=decoders)
        encoded = bytes(np.asarray(read[keys.image], object).item())
        header = header_of(encoded)
    except Exception as error:  # of the parser
        reason = short_repr(str(error), 100)
        raise DataError(where, f"cannot be read ({reason})", "what the features say", "prepare it again") from None
    if header is None:
        raise DataError(where, "has an image that cannot be read", "what the features say", "prepare it again")
    objects = read[keys.objects]
    shares = np.asarray(objects[keys.box], np.float64).reshape(-1, 4)  # y1, x1, y2, x2
    count = len(shares)
    flags = [np.asarray(objects[flag], bool) for flag in _FLAGS if flag in objects]
    found = np.asarray(next((read[key] for key in _IDS if key in read), where)).item()
    return _Example(
        image=image_reference(file, position + content.find(encoded), len(encoded)),
        image_id=found.decode("utf-8", "replace") if isinstance(found, bytes) else found,
        header=header,
        boxes=shares[:, [1, 0, 3, 2]],
        labels=np.zeros(count, np.int64) if keys.label is None else np.asarray(objects[keys.label], np.int64),
        ignore=np.any(flags, axis=0) if flags else np.zeros(count, bool),
        where=where,
    )


def _columns(examples: list[_Example], num_classes: int, on_error: OnError) -> BoxColumns:
    owner = np.repeat(np.arange(len(examples)), [len(example.labels) for example in examples])
    labels = np.concatenate([example.labels for example in examples] or [np.zeros(0, np.int64)])
    is_known = (labels >= 0) & (labels < num_classes)
    for row in np.flatnonzero(~is_known):  # -1: an annotation without a class
        found, allowed = f"class label {labels[row]}", f"0 to {num_classes - 1}"
        report_or_raise(on_error, DataError(examples[owner[row]].where, found, allowed, "prepare it again"))
    columns = BoxColumns(
        image=owner,
        boxes=np.concatenate([example.boxes for example in examples] or [np.zeros((0, 4))]),
        labels=labels,
        ignore=np.concatenate([example.ignore for example in examples] or [np.zeros(0, bool)]),
        name=lambda row: examples[owner[row]].where,
        is_relative=True,
    )
    return select_rows(columns, is_known)
