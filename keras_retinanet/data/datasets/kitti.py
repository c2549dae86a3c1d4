"""KITTI: one text file of fifteen columns beside each image.

Reference: Geiger et al., "Are we ready for Autonomous Driving? The KITTI Vision Benchmark Suite"; the object
development kit's readme.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from keras_retinanet.data.box_columns import BoxColumns
from keras_retinanet.data.datasets.annotated_images import AnnotatedImages
from keras_retinanet.data.datasets.box_cleaning import OnError
from keras_retinanet.data.datasets.class_names import label_of
from keras_retinanet.data.datasets.text_files import (
    images_by_stem,
    list_names,
    number,
    numbered_lines,
    suggest_parent_folder,
)
from keras_retinanet.data.error_collector import collect_errors, report_or_raise
from keras_retinanet.data.errors import DataError, short_repr
from keras_retinanet.data.image_files import near_name_hint

KITTI_CLASSES = ("Car", "Van", "Truck", "Pedestrian", "Person_sitting", "Cyclist", "Tram", "Misc")
"""The classes of the benchmark; `DontCare` is none of them."""

DONT_CARE = "DontCare"
_ROW = "'type truncated occluded alpha x1 y1 x2 y2 …', 15 columns (16 with a score) separated by blanks"
_LAYOUT = "<set>/image_2 with <set>/label_2, or <set>/images with <set>/labels"


class _Object(NamedTuple):
    image: int
    name: str
    box: tuple[float, float, float, float]
    where: str


class KittiDataset(AnnotatedImages):
    """KITTI as it unzips (`training/image_2`, `training/label_2`), or `<set>/images` and `<set>/labels`.

    Every image of the folder has a text file, an empty one where it shows nothing. Where `ImageSets/<set>.txt` lists
    names, the set is these images of `training`. `DontCare` boxes become ignore regions; as they may hide an object
    of any class, each stands once for every class.

    Args:
        path: Folder of the data set.
        set_name: Which set. Defaults to `train`, or `training` where that is the folder's name.
        class_names: Names in the order of the labels wanted. Defaults to the eight of the benchmark where they cover
            every name of the set, else to the sorted names.
        on_error: What to do with boxes outside their image or without area. Defaults to `"skip"`.

    Attributes:
        class_names: Names, label 0 first.

    Raises:
        DataError: Something in the files is broken.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        set_name: str | None = None,
        *,
        class_names: Sequence[str] | None = None,
        on_error: OnError = "skip",
    ) -> None:
        folder, set_name = Path(path), set_name or self.default_sets(path)[0]
        list_file = folder / "ImageSets" / f"{set_name}.txt"
        home = folder / ("training" if list_file.is_file() else set_name)
        image_folder, label_folder = _folders(home)
        files = images_by_stem(image_folder)
        is_listed = list_file.is_file()
        listed = _listed(list_file, image_folder, files, on_error) if is_listed else sorted(files)
        texts = _label_files(label_folder, listed, files, on_error, is_whole=not is_listed)
        stems = list(texts)
        objects = [item for image, text in enumerate(texts.values()) for item in _objects(text, image, on_error)]
        names = tuple(class_names) if class_names is not None else _class_names(objects)
        super().__init__(
            names,
            [os.path.join(image_folder, files[stem]) for stem in stems],
            stems,
            [None] * len(stems),
            _columns(objects, names, on_error),
            listed_in=str(list_file if is_listed else image_folder),
            on_error=on_error,
            sources=[str(list_file), str(image_folder), str(label_folder), *(str(text) for text in texts.values())],
        )

    @staticmethod
    def default_sets(path: str | os.PathLike[str]) -> tuple[str, str | None]:
        """Names of the training set and, where there is one, of the validation set."""
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


def _listed(file: Path, image_folder: Path, files: dict[str, str], on_error: OnError) -> list[str]:
    stems: dict[str, str] = {}
    for where, words in numbered_lines(file, "a list of image names"):
        stem = words[0]
        if stem in stems:
            found = f"{short_repr(stem)} stands there twice"
            report_or_raise(on_error, DataError(where, found, "each image once", "take one of the lines out"))
        elif stem not in files:
            fix = f"{near_name_hint(image_folder / f'{stem}.png')}put the image there or take the line out"
            report_or_raise(
                on_error, DataError(where, f"image {short_repr(stem)} is not there", "names in training/image_2", fix)
            )
        else:
            stems[stem] = where
    return list(stems)


def _label_files(
    folder: Path, stems: list[str], files: dict[str, str], on_error: OnError, *, is_whole: bool
) -> dict[str, Path]:
    """The text file of each image by name; with `is_whole` there may be no others."""
    there = {name.removesuffix(".txt") for name in list_names(folder, _LAYOUT) if name.endswith(".txt")}
    for stem in stems:
        if stem not in there:
            file = folder / f"{stem}.txt"
            fix = f"{near_name_hint(file)}add the file (empty if the image shows nothing) or take the image away"
            report_or_raise(on_error, DataError(str(file), "is not there", "a text file for each image", fix))
    for stem in sorted(there - set(files)) if is_whole else []:
        fix = "put the image there or take the file away"
        report_or_raise(
            on_error, DataError(str(folder / f"{stem}.txt"), "has no image", "an image for each text file", fix)
        )
    return {stem: folder / f"{stem}.txt" for stem in stems if stem in there}


def _objects(file: Path, image: int, on_error: OnError) -> Iterator[_Object]:
    for where, words in numbered_lines(file, _ROW):
        found = collect_errors(on_error, functools.partial(_object, words, image, where), None)
        if found is not None:
            yield found


def _object(words: list[str], image: int, where: str) -> _Object | None:
    if len(words) not in (15, 16):
        fix = "separate with blanks" if "," in words[0] else "complete the line"
        raise DataError(where, f"{len(words)} columns in {short_repr(' '.join(words))}", _ROW, fix)
    number(words[1], "truncated (a type is one word)", where, _ROW)
    x1, y1, x2, y2 = (
        number(text, side, where, _ROW) for text, side in zip(words[4:8], ("x1", "y1", "x2", "y2"), strict=True)
    )
    return _Object(image, words[0], (x1, y1, x2, y2), where)


def _is_region(item: _Object) -> bool:
    return item.name.casefold() == DONT_CARE.casefold()


def _class_names(objects: list[_Object]) -> tuple[str, ...]:
    names = {item.name for item in objects if not _is_region(item)}
    return KITTI_CLASSES if names <= set(KITTI_CLASSES) else tuple(sorted(names))


def _columns(objects: list[_Object], class_names: Sequence[str], on_error: OnError) -> BoxColumns:
    wanted = {name: label for label, name in enumerate(class_names)}

    def labels(item: _Object) -> list[int]:
        if _is_region(item):
            return list(wanted.values())
        return collect_errors(on_error, lambda: [label_of(item.name, wanted, item.where)], [])

    rows = [(item, label) for item in objects for label in labels(item)]
    return BoxColumns(
        image=np.array([item.image for item, _ in rows], np.int64),
        boxes=np.array([item.box for item, _ in rows], np.float64).reshape(-1, 4),
        labels=np.array([label for _, label in rows], np.int64),
        ignore=np.array([_is_region(item) for item, _ in rows], bool),
        name=lambda row: rows[row][0].where,
    )
