"""Resolves the paths that YOLO's files name: of this machine, of another one, or with a folder that does not exist."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from keras_retinanet.data.datasets.shared.text_files import read_text, to_local_path
from keras_retinanet.data.errors import DataError, short_repr
from keras_retinanet.data.image_files import first_missing, near_name_hint


def find_place(entry: str, bases: Sequence[Path]) -> Path | None:
    """Find a file or folder that another file names.

    Args:
        entry: The path as written.
        bases: Folders to which it may be relative, the likeliest first.

    Returns:
        The path relative to a base; without `../` (Roboflow writes `../train/images` for `train/images`); or without
        its first folders, if it was written on another machine or begins with a folder that does not exist (CVAT and
        Datumaro write `data/train.txt` for `train.txt`). `None` if there is nothing.
    """
    local = to_local_path(entry)
    return next((place for place in _candidates(local, bases) if _exists(place)), None)


def _candidates(entry: str, bases: Sequence[Path]) -> list[Path]:
    parts = [part for part in entry.split("/") if part not in ("", ".", "..") and not part.endswith(":")]
    shorter = ["/".join(parts[start:]) for start in range(len(parts))]
    whole = [base / entry for base in bases]
    return [*whole, *(base / text for text in shorter for base in bases)]


def _exists(place: Path) -> bool:
    try:
        return place.exists()
    except (OSError, ValueError):
        return False


def resolve_entry(entry: str, home: Path, root: str, file: Path) -> tuple[Path, list[str]]:
    """Resolve a folder or list of a set.

    Args:
        entry: The path as written.
        home: Folder of the file that names it.
        root: `path` of the YAML file.
        file: That file, for messages.

    Returns:
        The place, and a note if it was written for another place.

    Raises:
        DataError: There is nothing.
    """
    bases = [home / to_local_path(root), home] if root else [home]
    place = find_place(entry, bases)
    if place is None:
        where = " or ".join(dict.fromkeys(str(base / entry) for base in bases))
        fix = near_name_hint(bases[0] / entry) + "correct it or 'path'"
        raise DataError(str(file), f"{short_repr(entry)} is not there", f"a folder or file at {where}", fix)
    note = f"{file}: {short_repr(entry, 120)} is not there: {place} is used"
    return place, [] if _is_as_written(place, to_local_path(entry), bases) else [note]


def _is_as_written(place: Path | str, entry: str, bases: Sequence[Path]) -> bool:
    """Whether a place is where a path leads; the `../` of Roboflow and the `data/` of darknet are not folders."""
    spellings = (entry, entry.removeprefix("../"), entry.removeprefix("data/"), "" if entry == "data" else entry)
    return any(os.path.normpath(place) == os.path.normpath(base / text) for base in bases for text in spellings)


def read_image_list(file: Path, homes: Sequence[Path]) -> tuple[list[str], list[str]]:
    """Read a list of images.

    Args:
        file: The list, one path per line.
        homes: Folders to which paths may be relative, if not to the list.

    Returns:
        Paths, and notes: folders that are not there under the name written, and repeated images.

    Raises:
        DataError: It cannot be read.
    """
    lines = [to_local_path(line.strip()) for line in read_text(file, "a list of images").splitlines() if line.strip()]
    bases = list(dict.fromkeys([file.parent, *homes]))
    folders: dict[str, str] = {}
    images, notes = dict[str, None](), list[str]()
    for line in lines:
        folder, _, name = line.rpartition("/")
        if folder not in folders:
            folders[folder] = found = _find_folder(folder, name, bases)
            if not _is_as_written(found, folder, bases):
                notes.append(f"{file}: {short_repr(folder or '.', 120)} is not there: {found} is used")
        images[os.path.join(folders[folder], name)] = None
    if len(images) < len(lines):
        notes.append(f"{file}: {len(lines) - len(images)} lines repeat an image, which is used once")
    return list(images), notes[:5]


def _find_folder(folder: str, name: str, bases: Sequence[Path]) -> str:
    """The folder that has the first image that is listed in it; if there is none, one that exists."""
    places = [os.path.normpath(place) for place in _candidates(folder, bases)] or [str(base) for base in bases]
    there = next((place for place in places if os.path.isdir(place)), places[0])
    places += [str(base) for base in bases]
    return next((place for place in places if first_missing([os.path.join(place, name)]) is None), there)
