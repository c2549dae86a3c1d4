"""Data sets with one annotation file per split: finds the files and names the splits."""

from __future__ import annotations

import collections
import difflib
from collections.abc import Callable, Mapping
from pathlib import Path

from keras_retinanet.data.datasets.shared.folder_contents import files_ending, subfolders
from keras_retinanet.data.datasets.shared.split_names import split_in
from keras_retinanet.data.datasets.shared.text_files import suggest_parent_folder
from keras_retinanet.data.errors import DataError, short_repr
from keras_retinanet.data.image_files import near_name_hint

WHOLE = "."
"""The set of a single file whose name contains no split."""

_MAX_FILES = 50  # of a folder; with more, the format has one file per image


def find_split_files(
    path: Path, suffix: str, is_wanted: Callable[[Path], bool], likely_word: str = ""
) -> dict[str, Path]:
    """Annotation files by the names of their splits.

    Args:
        path: Folder of the data set, or one file.
        suffix: Suffix of the files, such as `".json"`.
        is_wanted: Function that recognises a file of the format by its contents.
        likely_word: Part of the names of files that are looked at before others in a folder of very many. Defaults to
            `""`: names with a split.

    Returns:
        The files in the first place that has any: `annotations/`, subfolders, the folder itself. A single file whose
        name contains no split is the set `"."`.
    """
    if path.is_file():
        return {WHOLE: path}
    for places in ([path / "annotations"], subfolders(path), [path]):
        if files := [file for place in places for file in _wanted_files(place, suffix, is_wanted, likely_word)]:
            return _name_splits(path, files)
    return {}


def _wanted_files(folder: Path, suffix: str, is_wanted: Callable[[Path], bool], likely_word: str) -> list[Path]:
    found = files_ending(folder, suffix)
    found.sort(key=lambda file: (not _is_likely(file, likely_word), file.name))
    return sorted(file for file in found[:_MAX_FILES] if is_wanted(file))


def _is_likely(file: Path, word: str) -> bool:
    return bool(word and word in file.name.lower()) or bool(split_in(file.stem))


def _name_splits(path: Path, files: list[Path]) -> dict[str, Path]:
    """Split names: the subfolder's, else the split in the file's name, else the whole name."""
    names = [_name_split(path, file) for file in files]
    if len(files) == 1 and files[0].parent in (path, path / "annotations") and names[0] == files[0].stem:
        return {names[0] if split_in(names[0]) == names[0].lower() else WHOLE: files[0]}
    counts = collections.Counter(names)
    own = [str(file.relative_to(path).with_suffix("")) for file in files]
    return {name if counts[name] == 1 else full: file for name, full, file in zip(names, own, files, strict=True)}


def _name_split(path: Path, file: Path) -> str:
    if file.parent not in (path, path / "annotations"):
        return file.parent.name
    return split_in(file.stem) or file.stem


def choose_file(
    path: Path,
    set_name: str,
    sets: Mapping[str, Path],
    *,
    expected: Path,
    format_name: str,
    allowed: str,
    remark: str = "",
) -> Path:
    """The annotation file of a set.

    Args:
        path: Folder of the data set, or one file.
        set_name: Name of the set.
        sets: The sets that exist, from `find_split_files`.
        expected: Path of the usual file of the set, for the message.
        format_name: Name of the format.
        allowed: The layouts of the format in words.
        remark: Sentence about other files, for the message. Defaults to none.

    Returns:
        Its path.

    Raises:
        DataError: There is none; the message lists the sets that exist.
    """
    if set_name in sets:
        return sets[set_name]
    if not path.is_dir():
        fix = near_name_hint(path) + "check the path"
        if path.is_file():
            fix = "omit --set and --val-set, or give the folder of the data set"
        raise DataError(str(path), f"has no set {short_repr(set_name)}", f"a folder, or one {format_name} file", fix)
    near = difflib.get_close_matches(set_name, sets, 1, 0.0)
    fix = near_name_hint(expected)
    fix += suggest_parent_folder(path, ("annotations",), "check the path and the set's name") + remark
    if near:
        there = ", ".join(f"{name} ({file.relative_to(path)})" for name, file in sets.items())
        fix = f"choose a set with --set, such as --set {near[0]} (sets there: {there})"
    raise DataError(str(path), f"has no {format_name} annotations of the set {short_repr(set_name)}", allowed, fix)
