"""Base of the formats with one annotation file per set, which lists images and the shapes in them."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from keras_retinanet.data.datasets.annotations import Annotations, BoxRow, Size, sorted_names
from keras_retinanet.data.datasets.class_names import add_unlisted
from keras_retinanet.data.datasets.image_search import describe_unused, image_folders, locate_images
from keras_retinanet.data.datasets.json_files import read_ends
from keras_retinanet.data.datasets.reader import Layout, Reader
from keras_retinanet.data.datasets.shapes import Shape, ShapeCounts
from keras_retinanet.data.datasets.split_files import (
    choose_default_sets,
    choose_file,
    find_split_files,
    split_in,
)
from keras_retinanet.data.error_collector import report_or_raise
from keras_retinanet.data.errors import DataError, short_repr


class ListedImage(NamedTuple):
    """An image of an annotation file.

    Attributes:
        names: Its name as annotated, and other forms of it; see `locate_images`.
        size: Height and width as annotated, or `None`.
        shapes: Its annotations, not parsed.
    """

    names: tuple[str, ...]
    size: Size | None
    shapes: Sequence[Any]


@dataclass
class ImageList:
    """Content of an annotation file.

    Attributes:
        images: The images of the set.
        class_names: Classes that the file lists, in its order. Defaults to none: the sorted names of the boxes.
        notes: What the file left to the reader, one sentence each.
        missing_fix: What to do if images are missing, if the usual advice does not fit. Defaults to `""`.
    """

    images: list[ListedImage] = field(default_factory=list)
    class_names: Sequence[str] = ()
    notes: list[str] = field(default_factory=list)
    missing_fix: str = ""


class ListedImagesReader(Reader):
    """Base class of these formats, which define `recognise`, `read_list` and `parse_shape`.

    Sets are files (`annotations/train.json`, `train/….json`), or what `sets_in` finds in a file. Images are searched in
    `images/<set>/`, `<set>/`, next to the file and in the usual folders; see `locate_images`. Images that the file does
    not list are left out, which a note reports.

    Attributes:
        format_name: Name of the format in messages.
        suffix: Suffix of its files.
        layouts: The usual layouts in words.
    """

    format_name: ClassVar[str]
    suffix: ClassVar[str] = ".json"
    layouts: ClassVar[str]

    @classmethod
    def recognise(cls, ends: bytes) -> str | None:
        """Recognise a file by its first and last bytes.

        Args:
            ends: From `read_ends`.

        Returns:
            Name of the tool that wrote it, `""` if it may be any; `None` if the file has another format.
        """
        raise NotImplementedError

    @classmethod
    def name_tool(cls, file: Path) -> str:
        """The tool that a file's name shows, where `recognise` does not know it. Defaults to `""`."""
        del file
        return ""

    def read_list(self, file: Path, set_name: str) -> ImageList:
        """Read the images of a set.

        Args:
            file: The annotation file.
            set_name: The set; only formats with `sets_in` need it.

        Returns:
            The images and their annotations.

        Raises:
            DataError: The file is broken.
        """
        raise NotImplementedError

    def parse_shape(self, shape: Any, image: ListedImage, where: str) -> Iterable[Shape]:
        """Parse an annotation.

        Args:
            shape: One of `ListedImage.shapes`.
            image: Its image.
            where: File, image and number.

        Returns:
            Its shapes, usually one.

        Raises:
            DataError: It is broken.
        """
        raise NotImplementedError

    @classmethod
    def sets_in(cls, file: Path) -> list[str]:
        """Names of the sets within a file. Defaults to none: the file is one set."""
        del file
        return []

    def read(self, *, image_dir: str | None = None) -> Annotations:
        """Read one annotation file.

        Args:
            image_dir: Folder of the images, if it is none of the usual ones.
        """
        file, files = self._choose_file()
        content, counts = self.read_list(file, self.set_name), ShapeCounts()
        splits = [self.set_name, file.stem, *([split] if (split := split_in(self.set_name)) else [])]
        root = self.path if self.path.is_dir() else _root_of(file)
        folders = [Path(image_dir)] if image_dir else image_folders(file, root, splits)
        found = locate_images([image.names for image in content.images], folders, file)
        if found.missing and content.missing_fix:
            name = content.images[found.missing[0]].names[0]
            what = f"{len(found.missing)} images are not there, such as {short_repr(name, 120)}"
            report_or_raise(self.on_error, DataError(str(file), what, "images that exist", content.missing_fix))
        shapes = list(self._parse_shapes(content.images, file, counts))
        rows = [
            BoxRow(position, shape.box, shape.name, shape.where, shape.ignore)
            for position, shape in shapes
            if shape.box is not None
        ]
        names, class_notes = (
            add_unlisted(content.class_names, sorted_names(rows), str(file))
            if content.class_names
            else (sorted_names(rows), [])
        )
        skipped = [other.parent for other in files.values() if other.parent not in (file.parent, root)]
        is_shared = len(files) > 1 and any(home in (root, root / "images") for home in found.homes)
        unused = [] if is_shared else describe_unused(found.homes, found.paths, file, skipped)
        return Annotations(
            listed_in=str(file),
            class_names=names,
            images=found.paths,
            image_ids=_image_ids(content.images),
            annotated_sizes=[image.size for image in content.images],
            boxes=rows,
            sources=[str(file), *(str(home) for home in found.homes)],
            notes=[*content.notes, *found.notes, *unused, *counts.describe(str(file)), *class_notes],
        )

    def _parse_shapes(
        self, images: Sequence[ListedImage], file: Path, counts: ShapeCounts
    ) -> Iterable[tuple[int, Shape]]:
        for position, image in enumerate(images):

            def parse(numbered: tuple[int, Any], image: ListedImage = image) -> list[Shape]:
                where = f"{file}, {short_repr(image.names[0], 120)}, shape {numbered[0]}"
                return list(self.parse_shape(numbered[1], image, where))

            parsed = self.parse_each(enumerate(image.shapes, start=1), parse)
            for shape in counts.keep_boxes(itertools.chain.from_iterable(parsed)):
                yield position, shape

    @classmethod
    def _find_files(cls, path: Path) -> dict[str, Path]:
        return find_split_files(path, cls.suffix, lambda file: cls.recognise(read_ends(file)) is not None)

    def _choose_file(self) -> tuple[Path, dict[str, Path]]:
        """The file of the set, and the files of all sets."""
        files = self._find_files(self.path)
        if len(files) == 1 and self.set_name in self._find_sets(files):
            return next(iter(files.values())), files
        expected = self.path / "annotations" / f"{self.set_name}{self.suffix}"
        file = choose_file(
            self.path, self.set_name, files, expected=expected, format_name=self.format_name, allowed=self.layouts
        )
        return file, files

    @classmethod
    def _find_sets(cls, files: Mapping[str, Path]) -> dict[str, Path]:
        """Names of the sets: those within a single file, else those of the files."""
        for file in files.values() if len(files) == 1 else ():
            if names := cls.sets_in(file):
                return dict.fromkeys(names, file)
        return dict(files)

    @classmethod
    def find_layout(cls, path: str | os.PathLike[str]) -> Layout | None:
        """Recognise a file of this format by its contents, in the usual places of a folder."""
        place = Path(path)
        for file in cls._find_files(place).values():
            if (tool := cls.recognise(read_ends(file))) is None:
                return None
            tool = tool or cls.name_tool(file)
            evidence = file.name if file == place else str(file.relative_to(place))
            return Layout(cls.word, place, evidence, 3, tool)
        return None

    @classmethod
    def default_sets(cls, path: str | os.PathLike[str]) -> tuple[str, str | None]:
        """Names of the training set and, if there is one, of the validation set; `"."` is a file without splits."""
        return choose_default_sets(cls._find_sets(cls._find_files(Path(path))))


def _root_of(file: Path) -> Path:
    return file.parent.parent if file.parent.name == "annotations" else file.parent


def _image_ids(images: Sequence[ListedImage]) -> list[str]:
    """Names of the images; a repeated one has its position added."""
    ids: dict[str, None] = {}
    for position, image in enumerate(images):
        ids[image.names[0] if image.names[0] not in ids else f"{image.names[0]}#{position}"] = None
    return list(ids)


def require_list(value: Any, where: str, allowed: str, fix: str) -> list[Any]:
    """Check that a value is a list.

    Args:
        value: What was read.
        where: File and place, for the message.
        allowed: What the list should contain.
        fix: What to do if it is not one.

    Raises:
        DataError: It is not.
    """
    if not isinstance(value, list):
        raise DataError(where, f"is {short_repr(value)}", allowed, fix)
    return value
