"""What the readers share: columns of boxes, checked and clipped at once, handed out image by image."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

import numpy as np

from keras_retinanet.data.errors import DataError, shown
from keras_retinanet.data.image_files import first_missing, read_sizes
from keras_retinanet.schema import Sample

_SLACK = 1.0  # pixels; boxes overrun by less through rounding and through counting from 0 or 1, which is no news
_NAMED = 5  # cases named in the warning


@dataclass
class BoxReport:
    """Boxes that a reader had to leave out or clip.

    Attributes:
        num_boxes: Boxes that remain, ignore regions included.
        num_dropped: Boxes left out: no area, or wholly outside their image.
        num_clipped: Boxes cut at their image's border (more than one pixel stood out).
        examples: The first few of both, in words.
    """

    num_boxes: int = 0
    num_dropped: int = 0
    num_clipped: int = 0
    examples: list[str] = field(default_factory=list)

    def warning(self) -> str | None:
        """One sentence for the command line, or `None` where all boxes were fine."""
        if not self.num_dropped + self.num_clipped:
            return None
        more = self.num_dropped + self.num_clipped - len(self.examples)
        cases = "; ".join(self.examples) + (f"; and {more} more" if more > 0 else "")
        return f"{self.num_dropped} boxes left out, {self.num_clipped} clipped to their image: {cases}"


@dataclass
class BoxColumns:
    """Boxes of all images, one row a box, as a reader finds them.

    Attributes:
        image: `(M,)` int, position of the image.
        boxes: `(M, 4)` float64 x1, y1, x2, y2.
        labels: `(M,)` int.
        ignore: `(M,)` bool.
        name: Where row i stands: file and line, or annotation id.
        areas: `(M,)` float64, the objects' areas in pixels where the source tells them.
    """

    image: Any
    boxes: Any
    labels: Any
    ignore: Any
    name: Callable[[int], str]
    areas: Any = None


class AnnotatedImages(Sequence[Sample]):
    """A data set in memory: base class of the readers.

    Images keep the order in which they were given, boxes the order inside their image. Boxes are clipped to their
    image; those left without area are dropped, and `report` counts both.

    Args:
        class_names: Names, label 0 first.
        images: Paths of the image files. Each must exist.
        image_ids: The source's id of each image.
        sizes: `(height, width)` of each image; `None` reads the headers of the files.
        columns: All boxes.
        listed_in: The file that names the images, for messages.
    """

    report: BoxReport

    def __init__(
        self,
        class_names: Sequence[str],
        images: Sequence[str],
        image_ids: Sequence[int | str],
        sizes: Sequence[tuple[int, int] | None],
        columns: BoxColumns,
        *,
        listed_in: str,
    ) -> None:
        self.class_names = tuple(class_names)
        self._images, self._image_ids = list(images), list(image_ids)
        _require_images(self._images, listed_in)
        self._sizes = _completed(self._images, sizes)
        self._boxes, kept, self.report = _cleaned(columns, self._sizes)
        order = kept[np.argsort(columns.image[kept], kind="stable")]
        self._boxes = self._boxes[order]
        self._labels = columns.labels[order].astype(np.int32)
        self._ignore = columns.ignore[order].astype(bool)
        self._areas = None if columns.areas is None else columns.areas[order]
        self._splits = np.searchsorted(columns.image[order], np.arange(len(self._images) + 1))

    def __len__(self) -> int:
        return len(self._images)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> list[Sample]: ...
    def __getitem__(self, index: int | slice) -> Sample | list[Sample]:
        if isinstance(index, slice):
            return [self[position] for position in range(*index.indices(len(self)))]
        position = range(len(self))[index]
        rows = slice(self._splits[position], self._splits[position + 1])
        sample = Sample(
            image=self._images[position],
            image_id=self._image_ids[position],
            boxes=self._boxes[rows],
            labels=self._labels[rows],
            ignore=self._ignore[rows],
            size=self._sizes[position],
        )
        if self._areas is not None:
            sample["areas"] = self._areas[rows]
        return sample

    def __iter__(self) -> Iterator[Sample]:
        return (self[position] for position in range(len(self)))


def _require_images(images: list[str], listed_in: str) -> None:
    if not images:
        raise DataError(listed_in, "lists no image", "at least one image", "check the path and the set's name")
    missing = first_missing(images)
    if missing is not None:
        raise DataError(
            listed_in,
            f"image {shown(images[missing], 200)} (number {missing + 1} of {len(images)}) is not there",
            "images that exist",
            "put the file there, correct its name, or take it out of the annotations",
        )


def _completed(images: list[str], sizes: Sequence[tuple[int, int] | None]) -> list[tuple[int, int]]:
    unknown = [position for position, size in enumerate(sizes) if size is None]
    read = dict(zip(unknown, read_sizes([images[position] for position in unknown]), strict=True))
    return [read[position] if size is None else size for position, size in enumerate(sizes)]


def _cleaned(columns: BoxColumns, sizes: Sequence[tuple[int, int]]) -> tuple[Any, Any, BoxReport]:
    """Clip to the images.

    Returns:
        float32 boxes `(M, 4)`, the rows worth keeping, and the report.
    """
    boxes = np.asarray(columns.boxes, np.float64).reshape(-1, 4)
    broken = np.flatnonzero(~np.isfinite(boxes).all(axis=1))
    if broken.size:
        raise DataError(
            columns.name(int(broken[0])),
            f"coordinates {shown(boxes[broken[0]].tolist(), 120)}",
            "finite numbers",
            "correct the box or take it out",
        )
    limits = np.asarray(sizes, np.float64).reshape(-1, 2)[columns.image][:, [1, 0, 1, 0]]  # (M, 4): W, H, W, H
    clipped = np.clip(boxes, 0.0, limits).astype(np.float32)
    has_area = (clipped[:, 2] > clipped[:, 0]) & (clipped[:, 3] > clipped[:, 1])
    stands_out = ((boxes < -_SLACK) | (boxes > limits + _SLACK)).any(axis=1) & has_area
    report = BoxReport(int(has_area.sum()), int((~has_area).sum()), int(stands_out.sum()))
    for row in np.flatnonzero(stands_out | ~has_area)[:_NAMED]:
        reached = np.array2string(boxes[row], separator=", ", precision=2, suppress_small=True)
        verdict = "clipped" if has_area[row] else "left out"
        report.examples.append(f"{columns.name(int(row))} {reached} {verdict}")
    return clipped, np.flatnonzero(has_area), report
