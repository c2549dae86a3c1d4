"""What the readers share: a data set in memory, handed out image by image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self, overload

import numpy as np

from keras_retinanet.data.box_columns import BoxColumns, BoxReport
from keras_retinanet.data.datasets.box_cleaning import OnError, check_coordinates, clip_boxes
from keras_retinanet.data.error_collector import ErrorCollector
from keras_retinanet.data.errors import DataError, short_repr
from keras_retinanet.data.image_files import first_missing, near_name_hint, read_sizes
from keras_retinanet.schema import Sample


@dataclass
class Index:
    """A data set as read and checked: what the index cache keeps.

    Attributes:
        class_names: Names, label 0 first.
        images: Paths of the image files, or references into record files.
        image_ids: The source's id of each image.
        sizes: `(I, 2)` int64. Height and width.
        boxes: `(M, 4)` float32, sorted by image.
        labels: `(M,)` int32.
        ignore: `(M,)` bool.
        areas: `(M,)` float64, or `None`.
        splits: `(I + 1,)` int64. Image i has the boxes `splits[i]` to `splits[i + 1]`.
        report: Boxes left out and clipped, and notes.
        category_ids: The source's own id of each label, where it has such.
        sources: Files and folders that all this was read from.
    """

    class_names: tuple[str, ...]
    images: list[str]
    image_ids: list[int | str]
    sizes: Any
    boxes: Any
    labels: Any
    ignore: Any
    areas: Any
    splits: Any
    report: BoxReport
    category_ids: tuple[int | None, ...] | None
    sources: list[str]


class AnnotatedImages(Sequence[Sample]):
    """A data set in memory: base class of the readers.

    Images keep the order in which they were given, boxes the order inside their image. Boxes are clipped to their
    image; those left without area are dropped, and `report` counts both.

    Args:
        class_names: Names, label 0 first.
        images: Paths of the image files, or references into record files. Each file must exist.
        image_ids: The source's id of each image.
        sizes: `(height, width)` of each image; `None` reads the headers of the files.
        columns: All boxes.
        listed_in: The file that names the images, for messages.
        on_error: `"skip"` clips boxes or leaves them out; `"error"` raises at the first such box; an `ErrorCollector`
            records what was read, then skips. Defaults to `"skip"`.
        sources: Files and folders that annotations were read from; a change of one invalidates the index cache.
            Defaults to none: nothing is cached.
        category_ids: The source's own id of each label. Defaults to `None`.
        notes: Choices that the files left to the reader, for `report`.
        told_sizes: `(height, width)` of each image as annotated, where `sizes` come from the files instead; a survey
            compares them. Defaults to `sizes`.

    Attributes:
        class_names: Names, label 0 first.
        report: Boxes left out and clipped, and notes.
        category_ids: The source's own id of each label, or `None`.
        contents: All of it, as read.
        options: `DataConfig` fields that the constructor takes as keywords, beside path, set and `on_error`.
    """

    options: tuple[str, ...] = ()

    def __init__(
        self,
        class_names: Sequence[str],
        images: Sequence[str],
        image_ids: Sequence[int | str],
        sizes: Sequence[tuple[int, int] | None],
        columns: BoxColumns,
        *,
        listed_in: str,
        on_error: OnError = "skip",
        sources: Sequence[str] = (),
        category_ids: Sequence[int | None] | None = None,
        notes: Sequence[str] = (),
        annotated_sizes: Sequence[tuple[int, int] | None] | None = None,
    ) -> None:
        images = list(images)
        is_survey = isinstance(on_error, ErrorCollector)
        columns = check_coordinates(columns, on_error)
        if isinstance(on_error, ErrorCollector):
            on_error.columns, on_error.listed_in = columns, listed_in
            on_error.annotated_sizes = list(sizes if annotated_sizes is None else annotated_sizes)
            on_error.trusts_annotated_size = annotated_sizes is None
        if not is_survey or not images:
            require_images(images, listed_in)
        all_sizes = _completed(images, sizes, is_lenient=is_survey)
        boxes, kept, report = clip_boxes(columns, all_sizes, on_error)
        report.notes.extend(notes)
        order = kept[np.argsort(columns.image[kept], kind="stable")]
        # A size read from an image is one more thing that a change of that image undoes.
        measured = [path for path, size in zip(images, sizes, strict=True) if size is None]
        index = Index(
            class_names=tuple(class_names),
            images=images,
            image_ids=list(image_ids),
            sizes=all_sizes,
            boxes=boxes[order],
            labels=columns.labels[order].astype(np.int32),
            ignore=columns.ignore[order].astype(bool),
            areas=None if columns.areas is None else columns.areas[order],
            splits=np.searchsorted(columns.image[order], np.arange(len(images) + 1)),
            report=report,
            category_ids=None if category_ids is None else tuple(category_ids),
            sources=[*sources, *measured] if sources else [],
        )
        self._adopt(index)

    @classmethod
    def from_index(cls, index: Index) -> Self:
        """The data set with these contents, without reading its files."""
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
        return sample

    def __iter__(self) -> Iterator[Sample]:
        return (self[position] for position in range(len(self)))


def require_images(images: Sequence[str], listed_in: str) -> None:
    """Look for every image.

    Args:
        images: Paths, or references into record files.
        listed_in: The file that names them.

    Raises:
        DataError: There are none, or one of them is not there.
    """
    if not images:
        raise DataError(listed_in, "lists no image", "at least one image", "check the path and the set's name")
    missing = first_missing(images)
    if missing is not None:
        raise DataError(
            listed_in,
            f"image {short_repr(images[missing], 200)} (number {missing + 1} of {len(images)}) is not there",
            "images that exist",
            f"{near_name_hint(images[missing])}put the file there, correct its name, or take it out of the annotations",
        )


def _completed(images: list[str], sizes: Sequence[tuple[int, int] | None], *, is_lenient: bool) -> Any:
    """`(I, 2)` int64 height, width; 0 for what cannot be read, if that is allowed."""
    unknown = [position for position, size in enumerate(sizes) if size is None]
    found = read_sizes([images[position] for position in unknown], fallback=(0, 0) if is_lenient else None)
    read = dict(zip(unknown, found, strict=True))
    told = [read[position] if size is None else size for position, size in enumerate(sizes)]
    return np.array(told, np.int64).reshape(-1, 2)
