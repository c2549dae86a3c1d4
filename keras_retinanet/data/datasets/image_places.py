"""Finds the image files that annotations name, wherever the labelling machine had them."""

from __future__ import annotations

import collections
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import unquote

from keras_retinanet.data.datasets.split_names import split_in
from keras_retinanet.data.datasets.text_files import by_stem, is_image, to_local_path, walk_names
from keras_retinanet.data.errors import DataError, short_repr
from keras_retinanet.data.image_files import missing_positions

_MAX_NAMED = 5  # files named in a note
_TEXT_FOLDERS = ("annotations", "annotation", "labels", "label", "csv", "metadata", "meta", "gt", "lists", "splits")
_IMAGE_FOLDERS = ("images", "JPEGImages", "data", "imgs", "img", "image")


class ImagePlaces:
    """Folders in which the images of a data set may be.

    A name is looked up as it is (in the first folder), then in all folders with its path, with the image suffix that it
    lacks, and at last with the last parts of its path: annotations often hold the paths of another machine, or URLs.

    Args:
        folders: Where to look; the first is the one to which paths are relative. Folders need not exist.
        listed_in: The file that names the images, for messages.

    Attributes:
        folders: Argument.
        listed_in: Argument.
        notes: What was found elsewhere than it is named.
    """

    def __init__(self, folders: Sequence[str | os.PathLike[str]], listed_in: str | os.PathLike[str]) -> None:
        self.folders = list(dict.fromkeys(str(folder) for folder in folders))
        self.listed_in = str(listed_in)
        self.notes: list[str] = []
        self._listings: dict[str, _Listing] = {}

    def locate(self, names: Sequence[str]) -> list[str]:
        """Find images.

        Args:
            names: Paths or URLs as annotated; forward or backward slashes.

        Returns:
            A path for each. That of an image which is not found is its name in the first folder.

        Raises:
            DataError: Several names lead to one file, since only their last parts are there.
        """
        local = [_local(name) for name in names]
        paths = [os.path.join(self.folders[0], name) for name in local]
        moved = []
        for position in missing_positions(paths):
            found = self._find(local[position])
            if found is not None:
                paths[position], is_moved = found
                if is_moved:
                    moved.append(position)
        if moved:
            self._check_unique(paths, moved)
            home = os.path.commonpath([os.path.dirname(paths[position]) for position in moved])
            example = f"{len(moved)} image paths lead elsewhere, such as {short_repr(names[moved[0]], 120)}"
            self.notes.append(f"{self.listed_in}: {example}: images of the same name in {home} are used")
        return paths

    def note_unused(self, paths: Iterable[str], *, elsewhere: Iterable[str] = ()) -> list[str]:
        """A note on images that lie next to those used, and are not used.

        Args:
            paths: The images that are used.
            elsewhere: Base names of images that other files of the data set name. Defaults to none.

        Returns:
            One note, or none.
        """
        used, known = {os.path.normpath(path) for path in paths}, set(elsewhere)
        spare = []
        for folder in dict.fromkeys(os.path.dirname(path) for path in used):
            names = (name for name in _names_in(folder) if is_image(name))
            spare += [name for name in names if os.path.join(folder, name) not in used and name not in known]
        return describe_names(self.listed_in, spare, "images in the same folders are not listed and are left out")

    def _find(self, name: str) -> tuple[str, bool] | None:
        """Path of an image, and whether only the last parts of its name are there."""
        parts = name.split("/")
        for start in range(len(parts)):
            tail = "/".join(parts[start:])
            for folder in self.folders:
                if (there := self._listing(folder).exact(tail)) is not None:
                    return os.path.join(folder, there), start > 0
        for folder in self.folders:
            if (there := self._listing(folder).unique(parts[-1])) is not None:
                return os.path.join(folder, there), True
        return None

    def _listing(self, folder: str) -> _Listing:
        if folder not in self._listings:
            self._listings[folder] = _Listing(folder)
        return self._listings[folder]

    def _check_unique(self, paths: list[str], moved: list[int]) -> None:
        counts = collections.Counter(paths)
        for position in moved:
            if (count := counts[paths[position]]) > 1:
                found = f"{count} image paths lead to folders that are not there, and all end in "
                found += short_repr(os.path.basename(paths[position]))
                fix = "give the folder that they start from with --image-dir, or restore the folders"
                raise DataError(self.listed_in, found, "images that exist", fix)


class _Listing:
    """The images below a folder."""

    def __init__(self, folder: str) -> None:
        names = [name for name in walk_names(folder) if is_image(name)] if os.path.isdir(folder) else []
        self._names, self._stems = set(names), by_stem(names)
        counts = collections.Counter(os.path.basename(name) for name in names)
        self._unique = {os.path.basename(name): name for name in names if counts[os.path.basename(name)] == 1}
        self._unique_stems = by_stem(sorted(self._unique))

    def exact(self, name: str) -> str | None:
        """The image of this path, or of this path without suffix."""
        return name if name in self._names else self._stems.get(name)

    def unique(self, name: str) -> str | None:
        """The only image of this base name, with or without suffix."""
        return self._unique.get(name) or self._unique.get(self._unique_stems.get(name, ""))


def usual_folders(file: Path, split: str = "", root: Path | None = None) -> list[Path]:
    """Folders in which the images of an annotation file usually are.

    Args:
        file: The annotation file.
        split: Name of its split. Defaults to `""`.
        root: Folder of the data set. Defaults to that of the file.

    Returns:
        The folder of the file first, then folders of the split, then those of all images.
    """
    above = file.parent.parent
    homes = list(dict.fromkeys([file.parent, root or file.parent, above]))
    own = []
    for name in dict.fromkeys([split, file.stem]) if split else [file.stem]:
        own += [home / place for home in homes for place in (name, f"images/{name}", f"{name}/images", f"data/{name}")]
    is_inner = file.parent.name.lower() in _TEXT_FOLDERS or bool(split_in(file.parent.name))
    wide = [*([root] if root else []), *([above] if is_inner else [])]
    return [file.parent, *own, *(home / place for home in homes for place in _IMAGE_FOLDERS), *wide]


def describe_names(where: str | os.PathLike[str], names: Iterable[str], what: str) -> list[str]:
    """A note that counts names and shows the first five, or none: `"DIR: 2 images have no file (a.jpg, b.jpg)"`."""
    found = sorted(names)
    named = ", ".join(short_repr(name)[1:-1] for name in found[:_MAX_NAMED])
    return [f"{where}: {len(found)} {what} ({named}{' …' if len(found) > _MAX_NAMED else ''})"] if found else []


def _local(name: str) -> str:
    if "://" in name:
        name = unquote(name.split("://", 1)[1].split("?")[0].split("#")[0])
    return to_local_path(name)


def _names_in(folder: str) -> list[str]:
    try:
        return [name for name in os.listdir(folder or ".") if not name.startswith(".")]
    except (OSError, ValueError):
        return []
