"""Finds the JSON files and the images of a COCO data set, as the tools that write it arrange them."""

from __future__ import annotations

import collections
import difflib
import os
import re
from collections.abc import Sequence
from pathlib import Path

from keras_retinanet.data.datasets.text_files import suggest_parent_folder, to_local_path
from keras_retinanet.data.errors import DataError, short_repr
from keras_retinanet.data.image_files import first_missing, near_name_hint

TRAIN_SETS = ("train2017", "train", "training", "default", ".")
VAL_SETS = ("val2017", "val", "valid", "validation")
LAYOUTS = (
    "annotations/instances_<set>.json, <set>/_annotations.coco.json, result.json, labels.json, "
    "or another COCO JSON file in annotations/, in <set>/ or in the folder itself"
)
_SET_WORD = re.compile(r"(?<![a-z])(?:trainval|training|train|validation|valid|val|test|default)\d*(?![a-z])")
_LISTS = re.compile(rb'"(?:images|annotations|categories)"\s*:\s*\[')
_FIELDS = re.compile(rb'"(?:file_name|coco_url|image_id|category_id|supercategory)"\s*:')
_PEEK = 1 << 14  # bytes at both ends of a file that show whether it is COCO
_MAX_FILES = 50  # of a folder; with more, the format has one JSON file per image


def is_coco(file: Path) -> bool:
    """Whether a file is COCO JSON, as its first and last bytes show."""
    try:
        with file.open("rb") as opened:
            start = opened.read(_PEEK)
            opened.seek(max(_PEEK, os.fstat(opened.fileno()).st_size - _PEEK))
            ends = start + opened.read()
    except (OSError, ValueError):  # ValueError: a zero byte in the path
        return False
    is_object = start.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{")
    return is_object and bool(_LISTS.search(ends)) and bool(_FIELDS.search(ends))


def find_tool(file: Path) -> str:
    """Name of the tool that wrote a JSON file, `""` if neither its name nor its first bytes show it."""
    try:
        with file.open("rb") as opened:
            start = opened.read(_PEEK)
    except (OSError, ValueError):
        return ""
    signs = {b"roboflow": "Roboflow", b"Label Studio": "Label Studio", b"FiftyOne": "FiftyOne"}
    if file.name.endswith("_annotations.coco.json"):
        return "Roboflow"
    return next((tool for sign, tool in signs.items() if sign in start), "")


def find_sets(path: Path) -> dict[str, Path]:
    """JSON files by the names of their sets.

    Args:
        path: Folder of the data set, or one JSON file.

    Returns:
        The files in the first place that has any: `annotations/`, subfolders, the folder itself. A single file whose
        name contains no split is the set `"."`.
    """
    if path.is_file():
        return {".": path}
    if found := sorted(path.glob("annotations/instances_*.json")):
        return {file.stem.removeprefix("instances_"): file for file in found}
    folders = [[path / "annotations"], _subfolders(path), [path]]
    for places in folders:
        if files := [file for place in places for file in _coco_files(place)]:
            return _name_sets(path, files)
    return {}


def _subfolders(path: Path) -> list[Path]:
    try:
        return sorted(place for place in path.iterdir() if place.is_dir() and not place.name.startswith("."))
    except (OSError, ValueError):
        return []


def _coco_files(folder: Path) -> list[Path]:
    found = [file for file in folder.glob("*.json") if not file.name.startswith(".")]
    found.sort(key=lambda file: (not ("coco" in file.name.lower() or _SET_WORD.search(file.stem.lower())), file.name))
    return sorted(file for file in found[:_MAX_FILES] if file.name.endswith(".coco.json") or is_coco(file))


def _name_sets(path: Path, files: list[Path]) -> dict[str, Path]:
    """Set names: the subfolder's, else the split in the file's name, else the whole name."""
    names = [_name_set(path, file) for file in files]
    if len(files) == 1 and files[0].parent in (path, path / "annotations") and names[0] == files[0].stem:
        is_split = _SET_WORD.fullmatch(names[0].lower())
        return {names[0] if is_split else ".": files[0]}
    counts = collections.Counter(names)
    own = [str(file.relative_to(path).with_suffix("")) for file in files]
    return {name if counts[name] == 1 else full: file for name, full, file in zip(names, own, files, strict=True)}


def _name_set(path: Path, file: Path) -> str:
    if file.parent not in (path, path / "annotations"):
        return file.parent.name
    split = _SET_WORD.search(file.stem.lower())
    return split[0] if split else file.stem


def find_file(path: Path, set_name: str) -> Path:
    """The JSON file of a set.

    Args:
        path: Folder of the data set, or one JSON file.
        set_name: Name of the set.

    Returns:
        Its path.

    Raises:
        DataError: There is none; the message lists the sets that exist.
    """
    sets = find_sets(path)
    if set_name in sets:
        return sets[set_name]
    if not path.is_dir():
        fix = near_name_hint(path) + "check the path"
        if path.is_file():
            fix = "omit --set and --val-set, or give the folder of the data set"
        raise DataError(str(path), f"has no set {short_repr(set_name)}", "a folder, or one COCO JSON file", fix)
    near = difflib.get_close_matches(set_name, sets, 1, 0.0)
    expected = path / "annotations" / f"instances_{set_name}.json"
    fix = suggest_parent_folder(path, ("annotations",), "check the path and the set's name")
    fix = near_name_hint(expected) + fix
    if near:
        there = ", ".join(f"{name} ({file.relative_to(path)})" for name, file in sets.items())
        fix = f"choose a set with --set, such as --set {near[0]} (sets there: {there})"
    elif any(path.glob("*.json")):
        fix += f" ({next(path.glob('*.json')).name} is not COCO: it lacks 'images', 'annotations', 'categories')"
    found = f"has no COCO annotations of the set {short_repr(set_name)}"
    raise DataError(str(path), found, LAYOUTS, fix)


def locate_images(
    path: Path, file: Path, set_name: str, file_names: Sequence[str], image_dir: str | None = None
) -> tuple[list[str], list[str]]:
    """Find the image files.

    Args:
        path: Folder of the data set, or the JSON file itself.
        file: The JSON file.
        set_name: Name of its set.
        file_names: Names as in the file.
        image_dir: Folder of the images. Defaults to `None`: the first of the usual folders that has the first image.

    Returns:
        `(paths, notes)`. Where no folder has the first image under its full name, the base names are used.

    Raises:
        DataError: Base names are used, and two images have the same one.
    """
    names = [to_local_path(name) for name in file_names]
    folders = [image_dir] if image_dir else _image_folders(path, file, set_name)
    home = _first_that_holds(folders, names[:1])
    if home is None:
        short = [os.path.basename(name) for name in names]
        home = _first_that_holds(folders, short[:1])
        if home is not None and short != names:
            return _by_base_name(home, names, short, file)
    home = home or next((folder for folder in folders[:3] if os.path.isdir(folder)), folders[0])
    return [os.path.join(home, name) for name in names], []


def _image_folders(path: Path, file: Path, set_name: str) -> list[str]:
    root = path
    if path.is_file():
        root = file.parent.parent if file.parent.name == "annotations" else file.parent
        set_name = file.stem.removeprefix("instances_")
    split = _SET_WORD.search(set_name.lower())
    names = dict.fromkeys([set_name, *([split[0]] if split else [])])
    own = [root / place for name in names for place in (name, f"images/{name}")]
    beside = [file.parent, file.parent / "images", file.parent / "data"]
    more = [root / "data", *(root / place for name in names for place in (f"data/{name}", f"{name}/images"))]
    return [str(folder) for folder in dict.fromkeys([*own, root / "images", root, *beside, *more])]


def _first_that_holds(folders: Sequence[str], names: list[str]) -> str | None:
    holds = (folder for folder in folders if first_missing([os.path.join(folder, *names)]) is None)
    return next(holds, None)


def _by_base_name(home: str, names: list[str], short: list[str], file: Path) -> tuple[list[str], list[str]]:
    paths = [os.path.join(home, name) for name in names]
    moved = [position for position, path in enumerate(paths) if first_missing([path]) is not None]
    for position in moved:
        paths[position] = os.path.join(home, short[position])
    name, count = collections.Counter(paths).most_common(1)[0]
    if count > 1:
        found = f"{count} file names lead to folders that are not there, and all end in {os.path.basename(name)!r}"
        raise DataError(str(file), found, "images that exist", "give the folder that they start from with --image-dir")
    example = f"{len(moved)} file names lead elsewhere, such as {short_repr(names[moved[0]], 120)}"
    return paths, [f"{file}: {example}: images of the same base name in {home} are used"]
