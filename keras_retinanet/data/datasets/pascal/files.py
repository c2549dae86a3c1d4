"""Where the files of a Pascal VOC data set are, in the layouts that tools write."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from keras_retinanet.data.datasets.pascal.lists import list_folder, names_in_lists, read_list
from keras_retinanet.data.datasets.pascal.xml import read_voc_xml
from keras_retinanet.data.datasets.shared.image_places import NAME_FOLDER, choose_image_folder
from keras_retinanet.data.datasets.shared.text_files import (
    by_stem,
    describe_files,
    has_file,
    is_image,
    suggest_parent_folder,
    walk_names,
)
from keras_retinanet.data.errors import DataError, short_repr
from keras_retinanet.data.image_files import SUFFIXES, find_near_name, near_name_hint

WHOLE = "."
"""The set of all files, where there are neither lists nor folders of sets."""

_VALIDATION_SETS = ("val", "valid", "validation")
_SETS = ("train", *_VALIDATION_SETS, "test")
_TEXT_FOLDERS = ("annotations", "labels", "xml", "xmls")
_IMAGE_FOLDERS = ("jpegimages", "images", "image", "imgs", "img", "data")
_MARKERS = ("ImageSets", "JPEGImages", "Annotations", "annotations")
_MISSING_FIX = (
    f"put the images there or into a folder images/ in it, give the folder above that has both, or {NAME_FOLDER}"
)
_MAX_NAMED = 5  # files named in a note


@dataclass
class VocFiles:
    """The files of one set.

    Attributes:
        listed_in: File or folder that lists the images.
        ids: Names of the images without suffix; those in sub-folders begin with these.
        texts: The XML file of each image; `None` for a listed image without one.
        images: Paths of the image files.
        other_texts: XML files of the other sets, which share classes and origin.
        folders: Folders whose files were listed.
        notes: What was found and is not used, or is used without an XML file.
    """

    listed_in: Path
    ids: list[str] = field(default_factory=list)
    texts: list[Path | None] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    other_texts: list[Path] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class _Homes:
    """The files below a folder of XML files and a folder of images, by path without suffix."""

    def __init__(self, text_home: Path, image_home: Path) -> None:
        self.text_home, self.image_home = text_home, image_home
        text_names = [name for name in walk_names(text_home) if _is_text(name)]
        image_names = [name for name in walk_names(image_home) if is_image(name)]
        first = {os.path.splitext(name)[0]: name for name in reversed(text_names)}
        self.texts = dict(sorted(first.items()))
        self.images = by_stem(image_names)
        self.notes: list[str] = []
        self._add_note(text_home, set(text_names) - set(self.texts.values()), "XML files differ from another in case")
        self._add_note(image_home, set(image_names) - set(self.images.values()), "images differ from another in suffix")

    def _add_note(self, home: Path, names: Iterable[str], what: str) -> None:
        self.notes += describe_files(home, names, f"{what} and are left out")

    @property
    def folders(self) -> list[Path]:
        """All folders with files: a file added to one of them changes it."""
        homes = [(self.text_home, self.texts), (self.image_home, self.images)]
        below = dict.fromkeys((home, os.path.dirname(name)) for home, names in homes for name in names.values())
        return list(dict.fromkeys([self.text_home, self.image_home, *(home / part for home, part in below)]))


def find_files(folder: Path, set_name: str, image_dir: str | None, *, is_strict: bool, is_lenient: bool) -> VocFiles:
    """Find the files of a set.

    Args:
        folder: The data set.
        set_name: Name of a list or folder, or `WHOLE`.
        image_dir: Folder of the images; `None` for the usual ones.
        is_strict: Whether an XML file without an image is an error; otherwise it is left out and reported.
        is_lenient: Whether missing images are left to whoever opens them.

    Returns:
        The files.

    Raises:
        DataError: There are none, or a listed image is not there.
    """
    if list_folder(folder).is_dir():
        return _files_of_list(folder, set_name, image_dir, is_strict=is_strict)
    return _files_of_folder(folder, set_name, image_dir, is_strict=is_strict, is_lenient=is_lenient)


def default_sets(folder: Path) -> tuple[str, str | None]:
    """Names of the training set and, if there is one, of the validation set.

    Args:
        folder: The data set.

    Returns:
        Names of lists or folders; `WHOLE` if there are neither, `"trainval"` if there is nothing.
    """
    if list_folder(folder).is_dir():
        there = sorted(file.stem for file in list_folder(folder).glob("*.txt"))
        usual = [name for name in ("train", "trainval", "default") if name in there]
        train = usual[0] if usual else (there[0] if len(there) == 1 else "trainval")
    else:
        there = [name for name in _SETS if _set_folders(folder, name) is not None]
        top = _part(folder, _TEXT_FOLDERS, _is_text) or folder
        is_divided = "train" in there and not any(_is_text(name) for name in _top_names(top))
        train = "train" if is_divided else WHOLE if has_file(folder, _is_text) else "trainval"
    return train, next((name for name in _VALIDATION_SETS if name in there), None) if train == "train" else None


def _is_text(name: str) -> bool:
    return name.lower().endswith(".xml")


def _top_names(folder: Path) -> list[str]:
    return [path.name for path in folder.glob("*") if not path.name.startswith(".")]


def _part(folder: Path, names: Sequence[str], is_wanted: Callable[[str], bool]) -> Path | None:
    """The sub-folder of the first of some names, in any case, that has wanted files."""
    there = {part.name: part.name.lower() for part in folder.glob("*") if part.is_dir()}
    usual = sorted((name for name in there if there[name] in names), key=lambda name: (names.index(there[name]), name))
    return next((folder / name for name in usual if has_file(folder / name, is_wanted)), None)


def _halves(folder: Path) -> tuple[Path, Path]:
    """Folders of the XML files and of the images: the folder itself if it has no part for them."""
    texts = _part(folder, _TEXT_FOLDERS, _is_text)
    return (folder, folder) if texts is None else (texts, _part(folder, _IMAGE_FOLDERS, is_image) or folder)


def _set_folders(folder: Path, set_name: str) -> tuple[Path, Path] | None:
    """Folders of the XML files and images of a set: parts of `<set>/`, or `annotations/<set>/` and `images/<set>/`."""
    if has_file(folder / set_name, _is_text):
        return _halves(folder / set_name)
    texts, images = (half / set_name for half in _halves(folder))
    if not has_file(texts, _is_text):
        return None
    return texts, images if images.is_dir() else images.parent


def _match(stems: Iterable[str], files: Mapping[str, str]) -> dict[str, str]:
    """The file of each stem: of the same path, else the only one of the same name in another sub-folder."""
    wanted = list(stems)
    found = {stem: files[stem] for stem in wanted if stem in files}
    if len(found) == len(wanted):
        return found
    taken = set(found)
    free = [stem for stem in files if stem not in taken]
    alone = Counter(os.path.basename(stem) for stem in free)
    missing = [stem for stem in wanted if stem not in found]
    asked = Counter(os.path.basename(stem) for stem in missing)
    by_name = {os.path.basename(stem): files[stem] for stem in free if alone[os.path.basename(stem)] == 1}
    for stem in missing:
        name = os.path.basename(stem)
        if asked[name] == 1 and name in by_name:
            found[stem] = by_name[name]
    return found


def _unused(base: Path, homes: _Homes) -> list[str]:
    """Notes on files of a set outside its two folders; the masks of a segmentation do not count."""
    if homes.text_home == homes.image_home == base or not homes.text_home.is_relative_to(base):
        return []
    names, notes = walk_names(base), []
    for home, is_wanted, what in ((homes.text_home, _is_text, "XML files"), (homes.image_home, is_image, "images")):
        if not home.is_relative_to(base):
            continue
        inside = "" if home == base else f"{home.relative_to(base).as_posix()}/"
        outside = [name for name in names if is_wanted(name) and not name.startswith((inside, "Segmentation"))]
        notes += describe_files(base, outside, f"{what} outside {inside} are left out")
    return notes


def _files_of_list(folder: Path, set_name: str, image_dir: str | None, *, is_strict: bool) -> VocFiles:
    list_file = list_folder(folder) / f"{set_name}.txt"
    text_home = _part(folder, _TEXT_FOLDERS, _is_text) or folder / "Annotations"
    usual = _part(folder, _IMAGE_FOLDERS, is_image) or folder / "JPEGImages"
    image_home = usual if image_dir is None else choose_image_folder(image_dir, set_name)
    homes = _Homes(text_home, image_home)
    ids = read_list(list_file, {*homes.texts, *homes.images})
    texts, images = _match(ids, homes.texts), _match(ids, homes.images)
    for name in ids if is_strict else ():
        if name not in images:
            allowed = f"{image_home.name}/{name} ending in {', '.join(SUFFIXES)}"
            fix = f"{near_name_hint(image_home / f'{name}.jpg')}add the image or remove the line"
            raise DataError(str(list_file), f"image {short_repr(name)} is not there", allowed, fix)
    paths = {name: text_home / texts.get(name, f"{name}.xml") for name in ids}
    # An XML file whose name differs only in case belongs to the image: reading this path then says so.
    background = {name for name in ids if name not in texts and find_near_name(paths[name]) is None}
    own, pictures, listed = set(texts.values()), set(images.values()), names_in_lists(folder)
    alone = [name for stem, name in homes.texts.items() if stem not in listed and name not in own]
    spare = [name for stem, name in homes.images.items() if stem not in listed and name not in pictures]
    return VocFiles(
        list_file,
        ids,
        [None if name in background else paths[name] for name in ids],
        [os.path.join(image_home, images.get(name, f"{name}.jpg")) for name in ids],
        [text_home / name for name in homes.texts.values() if name not in own],
        homes.folders,
        [
            *homes.notes,
            *describe_files(list_file, background, "images have no XML file and count as background"),
            *describe_files(text_home, alone, "XML files are in no list and are left out"),
            *describe_files(image_home, spare, "images are in no list and are left out"),
            *_unused(folder, homes),
        ],
    )


def _files_of_folder(
    folder: Path, set_name: str, image_dir: str | None, *, is_strict: bool, is_lenient: bool
) -> VocFiles:
    places = _set_folders(folder, set_name)
    if places is None:
        allowed = "ImageSets/Main/<set>.txt, or a folder of XML files and images"
        raise DataError(
            str(folder / set_name), "has no Pascal VOC annotations", allowed, suggest_parent_folder(folder, _MARKERS)
        )
    _refuse_outer_folder(folder, set_name)
    texts, usual = places
    homes = _Homes(texts, usual if image_dir is None else choose_image_folder(image_dir, set_name))
    images = _match(homes.texts, homes.images)
    alone = [name for stem, name in homes.texts.items() if stem not in images]
    if alone and not is_lenient and (is_strict or not images):
        text = homes.text_home / alone[0]
        read_voc_xml(text)  # a file of another format is refused as such
        allowed = f"{text.stem}.jpg, or of another image format, in {homes.image_home}"
        near = near_name_hint(homes.image_home / f"{os.path.splitext(alone[0])[0]}.jpg")
        fix = suggest_parent_folder(
            homes.text_home,
            ("JPEGImages", "images"),
            f"{near}{_MISSING_FIX if not images else 'add the image or remove the file'}",
        )
        raise DataError(str(text), "has no image", allowed, fix)
    ids = [stem for stem in homes.texts if stem in images or is_lenient]
    others = _other_texts(folder, set_name, homes)
    used = {*images.values(), *_images_of(others, homes)}
    spare = [name for name in homes.images.values() if name not in used]
    stray = [str(file.relative_to(folder)) for file in others if not set(file.relative_to(folder).parts) & set(_SETS)]
    return VocFiles(
        homes.text_home,
        ids,
        [homes.text_home / homes.texts[stem] for stem in ids],
        [os.path.join(homes.image_home, images.get(stem, f"{stem}.jpg")) for stem in ids],
        others,
        homes.folders,
        [
            *homes.notes,
            *describe_files(homes.image_home, spare, "images without an XML file are left out"),
            *describe_files(homes.text_home, [] if is_lenient else alone, "XML files without an image are left out"),
            *describe_files(folder, stray, "XML files belong to another set and are left out"),
            *_unused(folder / set_name, homes),
        ],
    )


def _refuse_outer_folder(folder: Path, set_name: str) -> None:
    inner = sorted(str(lists.parent.parent) for lists in folder.glob("*/ImageSets/Main")) if set_name == WHOLE else []
    if inner:
        found = f"has no lists of its own, but {len(inner)} data sets below it"
        raise DataError(str(folder), found, "one of them", f"give its path: {', '.join(inner[:_MAX_NAMED])}")


def _other_texts(folder: Path, set_name: str, homes: _Homes) -> list[Path]:
    """XML files of the other sets, where sets are folders."""
    if set_name == WHOLE:
        return []
    own = {homes.text_home / name for name in homes.texts.values()}
    return [file for name in walk_names(folder) if _is_text(name) and (file := folder / name) not in own]


def _images_of(texts: Iterable[Path], homes: _Homes) -> set[str]:
    """Images of other sets, if all sets have one folder of images (`annotations/<set>/`, `images/`)."""
    if homes.text_home.name == homes.image_home.name or homes.text_home.parent == homes.image_home.parent:
        return set()
    return set(_match((file.stem for file in texts), homes.images).values())
