"""The files of a YOLO set: images, their text files, and a report of what is found and not used."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from keras_retinanet.data.datasets.shared.text_files import describe_files, is_image, walk_names
from keras_retinanet.data.datasets.yolo.layouts import YoloLayout
from keras_retinanet.data.datasets.yolo.paths import find_place, read_image_list, resolve_entry
from keras_retinanet.data.datasets.yolo.sets import IMAGE_FOLDERS
from keras_retinanet.data.datasets.yolo.texts import TextFolders, fold_stem, is_text, label_folders, match_texts
from keras_retinanet.data.error_collector import OnError, report_or_raise
from keras_retinanet.data.errors import DataError

_MAX_NAMED = 5  # files named in a note
_MAX_COMPARED = 5000  # names among which a similar one is looked for


@dataclass
class YoloFiles:
    """The files of one set.

    Attributes:
        images: Paths of the images.
        texts: Text file of each; `None` for an image without.
        walked: Folders of images that were searched, with their sub-folders.
        sources: Lists and folders that were read.
        notes: What is not used, or is used under another name.
    """

    images: list[str] = field(default_factory=list)
    texts: list[str | None] = field(default_factory=list)
    walked: list[str] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def find_files(layout: YoloLayout, set_name: str, image_dir: str | None, on_error: OnError) -> YoloFiles:
    """Find the images of a set and their text files.

    Args:
        layout: The data set.
        set_name: Name of the set.
        image_dir: Folder of the images in place of those of the set; `None` for these.
        on_error: `"skip"` reports text files without an image in a note.

    Returns:
        The files.

    Raises:
        DataError: There is no such set; or a text file has no image and `on_error` is `"error"`.
    """
    files = YoloFiles(notes=list(layout.notes))
    found: dict[str, None] = {}
    num_images = 0
    folders = TextFolders(image_dir, layout.folder, set_name)
    for images in _find_images(layout, set_name, image_dir, files, folders):
        found |= dict.fromkeys(images)
        num_images += len(images)
    if num_images > len(found):
        files.notes.append(
            f"{layout.file}: {num_images - len(found)} images of {set_name!r} are named twice: used once"
        )
    files.images = list(found)
    files.texts, notes = match_texts(files.images, folders)
    files.notes += notes
    files.notes += _describe_unlisted(layout, set_name, files, folders)
    _report_left_over(sorted(set(_find_left_over(files, folders))), files, on_error)
    homes = [place for pair in folders.homes.items() for place in pair if place is not None]
    files.sources = list(dict.fromkeys([*files.sources, *files.walked, *homes]))
    return files


def _find_images(
    layout: YoloLayout, set_name: str, image_dir: str | None, files: YoloFiles, folders: TextFolders
) -> Iterator[list[str]]:
    """Images of each folder or list of a set."""
    if image_dir is not None:
        bases = [layout.home / layout.root, layout.home]
        places = [find_place(entry, bases) for entry in layout.entries(set_name)]
        lists = [place for place in places if place is not None and place.is_file()]
        for file in lists:
            files.sources.append(str(file))
            images, _ = read_image_list(file, [layout.folder, layout.home / layout.root])
            yield [folders.move_image(image) for image in images]
        if lists:
            return
        below = find_place(next(iter(layout.entries(set_name)), "."), [Path(image_dir)])
        if below is not None and below.is_dir() and below.is_relative_to(image_dir):
            image_dir = str(below)
    for entry in [image_dir] if image_dir is not None else layout.entries(set_name):
        place, notes = Path(entry), list[str]()
        if image_dir is None:
            place, notes = resolve_entry(entry, layout.home, layout.root, layout.file)
        if place.is_dir():
            files.walked.append(str(place))
            images = [os.path.join(place, name) for name in walk_names(place) if is_image(name)]
            if homes := folders.homes_of_set() if str(place) == image_dir and place.name != set_name else []:
                images = _only_with_text(images, homes, folders, files)
        else:
            files.sources.append(str(place))
            bases = [layout.folder, *([layout.folder / layout.root] if layout.root else [])]
            images, more = read_image_list(place, bases)
            notes += more
        files.notes += notes
        yield images


def _only_with_text(images: Sequence[str], homes: Sequence[str], folders: TextFolders, files: YoloFiles) -> list[str]:
    """The images of a set, if one folder has the images of all sets and text files are divided."""
    stems = {stem for home in homes for stem in folders.texts_in(home)}
    own = [image for image in images if os.path.splitext(os.path.basename(image))[0] in stems]
    rest = [os.path.basename(image) for image in images if image not in set(own)]
    what = "images have no text file of this set and are left out"
    files.notes += describe_files(files.walked[-1], rest, what)
    return own


def _describe_unlisted(layout: YoloLayout, set_name: str, files: YoloFiles, folders: TextFolders) -> list[str]:
    """A note about images in the folders of a set's lists that no list of the data set names."""
    if files.walked or not files.images:
        return []
    there = {os.path.join(folder, name) for folder in folders.homes for name in _list_images(folder)}
    others = there - set(files.images)
    for name in layout.sets if others else ():
        for entry in layout.sets[name]:
            place = find_place(entry, [layout.home / layout.root, layout.home])
            if name != set_name and place is not None and place.is_file():
                named = read_image_list(place, [layout.folder, layout.home / layout.root])[0]
                others -= {*named, *(folders.move_image(image) for image in named)}
    first = min(others, default="")
    return [f"{layout.file}: {len(others)} images are in no list and are left out: {first} …"] if others else []


def _find_left_over(files: YoloFiles, folders: TextFolders) -> Iterator[str]:
    """Text files without an image, in all folders of text files and their sub-folders."""
    used = {text for text in files.texts if text is not None}
    for place in files.walked:
        home = folders.homes.get(place) or next((home for home in label_folders(place) if os.path.isdir(home)), place)
        others = _stems_of_other_sets(place, home)
        for name in walk_names(home):
            text = os.path.join(home, name)
            folder, base = os.path.split(text)
            if is_text(name) and text not in used and base[:-4] not in others and base[:-4] in folders.texts_in(folder):
                yield text
    for folder, texts_home in folders.homes.items():
        is_walked = any(folder == place or folder.startswith(f"{place}{os.sep}") for place in files.walked)
        if texts_home is None or is_walked:
            continue
        images = {os.path.splitext(name)[0] for name in _list_images(folder)}
        texts = folders.texts_in(texts_home)
        left = (os.path.join(texts_home, texts[stem]) for stem in texts.keys() - images)
        yield from (text for text in left if text not in used)


def _list_images(folder: str) -> list[str]:
    try:
        return [name for name in os.listdir(folder or ".") if is_image(name)]
    except (OSError, ValueError):  # images of a list that are not there
        return []


def _stems_of_other_sets(place: str, home: str) -> set[str]:
    """Names of all images, if one folder `labels` has the text files of `images/train`, `images/val` and so on."""
    parent, name = os.path.split(place)
    is_shared = os.path.basename(parent).lower() in IMAGE_FOLDERS and os.path.basename(home) != name and home != place
    names = walk_names(parent) if is_shared else []
    return {os.path.splitext(os.path.basename(name))[0] for name in names if is_image(name)}


def _report_left_over(texts: Sequence[str], files: YoloFiles, on_error: OnError) -> None:
    if not texts:
        return
    pairs = zip(files.images, files.texts, strict=True)
    free = [os.path.basename(image) for image, text in pairs if text is None][:_MAX_COMPARED]
    if on_error != "skip":
        for text in texts:
            near = _find_similar(text, free)
            fix = f"there is an image {near!r}: give both the same name" if near else "add the image or remove the file"
            report_or_raise(on_error, DataError(text, "has no image", "text files named as their images", fix))
        return
    named = [text + (f" (like {near})" if (near := _find_similar(text, free)) else "") for text in texts[:_MAX_NAMED]]
    more = f"; and {len(texts) - _MAX_NAMED} more" if len(texts) > _MAX_NAMED else ""
    files.notes.append(f"{len(texts)} text files have no image and are left out: {'; '.join(named)}{more}")


def _find_similar(text: str, images: Sequence[str]) -> str | None:
    """The image without a text file whose name is most like that of a text file."""
    stem = fold_stem(text)
    folded = {fold_stem(image): image for image in images}
    begins = [name for name in folded if name.startswith(f"{stem}.") or stem.startswith(f"{name}.")]
    near = begins or difflib.get_close_matches(stem, folded, 1)
    return folded[near[0]] if near else None
