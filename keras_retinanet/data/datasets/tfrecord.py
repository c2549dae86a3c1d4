"""TFRecords in the schema of the TF Object Detection API: one `tf.train.Example` per image, including its file.

Reference: https://github.com/tensorflow/models/blob/master/research/object_detection/g3doc/using_your_own_dataset.md.
"""

from __future__ import annotations

import functools
import itertools
import os
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_retinanet.data.datasets.shared.annotations import Annotations
from keras_retinanet.data.datasets.shared.box_rows import BoxGroup, BoxRows
from keras_retinanet.data.datasets.shared.class_names import add_unlisted
from keras_retinanet.data.datasets.shared.label_map import read_label_map
from keras_retinanet.data.datasets.shared.reader import Layout, Reader
from keras_retinanet.data.datasets.shared.record_files import find_evidence, has_set, read_records, record_files
from keras_retinanet.data.error_collector import OnError, report_or_raise
from keras_retinanet.data.errors import DataError, short_repr
from keras_retinanet.data.file_headers import header_of
from keras_retinanet.data.image_files import image_reference
from keras_retinanet.data.image_headers import ImageHeader

_SIDES = tuple(f"image/object/bbox/{side}" for side in ("xmin", "ymin", "xmax", "ymax"))
_FLAGS = ("image/object/is_crowd", "image/object/difficult", "image/object/group_of")
_TRAIN, _VAL = ("train", "training", "trainval"), ("val", "validation", "valid", "eval", "minival")
_LISTS = {"bytes": "bytes_list", "float": "float_list", "int64": "int64_list"}
_FARTHEST = 2.0  # shares beyond this are pixels by mistake
_REMAKE = "write the records again (retinanet-convert-data … --to tfrecord)"


@dataclass(frozen=True)
class _Record:
    """One parsed example."""

    image: str
    image_id: int | str
    header: ImageHeader
    annotated_size: tuple[int, int] | None
    sides: array[float]
    names: list[str]
    ignore: list[bool] | None
    areas: array[float]
    where: str
    contradictions: list[tuple[int, str]]


class TfRecordDataset(Reader):
    """TFRecord files of the TF Object Detection API.

    Reads `image/encoded`, `image/source_id` (or `image/filename`) and, of the objects, `bbox/xmin` … `bbox/ymax` as
    shares of the image's sides, `class/text` or `class/label`, and `is_crowd`, `difficult` and `group_of`, which make
    ignore regions. Images stay in the record files: a sample's `image` names the file and the bytes, and is read
    without reading what precedes it. Therefore the files must not be compressed.

    `path` is a folder, a file, or a pattern such as `data/train.record-*`; in a folder, the set is a word of the files'
    names. It defaults to `train`, or to all files if none is named so.

    Args:
        classes: Label map (`.pbtxt`). Defaults to the one in the folder, otherwise to the sorted names of the records.
    """

    word = "tfrecord"
    summary = "TF Object Detection API records: folder, file or pattern; label map"
    optional_arguments = ("classes",)

    def read(self, *, classes: str | os.PathLike[str] | None = None) -> Annotations:
        """Read the records of all files."""
        files = record_files(self.path, self.set_name)
        map_file = Path(classes) if classes is not None else _find_map(Path(files[0]).parent, self.path)
        label_map = read_label_map(map_file) if map_file is not None else {}
        parse = functools.partial(_parse_record, label_map)
        found = [  # one by one: a broken record is left out, but a damaged file is an error
            record
            for file in files
            for numbered in _numbered_records(file, self.on_error)
            for record in self.parse_each([numbered], parse)
        ]
        records = _unique(found, self.on_error)
        rows = BoxRows()
        for image, record in enumerate(records):
            group = BoxGroup(f"{record.where}, object", record.names, record.sides, None, record.ignore)
            rows.add(image, group, record.areas)
        has_map = map_file is not None or self.wanted_classes is not None
        notes = [] if has_map else [f"{self.path}: no label map; labels follow the sorted class names of the records"]
        names, unlisted = add_unlisted([*label_map.values()], rows.sorted_names(), str(map_file))
        notes += [*_describe_contradictions(records, label_map, map_file), *unlisted]
        return Annotations(
            listed_in=files[0],
            class_names=names,
            images=[record.image for record in records],
            image_ids=[record.image_id for record in records],
            headers=[record.header for record in records],
            is_relative=True,
            annotated_sizes=[record.annotated_size for record in records],
            boxes=rows,
            category_ids={name: number for number, name in label_map.items()} or None,
            sources=[*files, str(Path(files[0]).parent), *([str(map_file)] if map_file is not None else [])],
            notes=notes,
        )

    @classmethod
    def find_layout(cls, path: str | os.PathLike[str]) -> Layout | None:
        """Recognise record files by their first record."""
        found = find_evidence(Path(path))
        return None if found is None else Layout(cls.word, Path(path), *found)

    @classmethod
    def default_sets(cls, path: str | os.PathLike[str]) -> tuple[str, str | None]:
        """Names of the training set and, if there is one, of the validation set; `"."` is all files."""
        train = next((name for name in _TRAIN if has_set(path, name)), ".")
        return train, next((name for name in _VAL if has_set(path, name)), None)


def _find_map(folder: Path, home: Path) -> Path | None:
    """The only label map next to the records, else the only one in the folder of the data set."""
    maps = [sorted(place.glob("*.pbtxt")) for place in (folder, home) if place.is_dir()]
    return next((found[0] for found in maps if len(found) == 1), None)


def _numbered_records(file: str, on_error: OnError) -> Iterator[tuple[str, int, int, bytes]]:
    for number, (position, content) in enumerate(read_records(file, on_error), start=1):
        yield file, number, position, content


def _parse_record(label_map: dict[int, str], numbered: tuple[str, int, int, bytes]) -> _Record:
    file, number, position, content = numbered
    where = f"{file}, record {number}"
    features = _features(content, where)

    def values(key: str, kind: str, count: int | None = None) -> list[Any]:
        return _values(features, key, kind, where, count)

    encoded = next(iter(values("image/encoded", "bytes")), b"")
    header = _header(encoded, where)
    columns = [values(side, "float") for side in _SIDES]
    count = len(columns[0])
    if any(len(column) != count for column in columns):
        named = ", ".join(side.rpartition("/")[2] for side in _SIDES)
        found = f"{', '.join(str(len(column)) for column in columns)} values of {named}"
        raise DataError(where, found, "as many of each", _REMAKE)
    boxes = list(zip(*columns, strict=True))
    sides = list(itertools.chain.from_iterable(boxes))
    if any(abs(side) > _FARTHEST for side in sides):
        worst = next(box for box in boxes if any(abs(side) > _FARTHEST for side in box))
        allowed, fix = "shares of the image's sides", f"divide by its size, or {_REMAKE}"
        raise DataError(where, f"box {short_repr(list(worst), 100)}", allowed, fix)
    flags = [flag for name in _FLAGS if (flag := values(name, "int64", count))]
    areas = values("image/object/area", "float", count)
    return _Record(
        image=image_reference(file, position + content.find(encoded), len(encoded)),
        image_id=_image_id(values("image/source_id", "bytes"), values("image/filename", "bytes"), where),
        header=header,
        annotated_size=_annotated_size(values("image/height", "int64"), values("image/width", "int64")),
        sides=array("d", sides),
        names=(names := _names(values, count, label_map, where)),
        contradictions=_contradictions(values("image/object/class/label", "int64"), names, label_map),
        ignore=list(map(any, zip(*flags, strict=True))) if flags else None,
        areas=array("d", areas),
        where=where,
    )


def _features(content: bytes, where: str) -> Any:
    import tensorflow as tf
    from google.protobuf.message import DecodeError

    try:
        return tf.train.Example.FromString(content).features.feature
    except DecodeError:
        raise DataError(where, "is not a tf.train.Example", "the TF Object Detection API's schema", _REMAKE) from None


def _values(features: Any, key: str, kind: str, where: str, count: int | None) -> list[Any]:
    """Values of a feature, none if it is missing; `count` values or none, if a count is given."""
    if key not in features:
        return []
    feature = features[key]
    values = list(getattr(feature, _LISTS[kind]).value)
    found = feature.WhichOneof("kind") if not values else None
    if (
        found is not None and len(getattr(feature, found).value) and found != f"{kind}_list"
    ):  # an empty list may have lost its kind
        raise DataError(where, f"{key} is a {found}", f"a {kind}_list", _REMAKE)
    if count is not None and len(values) not in (0, count):
        raise DataError(where, f"{len(values)} values of {key} for {count} boxes", "one per box", _REMAKE)
    return values


def _header(encoded: bytes, where: str) -> ImageHeader:
    """The header of the image; its size is used, and not `image/height`."""
    if not encoded:
        fix = f"{_REMAKE}; or convert the annotations that they were made from"
        raise DataError(where, "has no image/encoded", "the bytes of an image file", fix)
    header = header_of(encoded)
    if header is None:
        raise DataError(where, "image/encoded cannot be read", "an image file", _REMAKE)
    return header


def _annotated_size(heights: list[int], widths: list[int]) -> tuple[int, int] | None:
    return (heights[0], widths[0]) if len(heights) == len(widths) == 1 and min(heights[0], widths[0]) > 0 else None


def read_encoded_image(record: bytes, where: str) -> tuple[str, bytes]:
    """The image of a record without its annotations.

    Args:
        record: A `tf.train.Example`.
        where: File and number of the record.

    Returns:
        File name or ID, and the encoded bytes, empty if there are none.

    Raises:
        DataError: It is not an example, or a feature has the wrong kind.
    """
    features = _features(record, where)
    names = [*_values(features, "image/filename", "bytes", where, None)]
    names += _values(features, "image/source_id", "bytes", where, None)
    name = next((value for value in names if value), where.encode()).decode("utf-8", "replace")
    return name, next(iter(_values(features, "image/encoded", "bytes", where, None)), b"")


def _image_id(source_ids: list[bytes], file_names: list[bytes], where: str) -> int | str:
    text = next((value for value in (*source_ids, *file_names) if value), where.encode()).decode("utf-8", "replace")
    is_number = text.isascii() and text.isdigit() and len(text) < 19 and str(int(text)) == text
    return int(text) if is_number else text


def _names(values: Any, count: int, label_map: dict[int, str], where: str) -> list[str]:
    """Class name of each box: its text, or its ID looked up in the label map, or its ID as text."""
    texts = values("image/object/class/text", "bytes", count)
    ids = values("image/object/class/label", "int64", count)
    if len(texts) == count and all(texts):
        return [text.decode("utf-8", "replace") for text in texts]
    if len(ids) != count:
        raise DataError(where, "has boxes without classes", "image/object/class/text or …/label", _REMAKE)
    if label_map and (unknown := [number for number in ids if number not in label_map]):
        fix = "add it to the label map or correct the record"
        raise DataError(where, f"unknown class id {unknown[0]}", short_repr(list(label_map), 200), fix)
    return [label_map.get(number, str(number)) for number in ids]


def _contradictions(ids: list[int], names: list[str], label_map: dict[int, str]) -> list[tuple[int, str]]:
    """Number and text of the boxes whose text is not what the label map calls their number."""
    pairs = zip(ids, names, strict=True) if label_map and len(ids) == len(names) else ()
    return [(number, name) for number, name in pairs if label_map.get(number) != name]


def _describe_contradictions(records: list[_Record], label_map: dict[int, str], file: Path | None) -> list[str]:
    found = [pair for record in records for pair in record.contradictions]
    if not found:
        return []
    number, name = found[0]
    there = short_repr(label_map[number]) if number in label_map else "not in it"
    what = f"{len(found)} boxes have a text that is not what {file} calls their number"
    return [f"{what} (number {number} is {there}, the text is {short_repr(name)}): the text is used"]


def _unique(records: list[_Record], on_error: OnError) -> list[_Record]:
    """The first record of each ID; others are errors."""
    seen: dict[int | str, _Record] = {}
    for record in records:
        first = seen.setdefault(record.image_id, record)
        if first is not record:
            found = f"image/source_id {short_repr(record.image_id)} occurs twice (first in {first.where})"
            report_or_raise(on_error, DataError(record.where, found, "each ID once", "give each image its own"))
    return list(seen.values())
