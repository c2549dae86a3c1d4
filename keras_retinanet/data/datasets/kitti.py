"""KITTI: one text file of fifteen columns for each image.

Reference: Geiger et al., "Are we ready for Autonomous Driving? The KITTI Vision Benchmark Suite"; the object
development kit's readme.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path

from keras_retinanet.data.datasets.annotations import Annotations, BoxRow, sorted_names
from keras_retinanet.data.datasets.reader import Reader
from keras_retinanet.data.datasets.text_files import (
    images_by_stem,
    list_names,
    number,
    numbered_lines,
    suggest_parent_folder,
    walk_names,
)
from keras_retinanet.data.error_collector import OnError, report_or_raise
from keras_retinanet.data.errors import DataError, short_repr
from keras_retinanet.data.image_files import near_name_hint

KITTI_CLASSES = ("Car", "Van", "Truck", "Pedestrian", "Person_sitting", "Cyclist", "Tram", "Misc")
"""The classes of the benchmark, without `DontCare`."""

DONT_CARE = "DontCare"
_ROW = "'type truncated occluded alpha x1 y1 x2 y2 …', 15 columns (16 with a score) separated by blanks"
_LAYOUT = "<set>/image_2 with <set>/label_2, or <set>/images with <set>/labels"


class KittiDataset(Reader):
    """KITTI as it unzips (`training/image_2`, `training/label_2`), or `<set>/images` and `<set>/labels`.

    Every image of the folder and its sub-folders has a text file, an empty one if it shows nothing. If
    `ImageSets/<set>.txt` lists names, the set is these images of `training`. `DontCare` boxes become ignore regions;
    as they may hide an object of any class, each is repeated for every class. The default set is `train`, or
    `training` if that is the folder's name. Class names default to the eight of the benchmark if they cover every name
    of the set, otherwise to the sorted names.
    """

    word = "kitti"
    summary = "KITTI folder: training/image_2, training/label_2; or <set>/images, <set>/labels"
    signs = (("*/label_2", 2), ("*/labels/*.txt", 1))

    def read(self) -> Annotations:
        """Read the text file of each image."""
        list_file = self.path / "ImageSets" / f"{self.set_name}.txt"
        is_listed = list_file.is_file()
        image_folder, label_folder = _folders(self.path / ("training" if is_listed else self.set_name))
        files = images_by_stem(image_folder, is_recursive=True)
        listed = _read_list(list_file, image_folder, files, self.on_error) if is_listed else sorted(files)
        texts = _label_files(label_folder, listed, files, self.on_error, is_whole=not is_listed)
        rows = [
            row
            for image, text in enumerate(texts.values())
            for row in self.parse_each(numbered_lines(text, _ROW), functools.partial(_parse_line, image))
        ]
        names = sorted_names(rows)
        return Annotations(
            listed_in=str(list_file if is_listed else image_folder),
            class_names=KITTI_CLASSES if set(names) <= set(KITTI_CLASSES) else names,
            images=[os.path.join(image_folder, files[stem]) for stem in texts],
            image_ids=list(texts),
            boxes=rows,
            sources=[str(list_file), str(image_folder), str(label_folder), *(str(text) for text in texts.values())],
        )

    @classmethod
    def default_sets(cls, path: str | os.PathLike[str]) -> tuple[str, str | None]:
        """Names of the training set and, if there is one, of the validation set."""
        folder = Path(path)

        def is_there(name: str) -> bool:
            return (folder / name).is_dir() or (folder / "ImageSets" / f"{name}.txt").is_file()

        train = "train" if is_there("train") or not is_there("training") else "training"
        return train, next((name for name in ("val", "validation") if is_there(name)), None)


def _folders(home: Path) -> tuple[Path, Path]:
    for images, labels in (("image_2", "label_2"), ("images", "labels")):
        if (home / images).is_dir() and (home / labels).is_dir():
            return home / images, home / labels
    markers = ("training", "train", "ImageSets")
    there = ", ".join(list_names(home, _LAYOUT, suggest_parent_folder(home.parent, markers))) or "nothing"
    fix = f"check the path and the set's name (there is: {short_repr(there, 120)})"
    raise DataError(str(home), "has no images and labels", _LAYOUT, fix)


def _read_list(file: Path, image_folder: Path, files: dict[str, str], on_error: OnError) -> list[str]:
    stems: dict[str, str] = {}
    for where, words in numbered_lines(file, "a list of image names"):
        stem = words[0]
        if stem in stems:
            found = f"{short_repr(stem)} is listed twice"
            report_or_raise(on_error, DataError(where, found, "each image once", "remove one of the lines"))
        elif stem not in files:
            fix = f"{near_name_hint(image_folder / f'{stem}.png')}add the image or remove the line"
            report_or_raise(
                on_error, DataError(where, f"image {short_repr(stem)} is not there", "names in training/image_2", fix)
            )
        else:
            stems[stem] = where
    return list(stems)


def _label_files(
    folder: Path, stems: list[str], files: dict[str, str], on_error: OnError, *, is_whole: bool
) -> dict[str, Path]:
    """The text file of each image by name; with `is_whole`, other text files are errors."""
    there = {name.removesuffix(".txt") for name in walk_names(folder, _LAYOUT) if name.endswith(".txt")}
    for stem in stems:
        if stem not in there:
            file = folder / f"{stem}.txt"
            fix = f"{near_name_hint(file)}add the file (empty if the image shows nothing) or remove the image"
            report_or_raise(on_error, DataError(str(file), "is not there", "a text file for each image", fix))
    for stem in sorted(there - set(files)) if is_whole else []:
        fix = "add the image or remove the file"
        report_or_raise(
            on_error, DataError(str(folder / f"{stem}.txt"), "has no image", "an image for each text file", fix)
        )
    return {stem: folder / f"{stem}.txt" for stem in stems if stem in there}


def _parse_line(image: int, numbered: tuple[str, list[str]]) -> BoxRow:
    where, words = numbered
    if len(words) not in (15, 16):
        fix = "separate with blanks" if "," in words[0] else "complete the line"
        raise DataError(where, f"{len(words)} columns in {short_repr(' '.join(words))}", _ROW, fix)
    number(words[1], "truncated (a type is one word)", where, _ROW)
    x1, y1, x2, y2 = (
        number(text, side, where, _ROW) for text, side in zip(words[4:8], ("x1", "y1", "x2", "y2"), strict=True)
    )
    is_region = words[0].casefold() == DONT_CARE.casefold()
    return BoxRow(image, (x1, y1, x2, y2), None if is_region else words[0], where, ignore=is_region)
