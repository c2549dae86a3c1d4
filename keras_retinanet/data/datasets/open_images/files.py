"""Where the CSV files and the images of Open Images are, in the layouts of its releases and of tools."""

from __future__ import annotations

import csv
import itertools
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from keras_retinanet.data.datasets.shared.split_names import usual_sets
from keras_retinanet.data.datasets.shared.text_files import by_stem, has_file, is_image, walk_names
from keras_retinanet.data.errors import DataError

WHOLE = "."
"""The set of a CSV file whose name contains no set."""

CLASS_FILES = ("*class-descriptions*.csv", "*classes-description*.csv", "classes.csv")
TREES = ("*hierarchy*.json",)
COLUMNS = ("ImageID", "LabelName", "XMin", "YMin", "XMax", "YMax")
"""Columns that a file of boxes must have."""

_FIFTYONE_BOXES = "detections.csv"
_BESIDE = (".", "annotations", "labels", "metadata", "csv")
"""Folders that may hold the files, besides `<set>` and those of former releases (`2018_04`, `challenge2018`)."""
_BOXES = re.compile(
    r"(?:oidv\d-|challenge-\d+-)?(?P<set>[^/]+?)-(?:annotations(?:-human)?-|detection-)bbox(?:-expanded)?\.csv"
)
_MAX_PROBED = 50  # files that are opened


class OpenImagesFiles:
    """The files of a data set.

    Args:
        path: Its folder, or one CSV file of boxes.

    Attributes:
        path: Argument.
        folder: The folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.folder = path.parent if path.is_file() else path

    def sets(self) -> dict[str, Path]:
        """Files of boxes by the name of their set."""
        if self.path.is_file():
            return {WHOLE: self.path}
        found: dict[str, Path] = {}
        for file in self._candidates():
            named = _BOXES.fullmatch(file.name)
            if named is not None:
                found.setdefault(named["set"], file)
            elif file.name == _FIFTYONE_BOXES:
                found.setdefault(file.parent.parent.name, file)
            elif has_columns(file):
                found.setdefault(WHOLE, file)
        return found if len(found) == 1 or WHOLE not in found else {key: found[key] for key in found if key != WHOLE}

    def _candidates(self) -> Iterator[Path]:
        homes = [self.folder / name for name in _BESIDE]
        parts = sorted(part for part in self.folder.glob("*") if part.is_dir() and part not in homes)
        for home in (*homes, *parts, *(part / "labels" for part in parts)):
            files = sorted(home.glob("*.csv")) if home.is_dir() else []
            yield from (file for file in files[:_MAX_PROBED] if file.name != _FIFTYONE_BOXES or home.name == "labels")

    def find_boxes(self, set_name: str) -> Path:
        """The file of boxes of a set.

        Raises:
            DataError: There is none.
        """
        sets = self.sets()
        if set_name in sets:
            return sets[set_name]
        there = f" (sets there: {', '.join(sets)})" if sets else ""
        fix = f"download it into this folder, or check the path and the set's name{there}"
        raise DataError(str(self.folder), f"has no *{set_name}-annotations-bbox.csv", "a CSV file of boxes", fix)

    def find(self, set_name: str, patterns: Sequence[str]) -> Path | None:
        """The first file whose name matches one of some patterns, next to the boxes or in the usual folders."""
        own = [self.folder / set_name, self.folder / set_name / "labels", self.folder / set_name / "metadata"]
        homes = [*(self.folder / name for name in _BESIDE), *own, *sorted(self.folder.glob("20??_*"))]
        homes += sorted(self.folder.glob("challenge*"))
        return next((file for pattern in patterns for home in homes for file in sorted(home.glob(pattern))), None)

    def find_images(self, set_name: str, image_dir: str | None) -> tuple[Path, list[str], bool]:
        """Folder of the images of a set, their paths below it, and whether it holds no other set.

        Args:
            set_name: Name of the set.
            image_dir: The folder, if it is none of the usual ones.

        Raises:
            DataError: There is none.
        """
        folder = self.folder
        own = [folder / set_name / "data", folder / "images" / set_name, folder / set_name] if set_name != WHOLE else []
        shared = [folder / "images", folder / "data", folder, folder.parent / "images"]
        homes = [Path(image_dir)] if image_dir is not None else [*own, *shared]
        home = next((home for home in homes if home.is_dir() and has_file(home, is_image)), None)
        if home is None:
            allowed = f"images in {set_name}/, {set_name}/data/ or images/{set_name}/"
            fix = "download them, check the path, or name their folder with --image-dir"
            raise DataError(str(folder), f"has no images of {set_name!r}", allowed, fix)
        is_alone = home in own or image_dir is not None or len(self.sets()) == 1
        return home, [name for name in walk_names(home) if is_image(name)], is_alone

    def default_sets(self) -> tuple[str, str | None]:
        """Names of the training set and, if there is one, of the validation set."""
        return usual_sets(self.sets())


def index_names(names: Sequence[str]) -> dict[str, str]:
    """Paths of images by ImageID: without suffix, or, as globox writes it, with it; base names if they are unique.

    Args:
        names: Paths below the folder of the images.

    Returns:
        The paths.
    """
    bases: dict[str, list[str]] = {}
    for name in names:
        bases.setdefault(name.rpartition("/")[2], []).append(name)
    unique = [found[0] for found in bases.values() if len(found) == 1]
    short = {os.path.basename(stem): name for stem, name in by_stem(unique).items()}
    return short | {os.path.basename(name): name for name in unique} | {name: name for name in names} | by_stem(names)


def has_columns(file: Path) -> bool:
    """Whether the first line of a CSV file has the columns of Open Images' boxes; never raises."""
    try:
        with file.open(encoding="utf-8-sig", errors="replace", newline="") as content:
            line = next(csv.reader([content.readline(4096)]), [])
    except (OSError, ValueError, csv.Error):
        return False
    return all(name in line for name in COLUMNS)


def recognise(path: Path) -> str | None:
    """Recognise a file of boxes by its columns, or by the name that releases give it; never raises.

    Args:
        path: A folder or file, which need not exist.

    Returns:
        The file that shows it, or `None`.
    """
    try:
        if not path.is_dir():
            return path.name if path.suffix.lower() == ".csv" and has_columns(path) else None
        files = itertools.islice(OpenImagesFiles(path).sets().values(), _MAX_PROBED)
        found = next((file for file in files if has_columns(file) or not file.stat().st_size), None)
        return None if found is None else str(found.relative_to(path))
    except (OSError, ValueError):
        return None
