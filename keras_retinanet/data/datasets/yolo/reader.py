"""YOLO: one text file of boxes for each image, in the folders that Ultralytics, darknet and labelling tools use.

Reference: https://docs.ultralytics.com/datasets/detect/, "Ultralytics YOLO format".
"""

from __future__ import annotations

import dataclasses
import functools
import os
from pathlib import Path

import numpy as np

from keras_retinanet.config import YoloRows
from keras_retinanet.data.box_columns import BoxColumns
from keras_retinanet.data.datasets.shared.annotations import Annotations
from keras_retinanet.data.datasets.shared.missing_images import find_missing
from keras_retinanet.data.datasets.shared.reader import Layout, Reader
from keras_retinanet.data.datasets.yolo import layouts as yolo_layouts
from keras_retinanet.data.datasets.yolo.classes import YoloClasses
from keras_retinanet.data.datasets.yolo.files import YoloFiles, find_files
from keras_retinanet.data.datasets.yolo.layouts import YoloLayout
from keras_retinanet.data.datasets.yolo.recognition import recognise
from keras_retinanet.data.datasets.yolo.rows import YoloRowTable, read_rows
from keras_retinanet.data.error_collector import ErrorCollector, collect_errors
from keras_retinanet.data.errors import DataError, short_repr


class YoloDataset(Reader):
    """YOLO as Ultralytics, Roboflow, darknet, CVAT, Label Studio, labelImg and others write it.

    A YAML file has `names` (a list, or a mapping from IDs), `train` and `val` (each a folder, a text file that lists
    images, or a list of these) and perhaps `path`, to which they are relative. Without one, darknet's `obj.data` and
    `obj.names`, or `classes.txt` name the classes, and sets are lists (`train.txt`) or folders (`images/train`,
    `train/images`, `train`), else one set of all images. Paths of another machine are matched by their last folders.

    The boxes of `…/images/a.jpg` are in `…/labels/a.txt`, or in the folder of the image. An image without one is
    background; a text file without an image is left out. Polygons and oriented boxes become the box around them; of a
    row with keypoints the box is used. Notes report and count all of these.

    Args:
        image_dir: Folder of the images, if the text files are elsewhere: in `path` or its `labels`. Defaults to `None`.
        yolo_rows: What rows of more than six numbers are, `"polygon"` or `"keypoints"`. Defaults to `"auto"`: keypoints
            if the YAML file has `kpt_shape` or all rows fit, see `choose_reading`.
    """

    word = "yolo"
    summary = "YOLO folder, or its YAML or .data file: images and *.txt, with or without data.yaml"

    def read(self, *, image_dir: str | None = None, yolo_rows: YoloRows = "auto") -> Annotations:
        """Read the text file of each image."""
        layout = yolo_layouts.find_layout(self.path)
        listed_in = f"{layout.file}, {self.set_name!r}"
        files = find_files(layout, self.set_name, image_dir, self.on_error)
        if not files.images and image_dir is None:
            fix = "check the path; if the images are elsewhere, name their folder with --image-dir"
            raise DataError(listed_in, "has no image", "images with text files of boxes", fix)
        find_missing(Annotations(listed_in, images=files.images), self.on_error)
        _require_texts(files)
        table = read_rows(files.texts, layout.kpt_shape, yolo_rows)
        classes = self._complete_classes(layout, table)
        names = tuple(dict.fromkeys(classes.names.values()))
        listed = [str(file) for file in (layout.file, classes.file) if file is not None]
        return Annotations(
            listed_in=listed_in,
            class_names=names,
            images=files.images,
            image_ids=_image_ids(files.images, layout.folder),
            boxes=self._columns(table, classes, names),
            category_ids={name: number for number, name in reversed([*classes.names.items()])},
            sources=list(dict.fromkeys([*listed, *files.sources, *(text for text in files.texts if text is not None)])),
            notes=[*files.notes, *classes.notes, *table.notes],
            describes_unused_images=True,
        )

    def _complete_classes(self, layout: YoloLayout, table: YoloRowTable) -> YoloClasses:
        """The names, or numbers in place of them; counted from 1 if the rows of all sets show it."""
        classes, ids = layout.classes, set(table.ids.tolist())
        count = len(classes.names)
        if classes.names and (0 in ids or not classes.is_counted or [*classes.names] != [*range(count)]):
            return classes
        for name in layout.sets:
            ids |= collect_errors(ErrorCollector(), functools.partial(_read_ids, layout, name), set())
        if not classes.names:
            numbers = sorted(int(number) for number in ids if number >= 0 and number % 1 == 0)
            note = f"{layout.file}: no list of class names (data.yaml, classes.txt …): the numbers are used as names"
            return dataclasses.replace(classes, names={number: str(number) for number in numbers}, notes=(note,))
        if 0 in ids or not ids or max(ids) != count:
            return classes
        names = {number + 1: name for number, name in classes.names.items()}
        note = f"{classes.file}: rows have classes 1 to {count}, none has 0: the list of names is counted from 1"
        return dataclasses.replace(classes, names=names, notes=(*classes.notes, note))

    def _columns(self, table: YoloRowTable, classes: YoloClasses, names: tuple[str, ...]) -> BoxColumns:
        labels = {number: names.index(name) for number, name in classes.names.items()}
        numbers, inverse = np.unique(table.ids, return_inverse=True)
        found = np.array([labels.get(number, -1) for number in numbers.tolist()] or [-1], np.int64)[inverse]
        for row in np.flatnonzero(found < 0).tolist():
            allowed = f"ids of 'names': {short_repr(', '.join(map(str, classes.names)), 200)}"
            fix = "add it to 'names' or correct the line; ids count from 0, not from 1"
            error = DataError(table.where(row), f"unknown class '{table.ids[row]:g}'", allowed, fix)
            table.errors.append((int(table.image[row]), int(table.line[row]), error))
        for _, _, error in sorted(table.errors, key=lambda item: item[:2]):
            self.report_error(error)
        known = table.select(found >= 0)
        return BoxColumns(
            image=known.image,
            boxes=known.boxes,
            labels=found[found >= 0],
            ignore=np.zeros(len(known.image), bool),
            name=known.where,
            is_relative=True,
        )

    @classmethod
    def find_layout(cls, path: str | os.PathLike[str]) -> Layout | None:
        """Recognise a YAML or `.data` file by its keys, and folders without one by the lines of their text files."""
        place = Path(path)
        found = recognise(place)
        return None if found is None else Layout(cls.word, place, found.evidence, found.certainty, found.tool)

    @classmethod
    def default_sets(cls, path: str | os.PathLike[str]) -> tuple[str, str | None]:
        """Names of the training set and, if there is one, of the validation set; `"."` is all images."""
        return yolo_layouts.find_layout(Path(path)).default_sets()


def _read_ids(layout: YoloLayout, set_name: str) -> set[float]:
    """Class ids that the rows of a set have."""
    files = find_files(layout, set_name, None, ErrorCollector())
    return set(read_rows(files.texts, layout.kpt_shape, "polygon").ids.tolist())


def _require_texts(files: YoloFiles) -> None:
    if files.images and not any(text is not None for text in files.texts):
        fix = "put the text files into a folder 'labels' next to 'images', or next to the images; or give "
        fix += "their folder as the path, and that of the images with --image-dir"
        where = f"{os.path.splitext(files.images[0])[0]}.txt"
        raise DataError(where, "is not there, nor is that of any other image", "a text file of boxes", fix)


def _image_ids(images: list[str], folder: Path) -> list[int | str]:
    """Names without folders if unique, otherwise paths relative to the data set."""
    names = [os.path.basename(image) for image in images]
    return [*names] if len(set(names)) == len(names) else [os.path.relpath(image, folder) for image in images]
