"""Finds the image files that annotations name, wherever the labelling machine had them."""

from __future__ import annotations

import collections
import itertools
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import unquote

from keras_retinanet.data.datasets.shared.split_names import split_in
from keras_retinanet.data.datasets.shared.text_files import by_stem, describe_files, is_image, to_local_path, walk_names
from keras_retinanet.data.errors import short_repr
from keras_retinanet.data.image_files import missing_positions

NAME_FOLDER = "name the folder of the images with --image-dir"
"""Advice if images are missing."""

_TEXT_FOLDERS = ("annotations", "annotation", "labels", "label", "csv", "metadata", "meta", "gt", "lists", "splits")
_MAX_NAMED = 5
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
        missing: Positions of the images that `locate` did not find.
        ambiguity: What to do about names that may be any of several files, or of which several lead to one file, since
            only their last parts are there; `""` if there are none.
    """

    def __init__(self, folders: Sequence[str | os.PathLike[str]], listed_in: str | os.PathLike[str]) -> None:
        self.folders = list(dict.fromkeys(str(folder) for folder in folders))
        self.listed_in = str(listed_in)
        self.notes: list[str] = []
        self.missing: list[int] = []
        self.ambiguity = ""
        self._homes: dict[str, None] = {}
        self._listings: dict[str, _Listing] = {}

    def locate(self, names: Sequence[str], alternatives: Sequence[Sequence[str]] = ()) -> list[str]:
        """Find images.

        Args:
            names: Paths or URLs as annotated; forward or backward slashes.
            alternatives: Other names of each image, tried after its name and before parts of it. Defaults to none.

        Returns:
            A path for each. That of an image which is not found, or of which only the last parts are there and fit
            several names, is its name in the first folder.
        """
        local = [_local(name) for name in names]
        base = next((home for home in self.folders if local and os.path.isfile(os.path.join(home, local[0]))), None)
        paths = [os.path.join(base or self.folders[0], name) for name in local]
        moved, absent = [], set(missing_positions(paths))
        if len(absent) < len(paths):
            self._homes[base or self.folders[0]] = None
        for position in sorted(absent):
            others = alternatives[position] if alternatives else ()
            forms = dict.fromkeys([local[position], unquote(local[position]), *(_local(name) for name in others)])
            found = self._find([*forms])
            if found is None:
                self.missing.append(position)
                paths[position] = os.path.join(self.folders[0], local[position])
                continue
            home, there, is_moved = found
            self._homes[home] = None
            paths[position] = os.path.join(home, there)
            if is_moved:
                moved.append(position)
        self._describe_candidates(names)
        if moved := self._drop_ambiguous(paths, local, moved):
            home = os.path.commonpath([os.path.dirname(paths[position]) for position in moved])
            example = f"{len(moved)} image paths lead elsewhere, such as {short_repr(names[moved[0]], 120)}"
            self.notes.append(f"{self.listed_in}: {example}: images of the same name in {home} are used")
        return paths

    def note_unused(
        self, paths: Iterable[str], *, elsewhere: Iterable[str] = (), skipped: Iterable[Path] | None = None
    ) -> list[str]:
        """A note on images that lie next to those used, and are not used.

        Args:
            paths: The images that are used.
            elsewhere: Base names of images that other files of the data set name. Defaults to none.
            skipped: Folders of other sets. If given, all folders below those to which the names are relative are
                searched, except these. Defaults to `None`: the folders of the images themselves are searched.

        Returns:
            One note, or none.
        """
        used, known = {os.path.normpath(path) for path in paths}, set(elsewhere)
        if skipped is None:
            folders = dict.fromkeys(os.path.dirname(path) for path in used)
            there = [os.path.join(folder, name) for folder in folders for name in _names_in(folder)]
            what = "images in the same folders are not listed and are left out"
        else:
            others = tuple(os.path.normpath(folder) + os.sep for folder in skipped)
            found = (os.path.normpath(os.path.join(home, name)) for home in self._homes for name in walk_names(home))
            there = [path for path in dict.fromkeys(found) if not path.startswith(others)]
            what = "images are not listed and are left out"
        spare = [os.path.basename(path) for path in there if is_image(path) and path not in used]
        return describe_files(self.listed_in, [name for name in spare if name not in known], what)

    def candidates(self, name: str) -> list[str]:
        """Paths of all images with the base name of `name` below the folders."""
        wanted = os.path.basename(_local(name))
        there = (os.path.join(folder, path) for folder in self.folders for path in self._listing(folder).called(wanted))
        return list(dict.fromkeys(os.path.normpath(path) for path in there))

    def _find(self, names: Sequence[str]) -> tuple[str, str, bool] | None:
        """Folder and path below it of an image, and whether that is not its first name in full."""
        for name in names:
            if (found := self._find_exact(name)) is not None:
                return *found, name != names[0]
        for name in names:
            parts = name.split("/")
            for start in range(1, len(parts)):
                if (found := self._find_exact("/".join(parts[start:]))) is not None:
                    return *found, True
        for name in names:
            for folder in self.folders:
                if (there := self._listing(folder).nearest(name)) is not None:
                    return folder, there, True
        return None

    def _find_exact(self, name: str) -> tuple[str, str] | None:
        for folder in self.folders:
            if (there := self._listing(folder).exact(os.path.normpath(name).replace(os.sep, "/"))) is not None:
                return folder, there
        return None

    def _listing(self, folder: str) -> _Listing:
        if folder not in self._listings:
            self._listings[folder] = _Listing(folder)
        return self._listings[folder]

    def _describe_candidates(self, names: Sequence[str]) -> None:
        """Set `ambiguity` if several images have the base name of one that is missing."""
        for position in self.missing[:1]:
            if several := self.candidates(names[position]):
                fix = f"{NAME_FOLDER}, or give the images different names"
                shown = ", ".join(several[:_MAX_NAMED])
                self._add_ambiguity(f"{short_repr(names[position], 120)} may be any of {len(several)}: {shown}: {fix}")

    def _add_ambiguity(self, text: str) -> None:
        self.ambiguity = text
        self.notes.append(f"{self.listed_in}: {text}")

    def _drop_ambiguous(self, paths: list[str], local: Sequence[str], moved: list[int]) -> list[int]:
        """The moved names that lead to a file of their own; others count as missing, since only one can be right."""
        counts = collections.Counter(paths)
        unclear = [position for position in moved if counts[paths[position]] > 1]
        if not unclear:
            return moved
        name = short_repr(os.path.basename(paths[unclear[0]]))
        self._add_ambiguity(
            f"{len(unclear)} image paths lead to folders that are not there and share their base names ({name}): "
            "give the folder that they start from with --image-dir, or restore the folders"
        )
        for position in unclear:
            paths[position] = os.path.join(self.folders[0], local[position])
        self.missing = sorted([*self.missing, *unclear])
        return [position for position in moved if position not in set(unclear)]


class _Listing:
    """The images below a folder."""

    def __init__(self, folder: str) -> None:
        names = [name for name in walk_names(folder) if is_image(name)] if os.path.isdir(folder) else []
        self._names, self._stems = set(names), by_stem(names)
        self._by_base: dict[str, list[str]] = collections.defaultdict(list)
        for name in names:
            self._by_base[os.path.basename(name)].append(name)
        self._unique = {base: found[0] for base, found in self._by_base.items() if len(found) == 1}
        self._unique_stems = by_stem(sorted(self._unique))

    def exact(self, name: str) -> str | None:
        """The image of this path, or of this path without suffix."""
        return name if name in self._names else self._stems.get(name)

    def called(self, base_name: str) -> list[str]:
        """All images of this base name."""
        return self._by_base.get(base_name, [])

    def nearest(self, name: str) -> str | None:
        """The only image of the same base name, with or without suffix; of several, the one in the same folders."""
        base = os.path.basename(name)
        found = self.called(base)
        if len(found) < 2:
            return self._unique.get(base) or self._unique.get(self._unique_stems.get(base, ""))
        equal = [_count_equal_ends(name, path) for path in found]
        best = max(equal)
        return found[equal.index(best)] if equal.count(best) == 1 else None


def _count_equal_ends(first: str, second: str) -> int:
    """Number of last parts that two paths have in common."""
    pairs = zip(reversed(first.split("/")), reversed(second.split("/")), strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))


def choose_image_folder(image_dir: str | os.PathLike[str], set_name: str) -> Path:
    """The folder of a set in a folder of images, if it has one of the set's name; else the folder itself."""
    own = Path(image_dir) / set_name
    return own if own.is_dir() else Path(image_dir)


def usual_folders(file: Path, split: str = "", root: Path | None = None) -> list[Path]:
    """Folders in which the images of an annotation file usually are.

    Args:
        file: The annotation file.
        split: Name of its split. Defaults to `""`.
        root: Folder of the data set, above which nothing is searched. Defaults to the folder of the file, and the one
            above it if that is named for annotations or a split.

    Returns:
        The folder of the file first, then folders of the split, then those of all images.
    """
    above = file.parent.parent
    homes = list(dict.fromkeys([file.parent, root or above]))
    own = []
    for name in dict.fromkeys([split, file.stem]) if split else [file.stem]:
        own += [home / place for home in homes for place in (name, f"images/{name}", f"{name}/images", f"data/{name}")]
    is_inner = file.parent.name.lower() in _TEXT_FOLDERS or bool(split_in(file.parent.name))
    wide = [root] if root else [above] if is_inner else []
    return [file.parent, *own, *(home / place for home in homes for place in _IMAGE_FOLDERS), *wide]


def _local(name: str) -> str:
    if "://" in name:
        name = unquote(name.split("://", 1)[1].split("?")[0].split("#")[0])
    return to_local_path(name)


def _names_in(folder: str) -> list[str]:
    try:
        return [name for name in os.listdir(folder or ".") if not name.startswith(".")]
    except (OSError, ValueError):
        return []
