"""KITTI: one text file of fifteen columns for each image.

Reference: Geiger et al., "Are we ready for Autonomous Driving? The KITTI Vision Benchmark Suite"; the object
development kit's readme.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from keras_retinanet.data.box_columns import BoxColumns
from keras_retinanet.data.datasets.kitti import files as kitti_files
from keras_retinanet.data.datasets.shared.annotations import Annotations
from keras_retinanet.data.datasets.shared.class_names import sort_names
from keras_retinanet.data.datasets.shared.reader import Layout, Reader
from keras_retinanet.data.datasets.shared.text_files import number, numbered_lines
from keras_retinanet.data.errors import DataError, short_repr

KITTI_CLASSES = ("Car", "Van", "Truck", "Pedestrian", "Person_sitting", "Cyclist", "Tram", "Misc")
"""The classes of the benchmark, without `DontCare`."""

DONT_CARE = "dontcare"
_REGION = -1  # in place of the label of a `DontCare` box
_ROW = "'type truncated occluded alpha x1 y1 x2 y2 …', 15 columns (16 with a score) separated by blanks"
_NUMBERS = 14  # columns after the type


@dataclass
class _Rows:
    """Boxes of all text files; `label` indexes `names`."""

    texts: Sequence[Path | None]
    names: dict[str, int] = field(default_factory=dict)
    image: array[int] = field(default_factory=lambda: array("q"))
    line: array[int] = field(default_factory=lambda: array("q"))
    label: array[int] = field(default_factory=lambda: array("q"))
    sides: array[float] = field(default_factory=lambda: array("d"))

    def where(self, row: int) -> str:
        """File and line of a box."""
        return f"{self.texts[self.image[row]]}, line {self.line[row]}"


class KittiDataset(Reader):
    """KITTI as it unzips (`training/image_2`, `training/label_2`), or as Datumaro, CVAT, labelformat … write it.

    The two folders may also be `images` and `labels`, or `data` and `labels` (FiftyOne), in the folder of the set, in
    `path` itself (the set `"."`), or with the sets below them (`labels/train`). Sub-folders are kept. If
    `ImageSets/<set>.txt` lists names, the set is these images of `training`. An image without a text file is background
    (Datumaro writes none for it); a text file without an image is left out. Notes report and count both.

    `DontCare` boxes become ignore regions; as they may hide an object of any class, each is repeated for every class.
    The default set is `train`, or `training`, `default` or the only one there is. Class names default to the eight of
    the benchmark if they cover every name, otherwise to the sorted names of all sets.
    """

    word = "kitti"
    summary = "KITTI folder: training/image_2, training/label_2; or <set>/images, <set>/labels"

    def read(self, *, image_dir: str | None = None) -> Annotations:
        """Read the text file of each image.

        Args:
            image_dir: Folder of the images, if it is none of these.
        """
        files = kitti_files.find_files(self.path, self.set_name, image_dir, self.on_error)
        rows = _Rows(files.texts)
        for position, text in enumerate(files.texts):
            if text is not None:
                self._read_text(text, position, rows)
        names = set(rows.names)
        if not names <= set(KITTI_CLASSES) and self.wanted_classes is None:
            names |= kitti_files.names_of_other_sets(self.path, self.set_name)
        classes = KITTI_CLASSES if names <= set(KITTI_CLASSES) else sort_names(names)
        if self.wanted_classes is not None:
            classes = tuple(dict.fromkeys([*self.wanted_classes, *sort_names(names)]))
        return Annotations(
            listed_in=str(files.listed_in),
            class_names=classes,
            images=files.images,
            image_ids=[*files.ids],
            boxes=_columns(rows, classes, self.wanted_classes or classes),
            sources=[str(place) for place in files.sources],
            notes=files.notes,
        )

    def _read_text(self, text: Path, position: int, rows: _Rows) -> None:
        lines = enumerate(text.read_bytes().removeprefix(b"\xef\xbb\xbf").splitlines(), start=1)
        for count, line in lines:
            words = line.split()
            if len(words) != 1 + _NUMBERS:
                break
            try:
                float(words[1])
                sides = list(map(float, words[4:8]))
                name = words[0].decode()
            except ValueError:
                break
            _add(rows, position, count, name, sides)
        else:
            return
        for _ in self.parse_each(_lines_from(text, count), lambda item: _parse_line(item, position, rows)):
            pass

    @classmethod
    def find_layout(cls, path: str | os.PathLike[str]) -> Layout | None:
        """Recognise the columns of a text file, or a folder `label_2`."""
        found = kitti_files.recognise(Path(path))
        return None if found is None else Layout(cls.word, Path(path), *found)

    @classmethod
    def default_sets(cls, path: str | os.PathLike[str]) -> tuple[str, str | None]:
        """Names of the training set and, if there is one, of the validation set."""
        return kitti_files.default_sets(Path(path))


def _lines_from(text: Path, first: int) -> Iterator[tuple[int, str, list[str]]]:
    for where, words in numbered_lines(text, _ROW):
        if (line := int(where.rpartition(" ")[2])) >= first:
            yield line, where, words


def _parse_line(numbered: tuple[int, str, list[str]], position: int, rows: _Rows) -> None:
    line, where, words = numbered
    counts = [count for count in (_NUMBERS + 1, _NUMBERS) if len(words) > count]
    found = next((count for count in counts if _are_numbers(words[-count:])), 0)
    if not found and len(words) not in (_NUMBERS + 1, _NUMBERS + 2):
        fix = "separate with blanks" if "," in words[0] else "complete the line"
        raise DataError(where, f"{len(words)} columns in {short_repr(' '.join(words))}", _ROW, fix)
    name, numbers = words[: -found or 1], words[-found or 1 :]
    number(numbers[0], "truncated (a type is one word)", where, _ROW)
    sides = [number(text, side, where, _ROW) for text, side in zip(numbers[3:7], ("x1", "y1", "x2", "y2"), strict=True)]
    _add(rows, position, line, " ".join(name), sides)


def _are_numbers(words: Sequence[str]) -> bool:
    try:
        return all("_" not in word for word in words) and bool([float(word) for word in words])
    except ValueError:
        return False


def _add(rows: _Rows, position: int, line: int, name: str, sides: list[float]) -> None:
    is_region = name.casefold() == DONT_CARE
    rows.image.append(position)
    rows.line.append(line)
    rows.label.append(_REGION if is_region else rows.names.setdefault(name, len(rows.names)))
    rows.sides.extend(sides)


def _columns(rows: _Rows, classes: Sequence[str], wanted: Sequence[str]) -> BoxColumns:
    """Columns whose labels index `classes`; regions are repeated for those of them that are wanted."""
    label = np.array(rows.label, np.int64)
    table = np.array([classes.index(name) for name in rows.names] or [0], np.int64)
    regions = [place for place, name in enumerate(classes) if name in wanted]
    repeats = np.where(label == _REGION, len(regions), 1)
    order = np.repeat(np.arange(len(label)), repeats)
    labels = table[label[order]]
    is_region = label[order] == _REGION
    labels[is_region] = np.tile(regions, int((label == _REGION).sum()))
    return BoxColumns(
        image=np.array(rows.image, np.int64)[order],
        boxes=np.array(rows.sides, np.float64).reshape(-1, 4)[order],
        labels=labels,
        ignore=is_region,
        name=lambda row: rows.where(int(order[row])),
    )
