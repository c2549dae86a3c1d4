"""A data set in memory, one sample per image."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self, overload

import numpy as np

from keras_retinanet.data.box_columns import BoxColumns, BoxReport
from keras_retinanet.data.datasets.shared.accounting import account_for_files
from keras_retinanet.data.datasets.shared.annotations import Annotations
from keras_retinanet.data.datasets.shared.bit_depths import choose_bit_depths
from keras_retinanet.data.datasets.shared.box_cleaning import check_coordinates, clip_boxes
from keras_retinanet.data.datasets.shared.frames import FrameRule, choose_frames, size_in_frame
from keras_retinanet.data.datasets.shared.missing_images import (
    leave_out_missing,
    leave_out_other_sizes,
    leave_out_unreadable,
)
from keras_retinanet.data.error_collector import ErrorCollector, OnError
from keras_retinanet.data.errors import short_repr
from keras_retinanet.data.file_headers import read_headers
from keras_retinanet.data.image_files import read_sizes
from keras_retinanet.data.image_headers import ImageHeader
from keras_retinanet.schema import Sample, Size


@dataclass
class Index:
    """A data set as read and checked; what the index cache stores.

    Attributes:
        class_names: Names, label 0 first.
        images: Paths of the image files, or references into record files.
        image_ids: The source's ID of each image.
        sizes: `(I, 2)` int64. Height and width, turned if the image is.
        boxes: `(M, 4)` float32, sorted by image.
        labels: `(M,)` int32.
        ignore: `(M,)` bool.
        areas: `(M,)` float64, or `None`.
        orientations: `(I,)` uint8. EXIF orientation to apply; 1 where it is ignored, 0 where the file has none.
        bit_depths: `(I,)` uint8. Bits of the values of 16-bit images as measured in the data set; 0 for others.
        splits: `(I + 1,)` int64. Image i has the boxes `splits[i]` to `splits[i + 1]`.
        report: Boxes left out and clipped, and notes.
        category_ids: The source's own ID of each label, if it has any.
        sources: Files and folders that were read.
    """

    class_names: tuple[str, ...]
    images: list[str]
    image_ids: list[int | str]
    sizes: Any
    boxes: Any
    labels: Any
    ignore: Any
    areas: Any
    orientations: Any
    bit_depths: Any
    splits: Any
    report: BoxReport
    category_ids: tuple[int | None, ...] | None
    sources: list[str]


class AnnotatedImages(Sequence[Sample]):
    """A data set in memory.

    Images and the boxes of an image keep the order of the annotations. Boxes are clipped to their image; those left
    without area are removed, and `report` counts both.

    Args:
        annotations: Images and boxes. Each image file must exist.
        class_names: Names in the order of the labels wanted. Defaults to the data set's own.
        on_error: `"skip"` clips boxes or leaves them out; `"error"` raises at the first such box; an `ErrorCollector`
            records what was read, then skips. Defaults to `"skip"`.
        frame: Which pictures the boxes refer to, and the range of 16-bit values. Defaults to what the data show.

    Attributes:
        class_names: Names, label 0 first.
        report: Boxes left out and clipped, and notes.
        category_ids: The source's own ID of each label, or `None`.
        contents: Everything that was read.

    Raises:
        DataError: There is no image, an image is missing, or a box is broken.
    """

    def __init__(
        self,
        annotations: Annotations,
        *,
        class_names: Sequence[str] | None = None,
        on_error: OnError = "skip",
        frame: FrameRule | None = None,
    ) -> None:
        names = annotations.own_class_names() if class_names is None else tuple(class_names)
        index = _index(annotations, names, on_error, frame or FrameRule())
        if class_names is None and not annotations.are_classes_listed and not isinstance(on_error, ErrorCollector):
            index = _without_empty_classes(index, annotations.listed_in)
        self._adopt(index)

    @classmethod
    def from_index(cls, index: Index) -> Self:
        """Create a data set from its contents, without reading files."""
        dataset = cls.__new__(cls)
        dataset._adopt(index)
        return dataset

    def _adopt(self, index: Index) -> None:
        self.contents = index
        self.class_names, self.report, self.category_ids = index.class_names, index.report, index.category_ids

    def __len__(self) -> int:
        return len(self.contents.images)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> list[Sample]: ...
    def __getitem__(self, index: int | slice) -> Sample | list[Sample]:
        if isinstance(index, slice):
            return [self[position] for position in range(*index.indices(len(self)))]
        position, read = range(len(self))[index], self.contents
        rows = slice(read.splits[position], read.splits[position + 1])
        sample = Sample(
            image=read.images[position],
            image_id=read.image_ids[position],
            boxes=read.boxes[rows],
            labels=read.labels[rows],
            ignore=read.ignore[rows],
            size=(int(read.sizes[position][0]), int(read.sizes[position][1])),
        )
        if read.areas is not None:
            sample["areas"] = read.areas[rows]
        if orientation := int(read.orientations[position]):
            sample["orientation"] = orientation
        if bit_depth := int(read.bit_depths[position]):
            sample["bit_depth"] = bit_depth
        return sample

    def __iter__(self) -> Iterator[Sample]:
        return (self[position] for position in range(len(self)))


def _index(annotations: Annotations, names: tuple[str, ...], on_error: OnError, rule: FrameRule) -> Index:
    columns = check_coordinates(annotations.columns(names, on_error), on_error)
    is_lenient = isinstance(on_error, ErrorCollector)
    if isinstance(on_error, ErrorCollector):
        _record(on_error, annotations, columns)
    if not isinstance(on_error, ErrorCollector) or not annotations.images:
        annotations, columns = leave_out_missing(annotations, columns, on_error)
    headers = read_headers(annotations.images) if annotations.headers is None else annotations.headers
    if on_error == "skip":
        annotations, columns, headers = leave_out_unreadable(annotations, columns, headers)
    if not is_lenient:
        annotations, columns, headers = leave_out_other_sizes(annotations, columns, headers, on_error)
    images, sizes = annotations.images, annotations.sizes or [None] * len(annotations.images)
    frames = choose_frames(images, headers, annotations.annotated_sizes or sizes, columns, rule)
    all_sizes = _complete_sizes(images, sizes, headers, frames.orientations, is_lenient=is_lenient)
    bit_depths, depth_notes = choose_bit_depths(images, headers, rule.bit_depth)
    boxes, kept, report = clip_boxes(columns, all_sizes, on_error)
    report.notes.extend([*annotations.notes, *account_for_files(annotations), *frames.notes, *depth_notes])
    order = kept[np.argsort(columns.image[kept], kind="stable")]
    return Index(
        class_names=names,
        images=list(images),
        image_ids=list(annotations.image_ids),
        sizes=all_sizes,
        boxes=boxes[order],
        labels=columns.labels[order].astype(np.int32),
        ignore=columns.ignore[order].astype(bool),
        areas=None if columns.areas is None else columns.areas[order],
        orientations=frames.orientations,
        bit_depths=bit_depths,
        splits=np.searchsorted(columns.image[order], np.arange(len(images) + 1)),
        report=report,
        category_ids=None if (ids := annotations.category_ids) is None else tuple(ids.get(name) for name in names),
        # What was read from an image file is out of date when that file changes.
        sources=[*annotations.sources, *(image for image in images if "#bytes=" not in image)]
        if annotations.sources
        else [],
    )


def _without_empty_classes(index: Index, listed_in: str) -> Index:
    """Leave out classes that have no box after cleaning."""
    used = np.unique(index.labels)
    if len(used) == len(index.class_names):
        return index
    kept = set(used.tolist())
    empty = [name for label, name in enumerate(index.class_names) if label not in kept]
    index.report.notes.append(f"{listed_in}: no box remains of {short_repr(', '.join(empty), 120)}: not a class")
    return dataclasses.replace(
        index,
        class_names=tuple(index.class_names[label] for label in used),
        labels=np.searchsorted(used, index.labels).astype(np.int32),
        category_ids=None if index.category_ids is None else tuple(index.category_ids[label] for label in used),
    )


def _record(collector: ErrorCollector, annotations: Annotations, columns: BoxColumns) -> None:
    annotated = annotations.annotated_sizes
    sizes = annotations.sizes or [None] * len(annotations.images)
    collector.columns, collector.listed_in = columns, annotations.listed_in
    collector.annotated_sizes = list(sizes if annotated is None else annotated)
    collector.trusts_annotated_size = annotated is None


def _complete_sizes(
    images: list[str],
    sizes: Sequence[Size | None],
    headers: Sequence[ImageHeader | None],
    orientations: Any,
    *,
    is_lenient: bool,
) -> Any:
    """`(I, 2)` int64 height, width in the frame of the boxes; 0 for unreadable images if `is_lenient`."""
    complete = []
    for image, size, header, orientation in zip(images, sizes, headers, orientations.tolist(), strict=True):
        if header is not None and (orientation or size is None):
            complete.append(size_in_frame(header, size, orientation))
        elif size is not None:
            complete.append(size)
        else:
            complete += read_sizes([image], fallback=(0, 0) if is_lenient else None)
    return np.array(complete, np.int64).reshape(-1, 2)
