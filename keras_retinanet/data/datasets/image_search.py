"""Finds the images that an annotation file names, which another machine may have written."""

from __future__ import annotations

import collections
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from keras_retinanet.data.datasets.text_files import is_image, name_examples, to_local_path, walk_names
from keras_retinanet.data.errors import DataError, short_repr

_MAX_NAMED = 5
IMAGE_FOLDERS = ("images", "data", "imgs", "JPEGImages")


@dataclass
class FoundImages:
    """Where images are.

    Attributes:
        paths: One per image; of an image that is not there, the place where it was expected.
        homes: Folders to which the names are relative, or in which base names were found.
        missing: Positions of the images that are not there.
        notes: Names that lead elsewhere, one sentence.
    """

    paths: list[str] = field(default_factory=list)
    homes: list[Path] = field(default_factory=list)
    missing: list[int] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class _Folders:
    """Listings of folders, each read once."""

    def __init__(self) -> None:
        self._names: dict[str, frozenset[str]] = {}
        self._images: dict[Path, dict[str, list[str]]] = {}

    def has_file(self, path: str) -> bool:
        folder, name = os.path.split(path)
        if folder not in self._names:
            try:
                self._names[folder] = frozenset(os.listdir(folder or "."))
            except (OSError, ValueError):  # ValueError: a zero byte in the name
                self._names[folder] = frozenset()
        return name in self._names[folder] and bool(name)

    def images_called(self, folder: Path, name: str) -> list[str]:
        """Paths below a folder of images with a base name."""
        if folder not in self._images:
            found = collections.defaultdict(list)
            for path in walk_names(folder) if folder.is_dir() else []:
                if is_image(path):
                    found[os.path.basename(path)].append(path)
            self._images[folder] = dict(found)
        return self._images[folder].get(name, [])


def image_folders(file: Path, root: Path, splits: Iterable[str]) -> list[Path]:
    """Folders in which tools put the images of an annotation file.

    Args:
        file: The annotation file.
        root: Folder of the data set.
        splits: Names of the set.

    Returns:
        The most specific first, the data set itself last.
    """
    names = list(dict.fromkeys(splits))
    own = [root / place for name in names for place in (f"images/{name}", f"data/{name}", f"{name}/images", name)]
    beside = [file.parent / place for place in (*IMAGE_FOLDERS, ".")]
    return list(dict.fromkeys([*own, *beside, *(root / place for place in IMAGE_FOLDERS), root]))


def locate_images(names: Sequence[Sequence[str]], folders: Sequence[Path], file: Path) -> FoundImages:
    """Find the images that a file names.

    A name that leads to a file from one of the folders, or that is an absolute path to one, is followed. Otherwise the
    image of the same base name is used that lies below one of the folders; of several, the one that agrees with more
    folders of the name.

    Args:
        names: Names of each image: as annotated, and other forms of the same name.
        folders: Where to look, in this order. Those that are not there are skipped.
        file: The annotation file, for messages.

    Returns:
        The paths.

    Raises:
        DataError: Several images fit a name, or two names lead to one image.
    """
    known, found = _Folders(), FoundImages()
    there = [folder for folder in folders if folder.is_dir()]
    homes: dict[Path, None] = {}
    moved: list[int] = []
    for position, forms in enumerate(names):
        local = [to_local_path(form) for form in forms]
        match = _follow(local, there, known) or _nearest(local, there, known, file)
        if match is None:
            found.missing.append(position)
            found.paths.append(os.path.join(there[0] if there else folders[0], local[0]))
            continue
        if not match.is_exact:
            moved.append(position)
        homes[match.home] = None
        found.paths.append(match.path)
    found.homes = list(homes)
    if moved:
        _require_distinct(found.paths, names, moved, file)
        example = f"{len(moved)} image names lead elsewhere, such as {short_repr(names[moved[0]][0], 120)}"
        found.notes.append(f"{file}: {example}: images of the same base name are used")
    return found


class _Match(NamedTuple):
    home: Path
    path: str
    is_exact: bool


def _follow(forms: Sequence[str], folders: Sequence[Path], known: _Folders) -> _Match | None:
    """The image to which a form of its name leads from one of the folders."""
    for form in forms:
        for folder in folders:
            if known.has_file(path := os.path.join(folder, form)):
                wanted, found = (os.path.splitext(os.path.normpath(name))[0] for name in (forms[0], path))
                return _Match(folder, path, f"/{found}".endswith(f"/{wanted.lstrip('/')}"))
    return None


def _nearest(forms: Sequence[str], folders: Sequence[Path], known: _Folders, file: Path) -> _Match | None:
    """The image below one of the folders whose path agrees with most of a name."""
    for form in forms:
        for folder in folders:
            candidates = known.images_called(folder, os.path.basename(form))
            if not candidates:
                continue
            agreement = [_count_equal_ends(form, candidate) for candidate in candidates]
            best = [path for path, count in zip(candidates, agreement, strict=True) if count == max(agreement)]
            if len(best) > 1:
                named = ", ".join(best[:_MAX_NAMED])
                fix = "name the folder of the images with --image-dir, or give the images different names"
                found = f"image {short_repr(form, 120)} may be any of {len(best)} below {folder}: {named}"
                raise DataError(str(file), found, "one image per name", fix)
            return _Match(folder, os.path.join(folder, best[0]), False)
    return None


def _count_equal_ends(first: str, second: str) -> int:
    """Number of last parts that two paths have in common."""
    count = 0
    for one, other in zip(reversed(first.split("/")), reversed(second.split("/")), strict=False):
        if one != other:
            break
        count += 1
    return count


def _require_distinct(paths: Sequence[str], names: Sequence[Sequence[str]], moved: Sequence[int], file: Path) -> None:
    first: dict[str, int] = {}
    for position, path in enumerate(paths):
        other = first.setdefault(path, position)
        if names[other][0] != names[position][0] and {other, position} & set(moved):
            pair = f"{short_repr(names[other][0], 120)} and {short_repr(names[position][0], 120)}"
            fix = "name the folder that the names start from with --image-dir"
            raise DataError(str(file), f"{pair} both lead to {path}", "one image per name", fix)


def describe_unused(homes: Iterable[Path], used: Iterable[str], file: Path, skipped: Iterable[Path] = ()) -> list[str]:
    """Notes on images that a file does not name.

    Args:
        homes: Folders of its images.
        used: Paths of the images that it names.
        file: The annotation file.
        skipped: Folders of other sets.

    Returns:
        At most one sentence.
    """
    known, others = {os.path.normpath(path) for path in used}, [os.path.normpath(folder) + os.sep for folder in skipped]
    unused: dict[str, None] = {}
    for home in homes:
        for name in walk_names(home):
            path = os.path.normpath(os.path.join(home, name))
            if is_image(name) and path not in known and not path.startswith(tuple(others)):
                unused[path] = None
    if not unused:
        return []
    named = name_examples([os.path.basename(path) for path in unused])
    return [f"{file}: {len(unused)} images are not in this file and are left out ({named})"]
