"""Where the images and text files of a KITTI data set are."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from keras_retinanet.data.datasets.shared.image_places import NAME_FOLDER, choose_image_folder
from keras_retinanet.data.datasets.shared.text_files import (
    by_stem,
    describe_files,
    is_image,
    list_names,
    numbered_lines,
    suggest_parent_folder,
    walk_names,
)
from keras_retinanet.data.error_collector import ErrorCollector, OnError, report_or_raise
from keras_retinanet.data.errors import DataError, short_repr
from keras_retinanet.data.image_files import near_name_hint

WHOLE = "."
"""The set of all images, where the folders are not divided."""

_PAIRS = (("image_2", "label_2"), ("images", "labels"), ("data", "labels"), ("images", "label"), ("image", "label"))
_LAYOUT = "<set>/image_2 with <set>/label_2, or <set>/images with <set>/labels"
_TRAIN_SETS = ("train", "training", "trainval", "default")
_VAL_SETS = ("val", "valid", "validation")
_MAX_PROBED = 20  # text files that are opened to recognise a layout
_COLUMNS = (15, 16)


@dataclass
class KittiFiles:
    """The files of one set.

    Attributes:
        listed_in: File or folder that lists the images.
        ids: Names of the images without suffix.
        images: Their paths.
        texts: The text file of each; `None` for an image without one.
        sources: Files and folders that were read.
        notes: What is not used, or is used without a text file.
    """

    listed_in: Path
    ids: list[str] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    texts: list[Path | None] = field(default_factory=list)
    sources: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def find_files(path: Path, set_name: str, image_dir: str | None, on_error: OnError) -> KittiFiles:
    """Find the images of a set and their text files.

    Args:
        path: The data set.
        set_name: Name of the set.
        image_dir: Folder of the images; `None` for the usual ones.
        on_error: `"skip"` reports text files without an image, and listed images that are not there, in a note.

    Returns:
        The files.

    Raises:
        DataError: There are none; or one is missing and `on_error` is `"error"`.
    """
    list_file = path / "ImageSets" / f"{set_name}.txt"
    is_listed = list_file.is_file()
    pair = _find_pair(path, "training" if is_listed else set_name, image_dir)
    if pair is None:
        raise _missing(path, set_name)
    image_home, text_home = pair
    names = walk_names(image_home)
    images = by_stem(name for name in names if is_image(name))
    texts = {name[:-4]: name for name in walk_names(text_home, _LAYOUT) if name.lower().endswith(".txt")}
    files = KittiFiles(list_file if is_listed else image_home, sources=[list_file, image_home, text_home])
    collector = ErrorCollector() if on_error == "skip" else on_error
    if image_dir is not None and image_home == Path(image_dir) and text_home.name == set_name:
        others = [images[stem] for stem in images if stem not in texts]
        files.notes += describe_files(image_home, others, "images have no text file of this set and are left out")
        images = {stem: name for stem, name in images.items() if stem in texts}
        names = list(images.values())
    files.ids = _read_list(list_file, image_home, images, collector) if is_listed else sorted(images)
    files.images = [os.path.join(image_home, images.get(stem, f"{stem}.png")) for stem in files.ids]
    files.texts = [text_home / texts[stem] if stem in texts else None for stem in files.ids]
    for stem in sorted(texts.keys() - images.keys()):
        fix = near_name_hint(image_home / f"{stem}.png") + "add the image, or remove the file"
        text = str(text_home / texts[stem])
        report_or_raise(collector, DataError(text, "has no image", "an image for each text file", fix))
    if on_error == "skip" and isinstance(collector, ErrorCollector):
        files.notes += collector.describe_left_out("files")
    empty = [images[stem] for stem in files.ids if stem not in texts and stem in images]
    copies = {name for name in names if is_image(name)} - set(images.values())
    files.notes += describe_files(image_home, empty, "images have no text file and are background")
    files.notes += describe_files(image_home, copies, "images differ from another in suffix and are left out")
    files.sources += [text for text in files.texts if text is not None]
    return files


def _missing(path: Path, set_name: str) -> DataError:
    markers = ("training", "train", "ImageSets")
    there = ", ".join(find_sets(path)) or ", ".join(list_names(path, _LAYOUT, suggest_parent_folder(path, markers)))
    fix = f"check the path and the set's name (there is: {short_repr(there or 'nothing', 120)})"
    if not find_sets(path):
        fix = suggest_parent_folder(path, markers, f"{fix}; if the images are elsewhere, {NAME_FOLDER}")
    return DataError(str(path), f"has no images and labels of the set {short_repr(set_name)}", _LAYOUT, fix)


def _find_pair(path: Path, set_name: str, image_dir: str | None = None) -> tuple[Path, Path] | None:
    """Folders of the images and of the text files of a set."""
    if image_dir is not None:
        names = [
            name
            for texts in dict.fromkeys(texts for _, texts in _PAIRS)
            for name in (f"{set_name}/{texts}", f"{texts}/{set_name}", texts)
        ]
        home = next((path / name for name in names if (path / name).is_dir()), None)
        return None if home is None else (choose_image_folder(image_dir, set_name), home)
    for images, texts in _PAIRS:
        for pair in (
            (path / set_name / images, path / set_name / texts),
            (path / images / set_name, path / texts / set_name),
        ):
            if all(home.is_dir() for home in pair):
                return pair
    return None


def find_sets(path: Path) -> list[str]:
    """Names of the sets: lists, folders with the two folders, folders in both of these, or `WHOLE`.

    Args:
        path: The data set.

    Returns:
        The names.
    """
    sets = [file.stem for file in sorted(path.glob("ImageSets/*.txt"))]
    sets += [home.name for home in sorted(path.glob("*")) if home.is_dir() and _find_pair(path, home.name) is not None]
    for texts in dict.fromkeys(texts for _, texts in _PAIRS):
        if not any(path.glob(f"{texts}/*.[tT][xX][tT]")):
            parts = [home for home in sorted(path.glob(f"{texts}/*")) if home.is_dir()]
            sets += [home.name for home in parts if _find_pair(path, home.name) is not None]
    if not sets and _find_pair(path, WHOLE) is not None:
        sets.append(WHOLE)
    return list(dict.fromkeys(sets))


def default_sets(path: Path) -> tuple[str, str | None]:
    """Names of the training set and, if there is one, of the validation set."""
    sets = find_sets(path)
    val = next((name for name in _VAL_SETS if name in sets), None)
    others = [name for name in sets if name not in (val, "test", "testing")] or (sets if len(sets) == 1 else [])
    train = next((name for name in _TRAIN_SETS if name in sets), others[0] if len(others) == 1 else "train")
    return train, val if val != train else None


def _read_list(file: Path, image_home: Path, images: dict[str, str], on_error: OnError) -> list[str]:
    stems: dict[str, str] = {}
    for where, words in numbered_lines(file, "a list of image names"):
        stem = words[0]
        if stem in stems:
            found = f"{short_repr(stem)} is listed twice"
            report_or_raise(on_error, DataError(where, found, "each image once", "remove one of the lines"))
        elif stem not in images and on_error == "error":
            fix = f"{near_name_hint(image_home / f'{stem}.png')}add the image or remove the line"
            found = f"image {short_repr(stem)} is not there"
            report_or_raise(on_error, DataError(where, found, "names in training/image_2", fix))
        else:
            stems[stem] = where
    return list(stems)


def names_of_other_sets(path: Path, set_name: str) -> set[str]:
    """Class names of the sets that are not read, so that all sets have the same classes.

    Args:
        path: The data set.
        set_name: The set that is read.

    Returns:
        The first words of all lines of fifteen columns.
    """
    names: set[str] = set()
    for other in find_sets(path):
        pair = _find_pair(path, other)
        if other == set_name or pair is None:
            continue
        for name in walk_names(pair[1]):
            if name.lower().endswith(".txt"):
                lines = (pair[1] / name).read_bytes().splitlines()
                names |= {
                    words[0].decode("utf-8", "replace") for line in lines if len(words := line.split()) in _COLUMNS
                }
    return {name for name in names if name.casefold() != "dontcare"}


def recognise(path: Path) -> tuple[str, int] | None:
    """Recognise KITTI by a line of a text file, or by a folder `label_2`; never raises.

    Args:
        path: A folder, which need not exist.

    Returns:
        Evidence and certainty, or `None`.
    """
    try:
        homes = list(_text_homes(path)) if path.is_dir() else []
        for home in homes:
            if (text := next((text for text in _some_texts(home) if has_columns(text)), None)) is not None:
                return str(text.relative_to(path)), 3
        named = next((home for home in homes if home.name == "label_2" and any(home.iterdir())), None)
        return None if named is None else (str(named.relative_to(path)), 2)
    except (OSError, ValueError):
        return None


def _text_homes(path: Path) -> Iterator[Path]:
    for images, texts in dict.fromkeys(_PAIRS):
        for home in itertools.islice(itertools.chain([path / texts], sorted(path.glob(f"*/{texts}"))), _MAX_PROBED):
            if home.is_dir() and (texts == "label_2" or (home.parent / images).is_dir()):
                yield home
                yield from (inner for inner in sorted(home.glob("*"))[:_MAX_PROBED] if inner.is_dir())


def _some_texts(home: Path) -> list[Path]:
    with os.scandir(home) as entries:
        names = [entry.name for entry in itertools.islice(entries, 1000) if entry.name.lower().endswith(".txt")]
    return [home / name for name in sorted(names)[:_MAX_PROBED]]


def has_columns(text: Path) -> bool:
    """Whether the first line of a text file is a name and fourteen numbers, or fifteen; never raises."""
    try:
        with text.open("rb") as content:
            line = next((line for line in content.read(4096).splitlines() if line.strip()), b"")
        words: Sequence[bytes] = line.split()
        numbers = [float(word) for word in words[-14:]]
    except (OSError, ValueError):
        return False
    return len(words) >= _COLUMNS[0] and len(numbers) == 14 and not words[0].replace(b".", b"").isdigit()
