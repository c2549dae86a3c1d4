"""Base of the formats with one annotation file per set, which lists images and the shapes in them."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from keras_retinanet.data.datasets.shared.annotations import Annotations
from keras_retinanet.data.datasets.shared.box_rows import BoxGroup, BoxRows
from keras_retinanet.data.datasets.shared.class_names import add_unlisted
from keras_retinanet.data.datasets.shared.image_list import ImageList, ListedImage, PlainBoxes, describe_shape
from keras_retinanet.data.datasets.shared.image_places import ImagePlaces, usual_folders
from keras_retinanet.data.datasets.shared.json_files import read_ends
from keras_retinanet.data.datasets.shared.reader import Layout, Reader
from keras_retinanet.data.datasets.shared.shapes import Shape, ShapeCounts
from keras_retinanet.data.datasets.shared.split_files import WHOLE, choose_file, find_split_files
from keras_retinanet.data.datasets.shared.split_names import usual_sets
from keras_retinanet.data.datasets.shared.text_files import no_garbage_collection, to_local_path
from keras_retinanet.data.errors import DataError, short_repr
from keras_retinanet.data.image_files import SUFFIXES

_SUFFIX = "|".join(suffix[1:] for suffix in SUFFIXES).encode()
_IMAGE_NAME = re.compile(rb'"([^"\n]*\.(?:' + _SUFFIX + rb'))["?]', re.IGNORECASE)


def _class_names(listed: Sequence[str], rows: BoxRows, file: Path) -> tuple[Sequence[str], list[str]]:
    found = rows.sorted_names()
    return add_unlisted(listed, found, str(file)) if listed else (found, [])


class ListedImagesReader(Reader):
    """Base class of these formats, which define `recognise`, `read_list` and `parse_shape`.

    Sets are files (`annotations/train.json`, `train/….json`), or what `sets_in` finds in a file. Images are searched in
    `images/<set>/`, `<set>/`, next to the file and in the usual folders; see `ImagePlaces`. Images that the file does
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

    def parse_shape(self, shape: Any, image: ListedImage, where: str) -> Sequence[Shape]:
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
        with no_garbage_collection():
            content, counts = self.read_list(file, self.set_name), ShapeCounts()
            rows = self._read_shapes(content.images, file, counts)
        root = self.path if self.path.is_dir() else _root_of(file)
        split = "" if self.set_name == WHOLE else self.set_name
        places = ImagePlaces([image_dir] if image_dir else usual_folders(file, split, root), file)
        names = [image.names for image in content.images]
        paths = places.locate([name for name, *_ in names], [others for _, *others in names])
        classes, class_notes = _class_names(content.class_names, rows, file)
        return Annotations(
            listed_in=str(file),
            class_names=classes,
            images=paths,
            image_ids=_image_ids(content.images),
            annotated_sizes=[image.size for image in content.images],
            boxes=rows,
            sources=[str(file), *content.sources, *dict.fromkeys(os.path.dirname(path) for path in paths)],
            notes=[
                *content.notes,
                *places.notes,
                *self._describe_unused(places, paths, file, files),
                *counts.describe(str(file)),
                *class_notes,
            ],
            describes_unused_images=True,
            image_folders=places.folders,
            missing_fix=places.ambiguity or content.missing_fix,
        )

    def _describe_unused(
        self, places: ImagePlaces, paths: Sequence[str], file: Path, files: Mapping[str, Path]
    ) -> list[str]:
        """The note about images that neither this file nor the file of another set names."""
        others = [other for other in files.values() if other != file]
        skipped = [other.parent for other in others if other.parent != file.parent and other.parent not in file.parents]
        naming = [*others, *([file] if self.sets_in(file) else [])]  # this file names images of its other sets
        elsewhere = (name for other in naming for name in _names_in(other))
        return places.note_unused(paths, elsewhere=elsewhere, skipped=skipped)

    def _read_shapes(self, images: Sequence[ListedImage], file: Path, counts: ShapeCounts) -> BoxRows:
        rows = BoxRows(functools.partial(describe_shape, file))
        for position, image in enumerate(images):
            if isinstance(image.shapes, PlainBoxes):
                rows.add(position, BoxGroup(image.names[0], *image.shapes))
                continue
            parsed = self._parse_image(image, file)
            used = [(number, shape) for number, shapes in parsed for shape in shapes if counts.add(shape)]
            group = BoxGroup(
                image.names[0],
                [shape.name for _, shape in used],
                [side for _, shape in used for side in shape.box or ()],
                [number for number, _ in used],
                [shape.ignore for _, shape in used],
            )
            rows.add(position, group)
        return rows

    def _parse_image(self, image: ListedImage, file: Path) -> Iterable[tuple[int, Sequence[Shape]]]:
        """Number and shapes of each annotation; their places in words are only needed if one is broken."""
        numbered = list(enumerate(image.shapes, start=1))
        try:
            return [(number, self.parse_shape(shape, image, "")) for number, shape in numbered]
        except DataError:

            def parse(item: tuple[int, Any]) -> tuple[int, Sequence[Shape]]:
                return item[0], self.parse_shape(item[1], image, describe_shape(file, image.names[0], item[0]))

            return self.parse_each(numbered, parse)

    @classmethod
    def find_files(cls, path: Path) -> dict[str, Path]:
        """Annotation files by the names of their sets."""
        return find_split_files(path, cls.suffix, lambda file: cls.recognise(read_ends(file)) is not None)

    def _choose_file(self) -> tuple[Path, dict[str, Path]]:
        """The file of the set, and the files of all sets."""
        files = self.find_files(self.path)
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
        for file in cls.find_files(place).values():
            if (tool := cls.recognise(read_ends(file))) is None:
                return None
            tool = tool or cls.name_tool(file)
            evidence = file.name if file == place else str(file.relative_to(place))
            return Layout(cls.word, place, evidence, 3, tool)
        return None

    @classmethod
    def default_sets(cls, path: str | os.PathLike[str]) -> tuple[str, str | None]:
        """Names of the training set and, if there is one, of the validation set; `"."` is a file without splits."""
        sets = cls._find_sets(cls.find_files(Path(path)))
        train, val = usual_sets(sets)
        return (train if train in sets or val is not None else WHOLE), val


def _names_in(file: Path) -> Iterator[str]:
    """Base names of all image files that a file names."""
    try:
        content = file.read_bytes()
    except OSError:
        return
    for name in set(_IMAGE_NAME.findall(content)):
        text = name.decode("utf-8", "replace")
        with contextlib.suppress(ValueError):
            text = json.loads(f'"{text}"')  # JSON may escape letters
        yield os.path.basename(to_local_path(text))


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
