"""Pairs the images of a YOLO set with their text files."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from urllib.parse import unquote

from keras_retinanet.data.datasets.yolo.classes import is_class_file
from keras_retinanet.data.datasets.yolo.sets import IMAGE_FOLDERS, LABEL_FOLDERS, folders_named, is_image_list

_MAX_NAMED = 5  # files named in a note
_LISTS = ("train.txt", "val.txt", "valid.txt", "validation.txt", "test.txt", "images.txt")


class TextFolders:
    """Folders of text files by folder of images, and what is in them.

    The text file of `…/images/a/b.jpg` is `…/labels/a/b.txt`, or in one folder `…/labels` for all, in the folder of the
    image or in `labels` below it: the first of these that has any text file.

    Args:
        image_dir: Folder of the images, if the text files are in another place, `home`.
        home: Folder of the data set.
        set_name: Name of the set. Defaults to `""`.
    """

    def __init__(self, image_dir: str | None, home: Path, set_name: str = "") -> None:
        self._image_dir, self._home, self._set_name = image_dir, home, set_name
        self._listings: dict[str, dict[str, str]] = {}
        self.homes: dict[str, str | None] = {}
        self._listed: dict[str, str] = {}

    def move_image(self, image: str) -> str:
        """The path in `image_dir` of an image that a list names; its text file is looked for next to the listed path.

        Args:
            image: The path listed.

        Returns:
            The last parts of the path below `image_dir`, as many as exist there; at least the name. The path itself
            without `image_dir`.
        """
        if self._image_dir is None:
            return image
        folder, _, name = image.rpartition(os.sep)
        parts = [part for part in folder.split(os.sep) if part]
        places = [os.path.join(self._image_dir, *parts[start:]) for start in range(len(parts) + 1)]
        home = next((place for place in places if os.path.isfile(os.path.join(place, name))), places[-1])
        self._listed.setdefault(home, folder)
        return os.path.join(home, name)

    def homes_of_set(self) -> list[str]:
        """Folders of the text files of the set, where text files are divided into sets and `image_dir` is given."""
        if self._image_dir is None or self._set_name in ("", "."):
            return []
        places = (os.path.normpath(self._home / name / self._set_name) for name in ("", *LABEL_FOLDERS))
        parts = (os.path.normpath(self._home / self._set_name / name) for name in LABEL_FOLDERS)
        return [place for place in (*places, *parts) if self.texts_in(place)]

    def find(self, folder: str) -> str | None:
        """Folder of the text files of the images of a folder; `None` if there is none."""
        if folder not in self.homes:
            self.homes[folder] = next((home for home in self._places(folder) if self.texts_in(home)), None)
        return self.homes[folder]

    def texts_in(self, folder: str) -> dict[str, str]:
        """Names of the text files in a folder by stem, without lists of classes and of images."""
        if folder not in self._listings:
            self._listings[folder] = _list_texts(folder)
        return self._listings[folder]

    def _places(self, folder: str) -> Iterator[str]:
        if (listed := self._listed.get(folder)) is not None:
            yield from label_folders(listed)
            yield listed
        if self._image_dir is not None:
            below = os.path.relpath(folder, self._image_dir)
            names = ("", *LABEL_FOLDERS)
            yield from (os.path.normpath(self._home / name / below) for name in names)
            yield from self.homes_of_set()
        yield from label_folders(folder)
        yield folder
        yield from (os.path.join(folder, name) for name in LABEL_FOLDERS)


def match_texts(images: Sequence[str], folders: TextFolders) -> tuple[list[str | None], list[str]]:
    """Find the text file of each image.

    Args:
        images: Paths of the images.
        folders: Where text files are.

    Returns:
        Text file of each image, `None` for one without; and notes. If no text file has the name of an image, the only
        one whose name differs in case, in the encoding of accents or in percent signs (Label Studio) is used.
    """
    texts: list[str | None] = [None] * len(images)
    without: dict[str, list[int]] = {}
    used: set[str] = set()
    for position, image in enumerate(images):
        folder, _, name = image.rpartition(os.sep)
        home = folders.homes[folder] if folder in folders.homes else folders.find(folder)
        if home is None:
            continue
        text = folders.texts_in(home).get(os.path.splitext(name)[0])
        if text is None:
            without.setdefault(home, []).append(position)
        else:
            texts[position] = f"{home}{os.sep}{text}" if home else text
            used.add(texts[position] or "")
    moved = []
    for home, positions in without.items():
        spare = [text for text in folders.texts_in(home).values() if os.path.join(home, text) not in used]
        for position, text in _match_folded([(place, images[place]) for place in positions], spare):
            texts[position] = os.path.join(home, text)
            moved.append(f"{texts[position]} for {os.path.basename(images[position])}")
    what = "text files are spelled otherwise than their images, and are used"
    return texts, [f"{len(moved)} {what}: {'; '.join(moved[:_MAX_NAMED])}"] if moved else []


def _match_folded(images: Iterable[tuple[int, str]], texts: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Pairs of images and text files whose folded names are equal and occur once."""
    spare: dict[str, list[str]] = {}
    for text in texts:
        spare.setdefault(fold_stem(text), []).append(text)
    found: dict[str, list[int]] = {}
    for position, image in images if spare else ():
        found.setdefault(fold_stem(image), []).append(position)
    for name, positions in found.items():
        if len(positions) == 1 and len(spare.get(name, ())) == 1:
            yield positions[0], spare[name][0]


def fold_stem(path: str) -> str:
    """The name of a file without its suffix, folded: case, accents' encoding, and `%20` for a blank."""
    return unicodedata.normalize("NFC", unquote(os.path.splitext(os.path.basename(path))[0])).casefold()


def label_folders(folder: str) -> Iterator[str]:
    """`…/labels/a/b` for `…/images/a/b`, then the folders above it down to `…/labels`."""
    parts = folder.split(os.sep)
    place = next((place for place in reversed(range(len(parts))) if parts[place].lower() in IMAGE_FOLDERS), None)
    if place is None:
        return
    parent = os.sep.join(parts[:place]) or (os.sep if folder.startswith(os.sep) else "")
    for name in folders_named(Path(parent or "."), LABEL_FOLDERS):
        for end in range(len(parts), place, -1):
            yield os.path.join(parent, name, *parts[place + 1 : end])


def _list_texts(folder: str) -> dict[str, str]:
    try:
        with os.scandir(folder or ".") as entries:
            names = [entry.name for entry in entries if is_text(entry.name)]
    except (OSError, ValueError):
        return {}
    lists = {name for name in names if name.lower() in _LISTS and is_image_list(Path(folder, name))}
    return {name[:-4]: name for name in sorted(names, reverse=True) if name not in lists}


def is_text(name: str) -> bool:
    """Whether a name may be that of a text file of boxes."""
    base = os.path.basename(name)
    return base.lower().endswith(".txt") and not base.startswith(".") and not is_class_file(base)
