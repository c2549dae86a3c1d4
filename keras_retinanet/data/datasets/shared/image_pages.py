"""Data sets with one annotation file per image that names its image: finds the files, their images and their splits."""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from keras_retinanet.data.datasets.shared.annotations import Annotations
from keras_retinanet.data.datasets.shared.box_rows import BoxGroup, BoxRows
from keras_retinanet.data.datasets.shared.class_names import add_unlisted
from keras_retinanet.data.datasets.shared.image_list import PlainBoxes
from keras_retinanet.data.datasets.shared.image_places import NAME_FOLDER, ImagePlaces
from keras_retinanet.data.datasets.shared.reader import Layout, Reader
from keras_retinanet.data.datasets.shared.shapes import Shape, ShapeCounts, box_of_points
from keras_retinanet.data.datasets.shared.split_files import WHOLE
from keras_retinanet.data.datasets.shared.split_names import split_in, usual_sets
from keras_retinanet.data.datasets.shared.text_files import (
    describe_files,
    is_image,
    no_garbage_collection,
    read_text,
    walk_names,
)
from keras_retinanet.data.errors import DataError, short_repr
from keras_retinanet.data.image_files import SUFFIXES, byte_range, image_reference
from keras_retinanet.schema import Size

_MAX_PROBED = 20  # files of a level of folders that are opened to recognise a layout
_NO_CLASSES = ("__ignore__", "_background_", "")  # lines of labels.txt in labelme's own examples


class Page(NamedTuple):
    """An annotation file.

    Attributes:
        name: Its path below the folder of the data set.
        forms: Paths at which its image may be, the likeliest first.
        size: Height and width as annotated, if they are.
        shapes: What was drawn, as stored; or, if all shapes are plain boxes, these.
        embedded: Start and length of the picture in base64, if the file has it. Defaults to `None`.
    """

    name: str
    forms: tuple[str, ...]
    size: Size | None
    shapes: list[Any] | PlainBoxes
    embedded: tuple[int, int] | None = None

    @property
    def image_id(self) -> str:
        """Name of the annotation file with the suffix of the image."""
        return os.path.splitext(self.name)[0] + os.path.splitext(self.forms[0])[1]


class PageReader(Reader):
    """Base class of readers of one annotation file per image.

    Every file below `path` and the image that it names, else the one of the same name. Sets are folders (`train/`,
    `annotations/val/` …); without them the set is `"."`. Images without a file are background. Class names are the
    lines of `labels.txt` in `path` if there is one, otherwise the sorted names.

    Attributes:
        suffix: Suffix of the files.
        kind: What a file is, for messages.
        tool: Name of the tool.
    """

    suffix: ClassVar[str]
    kind: ClassVar[str]
    tool: ClassVar[str]

    @classmethod
    def is_page(cls, file: Path) -> bool:
        """Whether a file is of this format, as its first bytes show."""
        raise NotImplementedError

    def read_page(self, root: Path, name: str) -> Page:
        """Read a file.

        Raises:
            DataError: It is broken.
        """
        raise NotImplementedError

    def parse_shape(self, item: Any, where: str) -> tuple[Shape, Any]:
        """One shape, and its group: shapes of one class and group (not `None`) are parts of one object.

        Raises:
            DataError: It is broken.
        """
        raise NotImplementedError

    def read(self, *, image_dir: str | None = None) -> Annotations:
        """Read the annotation file of each image.

        Args:
            image_dir: Folder of the images, if they are not below `path`.
        """
        with no_garbage_collection():
            return self._read(image_dir)

    def _read(self, image_dir: str | None) -> Annotations:
        root = self.path.parent if self.path.is_file() else self.path
        names, stray = self._files_of(root)
        pages = list(self.parse_each(names, functools.partial(self.read_page, root)))
        places = ImagePlaces([image_dir or root], root)
        found = places.locate([page.forms[0] for page in pages], [page.forms[1:] for page in pages])
        missing, counts = set(places.missing), ShapeCounts()
        paths = [
            self._picture_of(root, page, path, is_missing=position in missing)
            for position, (page, path) in enumerate(zip(pages, found, strict=True))
        ]
        rows = BoxRows()
        for position, page in enumerate(pages):
            rows.add(position, self._boxes_of(page, root, counts))
        is_whole = self.path.is_dir() and not image_dir
        broken = {*names} - {page.name for page in pages}
        background: list[str] = []
        notes: list[str] = []
        if is_whole:
            background, notes = _images_without_page(root, self.set_name, paths, broken, self._word())
        class_names, class_notes = _class_names(root, rows)
        files = [os.path.join(root, name) for name in names]
        homes = {os.path.dirname(path) for path in [*paths, *background, *files]}
        return Annotations(
            listed_in=str(self.path),
            class_names=class_names,
            images=[*paths, *background],
            image_ids=[*(page.image_id for page in pages), *(os.path.relpath(path, root) for path in background)],
            sizes=[
                *(page.size if byte_range(path) else None for page, path in zip(pages, paths, strict=True)),
                *[None] * len(background),
            ],
            annotated_sizes=[*(page.size for page in pages), *[None] * len(background)],
            boxes=rows,
            sources=[str(root), str(root / "labels.txt"), *sorted(homes), *files],
            notes=[*stray, *places.notes, *notes, *counts.describe(str(self.path)), *class_notes],
            image_folders=places.folders,
            missing_fix=places.ambiguity or f"put the image next to the {self._word()} file, or {NAME_FOLDER}",
        )

    def _boxes_of(self, page: Page, root: Path, counts: ShapeCounts) -> BoxGroup:
        file = os.path.join(root, page.name)
        if isinstance(page.shapes, PlainBoxes):
            return BoxGroup(f"{file}, shape", *page.shapes)
        shapes = _join_groups(self._parse_shapes(page.shapes, file, counts))
        sides = [side for shape in shapes for side in shape.box or ()]
        return BoxGroup([shape.where for shape in shapes], [shape.name for shape in shapes], sides)

    def _parse_shapes(self, shapes: list[Any], file: str, counts: ShapeCounts) -> Iterator[tuple[Shape, Any]]:
        """Shapes that have a box, with their `group_id`."""

        def parse(numbered: tuple[int, Any]) -> tuple[Shape, Any]:
            number, item = numbered
            return self.parse_shape(item, f"{file}, shape {number}")

        for shape, group in self.parse_each(enumerate(shapes, start=1), parse):
            if counts.add(shape):
                yield shape, group

    @classmethod
    def find_layout(cls, path: str | os.PathLike[str]) -> Layout | None:
        """Recognise the files by their contents."""
        place = Path(path)
        if not place.is_dir():
            is_file = place.suffix.lower() == cls.suffix and cls.is_page(place)
            return Layout(cls.word, place, place.name, 3, cls.tool) if is_file else None
        for folders in ("", "*/", "*/*/"):
            for file in itertools.islice(place.glob(f"{folders}*{cls.suffix}"), _MAX_PROBED):
                if cls.is_page(file):
                    return Layout(cls.word, place, str(file.relative_to(place)), 3, cls.tool)
        return None

    @classmethod
    def default_sets(cls, path: str | os.PathLike[str]) -> tuple[str, str | None]:
        """Names of the training set and, if there is one, of the validation set; `"."` is all files."""
        folder = Path(path)
        if not folder.is_dir():
            return WHOLE, None
        files = [name for name in walk_names(folder, cls.kind) if name.lower().endswith(cls.suffix)]
        sets = {split: split for name in files if (split := _split_of(name)) is not None}
        train, val = usual_sets(sets)
        return (train, val) if train in sets else (WHOLE, None)

    @classmethod
    def _word(cls) -> str:
        return cls.suffix[1:].upper()

    def _files_of(self, root: Path) -> tuple[list[str], list[str]]:
        """Files of the set, relative to `root`, and a note about those that belong to none."""
        path, set_name = self.path, self.set_name
        if path.is_file():
            return [path.name], []
        files = [name for name in walk_names(root, self.kind) if name.lower().endswith(self.suffix)]
        own = [name for name in files if set_name in (WHOLE, _split_of(name))]
        if not own:
            there = ", ".join(sorted({split for name in files if (split := _split_of(name))})) or "none"
            fix = f"check the path and the set's name (sets there: {there})"
            raise DataError(str(path), f"has no {self._word()} files of the set {short_repr(set_name)}", self.kind, fix)
        stray = [name for name in files if set_name != WHOLE and _split_of(name) is None]
        return own, describe_files(root, stray, f"{self._word()} files are in no folder of a set and are left out")

    @staticmethod
    def _picture_of(root: Path, page: Page, path: str, *, is_missing: bool) -> str:
        """The image file of a page, or else the picture in it."""
        if not is_missing or page.embedded is None:
            return path
        return image_reference(str(root / page.name), *page.embedded, is_base64=True)


def _split_of(name: str) -> str | None:
    """The folder of a path that is named for a split."""
    return next((part for part in name.split("/")[:-1] if split_in(part) == part.lower()), None)


def _join_groups(shapes: Iterator[tuple[Shape, Any]]) -> list[Shape]:
    """Join shapes of one label and group into the box that encloses all of them."""
    joined: dict[Any, Shape] = {}
    for position, (shape, group) in enumerate(shapes):
        key = (shape.name, group) if isinstance(group, (int, str)) else position
        first = joined.setdefault(key, shape)
        if first is not shape and first.box is not None and shape.box is not None:
            corners = [first.box[:2], first.box[2:], shape.box[:2], shape.box[2:]]
            joined[key] = first._replace(box=box_of_points(corners, shape.where))
    return list(joined.values())


def _images_without_page(
    root: Path, set_name: str, used: Sequence[str], broken: Iterable[str], word: str
) -> tuple[list[str], list[str]]:
    """Images of the set without an annotation file, not even a broken one, are background; and the note about them."""
    known = {os.path.normpath(path) for path in used}
    stems = {os.path.splitext(os.path.basename(name))[0] for name in broken}
    alone = [
        name
        for name in walk_names(root)
        if is_image(name)
        and set_name in (WHOLE, _split_of(name))
        and os.path.normpath(os.path.join(root, name)) not in known
        and os.path.splitext(os.path.basename(name))[0] not in stems
    ]
    notes = describe_files(root, alone, f"images have no {word} file and count as background")
    return [os.path.join(root, name) for name in alone], notes


def _class_names(root: Path, rows: BoxRows) -> tuple[Sequence[str], list[str]]:
    """Names of `labels.txt`, then those that only boxes have; and a note about the latter."""
    file, names = root / "labels.txt", rows.sorted_names()
    if not file.is_file():
        return names, []
    lines = [line.strip() for line in read_text(file, "names of classes, one per line").splitlines()]
    return add_unlisted([line for line in dict.fromkeys(lines) if line not in _NO_CLASSES], names, str(file))


def image_forms(name: str, image: str) -> tuple[str, ...]:
    """Paths at which the image of an annotation file may be.

    Args:
        name: Path of the annotation file below the folder of the data set.
        image: Path of the image as the file names it.

    Returns:
        Paths below the folder of the data set, the likeliest first.
    """
    folder, own = os.path.split(name)
    base = os.path.basename(image)
    forms = [os.path.join(folder, image)]
    if base != image:
        forms.append(os.path.join(folder, base))
    if os.path.splitext(base)[0] != os.path.splitext(own)[0]:
        stem = os.path.splitext(name)[0]
        forms += [stem + suffix for suffix in SUFFIXES]  # renamed together with its annotation file
    return tuple(dict.fromkeys(forms)) if len(forms) > 1 else (forms[0],)
