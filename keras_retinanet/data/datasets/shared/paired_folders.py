"""Finds the folders of data sets with one text file for each image, and pairs images with texts."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from keras_retinanet.data.datasets.shared.folder_contents import subfolders
from keras_retinanet.data.datasets.shared.split_names import split_in
from keras_retinanet.data.datasets.shared.text_files import by_stem, describe_files, is_image, walk_names

_MAX_PEEKS = 20  # text files that are looked into


class Pair(NamedTuple):
    """A folder of images, `None` if it is elsewhere, and the folder of their text files."""

    images: Path | None
    texts: Path


class PairedFiles(NamedTuple):
    """The files of one set.

    Attributes:
        images: Paths of the image files.
        names: Path of each below the folder of images, without suffix.
        texts: Text file of each image; `None` if it has none.
        notes: What is not used, or used without a text file.
    """

    images: list[str]
    names: list[str]
    texts: list[Path | None]
    notes: list[str]


def find_pairs(path: Path, is_text_folder: Callable[[str], bool], is_text: Callable[[Path], bool]) -> dict[str, Pair]:
    """Find the sets of a data set.

    Args:
        path: Its folder, or the folder of one set.
        is_text_folder: Whether a folder of this name, in lower case, has the text files.
        is_text: Whether a file is one of this format, by its first lines.

    Returns:
        Folders by set: `<set>/images` with `<set>/TEXTS`, or `images/<set>` with `TEXTS/<set>`; without any folder of
        images, those of the text files alone. The set `"."` has all.
    """
    return _find(path, is_text_folder, is_text, has_images=True) or _find(
        path, is_text_folder, is_text, has_images=False
    )


def _find(
    path: Path, is_text_folder: Callable[[str], bool], is_text: Callable[[Path], bool], *, has_images: bool
) -> dict[str, Pair]:
    sets: dict[str, Pair] = {}
    for home in [path, *subfolders(path)]:
        below = {folder.name.lower(): folder for folder in subfolders(home)}
        images = below.get("images")
        texts = next((folder for name, folder in below.items() if is_text_folder(name)), None)
        if texts is None or (images is None) == has_images:
            continue
        inner = {split_in(folder.name): folder for folder in subfolders(texts) if split_in(folder.name)}
        parts = subfolders(images) if images is not None else []
        own = {split_in(folder.name): folder for folder in parts if split_in(folder.name)}
        split = "." if home == path else split_in(home.name) or home.name
        both = {name: Pair(own.get(name), inner[name]) for name in inner if name in own or not has_images}
        found = both or {split: Pair(images, texts)}
        sets |= {name: pair for name, pair in found.items() if _has_text(pair.texts, is_text) and name not in sets}
    return sets


def pair_files(home: Path, text_home: Path, *, is_shared: bool = False) -> PairedFiles:
    """Pair images and text files of the same path without suffix.

    Args:
        home: Folder of the images.
        text_home: Folder of the text files.
        is_shared: Whether other sets have images in `home`, too. Defaults to `False`: images without a text file are
            background.

    Returns:
        The files.
    """
    image_names = [name for name in walk_names(home) if is_image(name)]
    text_names = [name for name in walk_names(text_home) if name.lower().endswith(".txt")]
    stems = dict(sorted(by_stem(image_names).items()))
    texts = {os.path.splitext(name)[0]: name for name in reversed(text_names)}
    flat = {os.path.basename(stem): name for stem, name in texts.items()}  # texts may lie in one more folder
    found = {stem: texts.get(stem) or flat.get(os.path.basename(stem)) for stem in stems}
    used = set(found.values())
    notes = describe_files(text_home, set(text_names) - used, "text files have no image and are left out")
    bare = [stems[stem] for stem, name in found.items() if name is None]
    what = "are left out: they may be of another set" if is_shared else "count as background"
    notes += describe_files(home, bare, f"images have no text file and {what}")
    if is_shared:
        found = {stem: name for stem, name in found.items() if name is not None}
        stems = {stem: stems[stem] for stem in found}
    copies = set(image_names) - set(stems.values())
    notes += describe_files(home, copies, "images differ from another in suffix and are left out")
    return PairedFiles(
        [os.path.join(home, name) for name in stems.values()],
        list(stems),
        [None if name is None else text_home / name for name in found.values()],
        notes,
    )


def _has_text(folder: Path, is_text: Callable[[Path], bool]) -> bool:
    """Whether one of the first text files below a folder is of the format."""
    for number, file in enumerate(_texts(folder)):
        if number == _MAX_PEEKS:
            return False
        if is_text(file):
            return True
    return False


def _texts(folder: Path) -> Iterator[Path]:
    for home in [folder, *subfolders(folder)]:
        try:
            with os.scandir(home) as entries:
                yield from (Path(entry.path) for entry in entries if entry.name.lower().endswith(".txt"))
        except OSError:
            continue
