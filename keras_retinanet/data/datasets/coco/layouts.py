"""Finds the JSON files and the images of a COCO data set, as the tools that write it arrange them."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from keras_retinanet.data.datasets.shared.image_places import ImagePlaces
from keras_retinanet.data.datasets.shared.json_files import read_ends
from keras_retinanet.data.datasets.shared.split_files import choose_file, find_split_files
from keras_retinanet.data.datasets.shared.split_names import split_in
from keras_retinanet.data.datasets.shared.text_files import to_local_path
from keras_retinanet.data.image_files import find_near_name

LAYOUTS = (
    "annotations/instances_<set>.json, <set>/_annotations.coco.json, result.json, labels.json, "
    "or another COCO JSON file in annotations/, in <set>/ or in the folder itself"
)
_MAX_PROBED = 20  # images that are looked up to choose their folder
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


class CocoImages(NamedTuple):
    """The image files of a set.

    Attributes:
        paths: Path of each.
        folders: Where they were looked for.
        notes: What was found elsewhere than it is named.
        missing_fix: What to do if images are missing, if the usual advice does not fit.
    """

    paths: list[str]
    folders: list[str]
    notes: Sequence[str] = ()
    missing_fix: str = ""


def locate_images(
    path: Path, file: Path, set_name: str, file_names: Sequence[str], image_dir: str | None = None
) -> CocoImages:
    """Find the image files.

    Args:
        path: Folder of the data set, or the JSON file itself.
        file: The JSON file.
        set_name: Name of its set.
        file_names: Names as in the file.
        image_dir: Folder of the images. Defaults to `None`: the first of the usual folders that has the first image,
            else wherever images of these names are below the folder of the data set.

    Returns:
        The files. Where no folder has the first image under its full name, the last parts of the names are looked up.
    """
    names = [to_local_path(name) for name in file_names]
    folders = _image_folders(path, file, set_name)
    if image_dir:
        folders = [image_dir, *(os.path.join(image_dir, name) for name in (set_name, split_in(set_name)) if name)]
    home = _first_that_holds(folders, names)
    if home is None:
        short = [os.path.basename(name) for name in names]
        home = _first_that_holds(folders, short)
        if home is not None and short != names:
            return _locate_below(home, names, file)
        home = home or next((folder for folder in folders if names and _has_near_name(folder, names[0])), None)
    if home is None and names:
        found = _locate_below(image_dir or str(path if path.is_dir() else file.parent), names, file)
        if found.missing_fix or any(os.path.isfile(image) for image in found.paths):
            return found._replace(folders=list(dict.fromkeys([*folders, *found.folders])))
    home = home or next((folder for folder in folders[:3] if os.path.isdir(folder)), folders[0])
    return CocoImages([os.path.join(home, name) for name in names], folders)


def _locate_below(folder: str, names: Sequence[str], file: Path) -> CocoImages:
    places = ImagePlaces([folder], file)
    return CocoImages(places.locate(names), places.folders, places.notes, places.ambiguity)


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


def _first_that_holds(folders: Sequence[str], names: Sequence[str]) -> str | None:
    """The first folder that has the first image, or, if none has it, the second one and so on."""
    places = ((folder, name) for name in names[:_MAX_PROBED] for folder in folders)
    return next((folder for folder, name in places if _is_file(os.path.join(folder, name))), None)


def _is_file(path: str) -> bool:
    try:
        return os.path.isfile(path)
    except ValueError:  # a zero byte in the name
        return False


def _has_near_name(folder: str, name: str) -> bool:
    near = find_near_name(os.path.join(folder, name))
    return near is not None and os.path.dirname(near) == os.path.dirname(os.path.join(folder, name))
