"""Finds the JSON files and the images of a COCO data set, as the tools that write it arrange them."""

from __future__ import annotations

import collections
import os
import re
from collections.abc import Sequence
from pathlib import Path

from keras_retinanet.data.datasets.shared.image_places import ImagePlaces
from keras_retinanet.data.datasets.shared.json_files import read_ends
from keras_retinanet.data.datasets.shared.split_files import choose_file, find_split_files
from keras_retinanet.data.datasets.shared.split_names import split_in
from keras_retinanet.data.datasets.shared.text_files import to_local_path
from keras_retinanet.data.errors import DataError, short_repr
from keras_retinanet.data.image_files import find_near_name, first_missing

LAYOUTS = (
    "annotations/instances_<set>.json, <set>/_annotations.coco.json, result.json, labels.json, "
    "or another COCO JSON file in annotations/, in <set>/ or in the folder itself"
)
_LISTS = re.compile(rb'"(?:images|annotations|categories)"\s*:\s*\[')
_FIELDS = re.compile(rb'"(?:file_name|coco_url|image_id|category_id|supercategory)"\s*:')


def is_coco(file: Path) -> bool:
    """Whether a file is COCO JSON, as its first and last bytes show."""
    ends = read_ends(file)
    return ends.startswith(b"{") and bool(_LISTS.search(ends)) and bool(_FIELDS.search(ends))


def find_tool(file: Path) -> str:
    """Name of the tool that wrote a JSON file, `""` if neither its name nor its first and last bytes show it."""
    ends = read_ends(file)
    signs = {b"roboflow": "Roboflow", b"Label Studio": "Label Studio", b"FiftyOne": "FiftyOne"}
    if file.name.endswith("_annotations.coco.json"):
        return "Roboflow"
    return next((tool for sign, tool in signs.items() if sign in ends), "")


def find_sets(path: Path) -> dict[str, Path]:
    """JSON files by the names of their sets.

    Args:
        path: Folder of the data set, or one JSON file.

    Returns:
        The files of COCO's own names, else those of `find_split_files`.
    """
    if found := sorted(path.glob("annotations/instances_*.json")):
        return {file.stem.removeprefix("instances_"): file for file in found}
    return find_split_files(path, ".json", _is_wanted, "coco")


def _is_wanted(file: Path) -> bool:
    return file.name.endswith(".coco.json") or is_coco(file)


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
    other = next(path.glob("*.json"), None) if path.is_dir() else None
    remark = f" ({other.name} is not COCO: it lacks 'images', 'annotations', 'categories')" if other else ""
    expected = path / "annotations" / f"instances_{set_name}.json"
    return choose_file(
        path, set_name, find_sets(path), expected=expected, format_name="COCO", allowed=LAYOUTS, remark=remark
    )


def locate_images(
    path: Path, file: Path, set_name: str, file_names: Sequence[str], image_dir: str | None = None
) -> tuple[list[str], list[str]]:
    """Find the image files.

    Args:
        path: Folder of the data set, or the JSON file itself.
        file: The JSON file.
        set_name: Name of its set.
        file_names: Names as in the file.
        image_dir: Folder of the images. Defaults to `None`: the first of the usual folders that has the first image,
            else wherever images of these names are below the folder of the data set.

    Returns:
        `(paths, notes)`. Where no folder has the first image under its full name, the base names are used.

    Raises:
        DataError: Base names are used, and two images have the same one.
    """
    names = [to_local_path(name) for name in file_names]
    folders = _image_folders(path, file, set_name)
    if image_dir:
        folders = [image_dir, *(os.path.join(image_dir, name) for name in (set_name, split_in(set_name)) if name)]
    home = _first_that_holds(folders, names[:1])
    if home is None:
        short = [os.path.basename(name) for name in names]
        home = _first_that_holds(folders, short[:1])
        if home is not None and short != names:
            return _by_base_name(home, names, short, file)
        home = home or next((folder for folder in folders if names and _has_near_name(folder, names[0])), None)
    if home is None and image_dir is None:
        places = ImagePlaces([path if path.is_dir() else file.parent], file)
        paths = places.locate(names)
        if len(places.missing) < len(paths):
            return paths, places.notes
    home = home or next((folder for folder in folders[:3] if os.path.isdir(folder)), folders[0])
    return [os.path.join(home, name) for name in names], []


def _image_folders(path: Path, file: Path, set_name: str) -> list[str]:
    root = path
    if path.is_file():
        root = file.parent
        set_name = file.stem.removeprefix("instances_")
    if root.name == "annotations":
        root = root.parent
    split = split_in(set_name)
    names = dict.fromkeys([set_name, *([split] if split else [])])
    own = [root / place for name in names for place in (name, f"images/{name}")]
    beside = [file.parent, file.parent / "images", file.parent / "data"]
    more = [root / "data", *(root / place for name in names for place in (f"data/{name}", f"{name}/images"))]
    return [str(folder) for folder in dict.fromkeys([*own, root / "images", root, *beside, *more])]


def _first_that_holds(folders: Sequence[str], names: list[str]) -> str | None:
    holds = (folder for folder in folders if first_missing([os.path.join(folder, *names)]) is None)
    return next(holds, None)


def _has_near_name(folder: str, name: str) -> bool:
    near = find_near_name(os.path.join(folder, name))
    return near is not None and os.path.dirname(near) == os.path.dirname(os.path.join(folder, name))


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
