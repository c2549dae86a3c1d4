"""Finds the CSV files of a data set: one file, one for each split, or one in the folder of each split."""

from __future__ import annotations

import re
from pathlib import Path

from keras_retinanet.data.datasets.csv.dialects import Dialect, find_dialect
from keras_retinanet.data.datasets.shared.folder_contents import files_ending, subfolders
from keras_retinanet.data.datasets.shared.split_names import split_in, usual_sets
from keras_retinanet.data.errors import DataError

_CLASS_FILES = ("classes.csv", "_classes.csv", "class_mapping.csv", "class_map.csv", "labels.csv")
_CLASS_LINE = re.compile(rb'\s*"?[^,"\r\n]+"?\s*,\s*(?:\d+|id|class_id|label)\s*(?:\r?\n|\Z)')
_OPEN_IMAGES = re.compile(r".*-(?:annotations|detection)-bbox\.csv|detections\.csv")
_MAX_FILES = 100  # of a folder; with more, the format has one file per image


def find_csv_sets(path: Path) -> dict[str, tuple[Path, Dialect]]:
    """CSV files of boxes by the names of their sets.

    Args:
        path: Folder of the data set.

    Returns:
        The files in the first place that has any: the folder itself, its subfolders. A single file whose name and
        folder contain no split is the set `"."`. Files of Open Images belong to its own reader.
    """
    for folders in ([path], _subfolders(path)):
        files = [file for folder in folders for file in _csv_files(folder)]
        found = [(file, dialect) for file in files if (dialect := find_dialect(file)) is not None]
        if found:
            names = [split_in(file.stem) or split_in(file.relative_to(path).parent.name) for file, _ in found]
            own = [
                name if name and names.count(name) == 1 else file.stem
                for name, (file, _) in zip(names, found, strict=True)
            ]
            return dict(zip(own if len(own) > 1 else [names[0] or "."], found, strict=True))
    return {}


def choose_files(path: Path) -> tuple[Path, Dialect, Path | None] | None:
    """Choose the files of a folder.

    Args:
        path: Folder of the data set.

    Returns:
        The file of the training set with its dialect, and that of the validation set or `None`; `None` if no file of
        boxes is there, or several without usual names.
    """
    sets = find_csv_sets(path)
    train, val = usual_sets(sets)
    return None if train not in sets else (*sets[train], None if val is None else sets[val][0])


def find_class_file(folder: Path, file: Path) -> Path | None:
    """A file of lines `name,id` in a folder, or next to a file of boxes."""
    homes = dict.fromkeys([folder, file.parent])
    files = (home / name for home in homes for name in _CLASS_FILES)
    return next((file for file in files if _begins_with_class(file)), None)


def choose_file(path: Path) -> Path:
    """The file to read: `path` itself, or the training set of that folder.

    Raises:
        DataError: The folder has no CSV file of boxes, or several without a usual name.
    """
    if not path.is_dir():
        return path
    chosen = choose_files(path)
    if chosen is not None:
        return chosen[0]
    there = [str(file.relative_to(path)) for file, _ in find_csv_sets(path).values()]
    allowed = "one file of boxes, or train.csv, val.csv … in the folder or its subfolders"
    if there:
        found = f"has {len(there)} CSV files of boxes: {', '.join(sorted(there)[:5])}"
        raise DataError(str(path), found, allowed, f"give one of them, such as {path / sorted(there)[0]}")
    raise DataError(str(path), "has no CSV file of boxes", allowed, "give the path of the file")


def split_of(file: Path) -> str:
    """Split in the name of a file, or of its folder; `""` if there is none."""
    return split_in(file.stem) or split_in(file.parent.name)


def _subfolders(path: Path) -> list[Path]:
    return subfolders(path)[:_MAX_FILES]


def _csv_files(folder: Path) -> list[Path]:
    return [file for file in files_ending(folder, ".csv")[:_MAX_FILES] if not _OPEN_IMAGES.fullmatch(file.name)]


def _begins_with_class(file: Path) -> bool:
    try:
        with file.open("rb") as opened:
            return bool(_CLASS_LINE.match(opened.read(4096).removeprefix(b"\xef\xbb\xbf")))
    except OSError:
        return False
