"""Base of the readers of files that list all images of a split with their boxes."""

from __future__ import annotations

import collections
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple

from keras_retinanet.data.datasets.shared.annotations import Annotations
from keras_retinanet.data.datasets.shared.box_rows import BoxGroup, BoxRows
from keras_retinanet.data.datasets.shared.folder_contents import files_ending, subfolders
from keras_retinanet.data.datasets.shared.image_places import ImagePlaces, usual_folders
from keras_retinanet.data.datasets.shared.json_lines import json_lines
from keras_retinanet.data.datasets.shared.listed_boxes import ListedBox, group_boxes
from keras_retinanet.data.datasets.shared.reader import Layout, Reader
from keras_retinanet.data.datasets.shared.split_names import TRAIN, split_in, usual_sets
from keras_retinanet.data.errors import DataError, short_repr
from keras_retinanet.data.image_files import near_name_hint
from keras_retinanet.schema import Size

_PEEK = 1 << 14  # bytes at the beginning of a file that show its format
_MAX_FILES = 200  # of a folder that are looked into
_WITHOUT_SPLIT = "images have no split and are used for training"


class ListedImage(NamedTuple):
    """One image of a list.

    Attributes:
        names: Its path or URL; other names under which the file may be stored follow.
        boxes: Its boxes, one by one or, from `parse_boxes`, as a group.
        size: Height and width as annotated, if they are.
        split: Its split, if the file contains several.
    """

    names: Sequence[str]
    boxes: Sequence[ListedBox] | BoxGroup
    size: Size | None = None
    split: str = ""


class ListReader(Reader):
    """Base class of the readers of files that list all images of a split.

    A reader defines `is_list`, `read_images` and `suffixes`. Files are looked for in the folder and two levels below; a
    set is the split in the name of the file or of its folder. Images are in the folder of the file or in one of the
    usual places next to it.

    Attributes:
        suffixes: Endings of the names of such files.
        tool: Name of the tool, for `Layout`.
        listed_classes: Class names, label 0 first, if the format defines them. Defaults to none: the sorted names.
        is_relative: Whether coordinates are shares of the image's sides.
        has_splits_inside: Whether one file may contain several splits.
        counts: What was left out or replaced, by sentence; each becomes a note.
    """

    suffixes: ClassVar[tuple[str, ...]]
    tool: ClassVar[str] = ""
    listed_classes: ClassVar[tuple[str, ...]] = ()
    is_relative: ClassVar[bool] = False
    has_splits_inside: ClassVar[bool] = False
    counts: collections.Counter[str]

    def read(self, *, image_dir: str | None = None) -> Annotations:
        """Read the list of a split."""
        return self.read_list(image_dir)

    @classmethod
    def is_list(cls, file: Path, start: bytes) -> bool:
        """Whether a file is of this format.

        Args:
            file: The file.
            start: Its first bytes.
        """
        raise NotImplementedError

    def read_images(self, file: Path) -> Iterable[ListedImage]:
        """Yield the images of a file; broken annotations are left out (`parse_each`, `report_error`)."""
        raise NotImplementedError

    def list_files(self, file: Path) -> list[Path]:
        """The files that `file` stands for, if it is a folder. Defaults to none."""
        del file
        return []

    def read_json_lines(
        self, file: Path, kind: str, parse: Callable[[tuple[str, str]], ListedImage | None]
    ) -> Iterator[ListedImage]:
        """Yield the images of a file of JSON lines.

        Args:
            file: The file.
            kind: What it is, for messages.
            parse: Function of the place and the text of a line; `None` leaves its image out.
        """
        found = self.parse_each(json_lines(file, kind), parse)
        yield from (image for image in found if image is not None)

    def image_folders(self, file: Path) -> list[Path]:
        """Folders in which the images of a file may be."""
        split = split_in(file.stem) or split_in(file.parent.name)
        return usual_folders(file, split, self.path if self.path.is_dir() else None)

    @classmethod
    def find_sets(cls, path: Path) -> dict[str, Path]:
        """Files by the names of their sets."""
        if path.is_file():
            return {".": path} if cls._has_list(path) else {}
        for files in _levels(path, cls.suffixes):
            if found := [file for file in files if cls._has_list(file)]:
                names = [split_in(file.stem) or split_in(file.relative_to(path).parent.name) for file in found]
                if len(found) == 1:
                    return {names[0] or ".": found[0]}
                counts = collections.Counter(names)
                whole = [str(file.relative_to(path).with_suffix("")) for file in found]
                own = [name if name and counts[name] == 1 else full for name, full in zip(names, whole, strict=True)]
                return dict(zip(own, found, strict=True))
        return {}

    @classmethod
    def find_layout(cls, path: str | os.PathLike[str]) -> Layout | None:
        """Recognise the format by the first bytes of its files."""
        place = Path(path)
        file = next(iter(cls.find_sets(place).values()), None)
        if file is None:
            return None
        evidence = str(file.relative_to(place)) if file != place else file.name
        return Layout(cls.word, place, evidence, 3, cls.tool)

    @classmethod
    def default_sets(cls, path: str | os.PathLike[str]) -> tuple[str, str | None]:
        """Names of the training set and, if there is one, of the validation set."""
        sets = cls.find_sets(Path(path))
        if cls.has_splits_inside and len(sets) == 1:
            inside = cls.splits_inside(next(iter(sets.values())))
            if set(inside) - {""}:
                return usual_sets(inside)
        return usual_sets(sets)

    @classmethod
    def splits_inside(cls, file: Path) -> list[str]:
        """Names of the splits in one file; `""` for images without one."""
        del file
        return [""]

    def read_list(self, image_dir: str | None) -> Annotations:
        """Read the list of a split.

        Args:
            image_dir: Folder of the images, or `None` for the usual places.

        Returns:
            Images and boxes as annotated.
        """
        self.counts = collections.Counter()
        file, split = self._choose_file()
        places = ImagePlaces([image_dir] if image_dir else self.image_folders(file), file)
        position: dict[str, int] = {}
        sizes: list[Size | None] = []
        others: list[Sequence[str]] = []
        rows = BoxRows()
        for image in self.read_images(file):
            is_free = bool(split) and not image.split and split in TRAIN
            if split and image.split != split and not is_free:
                continue
            self.counts[_WITHOUT_SPLIT] += int(is_free)
            row = position.setdefault(image.names[0], len(position))
            if row == len(sizes):
                sizes.append(image.size)
                others.append(image.names[1:])
            rows.add(row, image.boxes if isinstance(image.boxes, BoxGroup) else group_boxes(image.boxes))
        paths = places.locate(list(position), others)
        notes = [f"{file}: {count} {what}" for what, count in self.counts.items() if count]
        return Annotations(
            listed_in=str(file),
            class_names=self.listed_classes or None,
            images=paths,
            image_ids=list(position),
            annotated_sizes=sizes,
            boxes=rows,
            is_relative=self.is_relative,
            sources=[str(file), *(str(part) for part in self.list_files(file))],
            notes=[*notes, *places.notes],
            describes_unused_images=bool(split),  # the file names those of the other splits
            are_classes_listed=bool(self.listed_classes),
            image_folders=places.folders,
            missing_fix=places.ambiguity,
        )

    def _choose_file(self) -> tuple[Path, str]:
        """The file of the set, and the split inside of it to read, `""` for all."""
        sets = self.find_sets(self.path)
        if self.set_name in sets:
            return sets[self.set_name], ""
        if self.has_splits_inside and len(sets) == 1:
            file = next(iter(sets.values()))
            if self.set_name in (inside := self.splits_inside(file)):
                return file, self.set_name
            sets |= {name or ".": file for name in inside}
        if not self.path.exists():
            fix = near_name_hint(self.path) + "check the path"
            raise DataError(str(self.path), "is not there", f"a folder or file: {self.summary}", fix)
        there = ", ".join(f"{name} ({file.name})" for name, file in sets.items())
        fix = f"choose a set with --set (sets there: {there})" if sets else "check the path"
        raise DataError(str(self.path), f"has no set {short_repr(self.set_name)}", self.summary, fix)

    @classmethod
    def _has_list(cls, file: Path) -> bool:
        try:
            with file.open("rb") as opened:
                start = opened.read(_PEEK).removeprefix(b"\xef\xbb\xbf")
            return bool(start) and cls.is_list(file, start)
        except (OSError, ValueError):
            return False


def _levels(path: Path, suffixes: tuple[str, ...]) -> Iterator[list[Path]]:
    """Files with one of the suffixes in a folder, in its subfolders, and in theirs."""
    folders = [path]
    for _ in range(3):
        folders = folders[:_MAX_FILES]
        yield [file for folder in folders for file in files_ending(folder, *suffixes)][:_MAX_FILES]
        folders = [inner for folder in folders for inner in subfolders(folder)]
