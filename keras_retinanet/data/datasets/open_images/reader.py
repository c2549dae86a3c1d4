"""Open Images: the CSV files of versions 4 to 7, of the challenges, and of tools that write its format.

Reference: https://storage.googleapis.com/openimages/web/download_v7.html, "Data formats".
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from keras_retinanet.data.box_columns import BoxColumns
from keras_retinanet.data.datasets.open_images.boxes import BoxTable, Wanted, read_boxes, read_lines
from keras_retinanet.data.datasets.open_images.files import (
    CLASS_FILES,
    TREES,
    OpenImagesFiles,
    index_names,
    recognise,
)
from keras_retinanet.data.datasets.open_images.image_labels import IMAGE_LABELS
from keras_retinanet.data.datasets.shared.annotations import Annotations
from keras_retinanet.data.datasets.shared.class_names import sort_names
from keras_retinanet.data.datasets.shared.label_hierarchy import labels_below, read_hierarchy
from keras_retinanet.data.datasets.shared.reader import Layout, Reader
from keras_retinanet.data.datasets.shared.text_files import by_stem, describe_files, no_garbage_collection
from keras_retinanet.data.errors import DataError, short_repr

_NAMES = "a CSV file of lines 'label,name'"
_TREE = "the classes' hierarchy as JSON"


class OpenImagesDataset(Reader):
    """Open Images with boxes, as downloaded, in whole or in part, or as Datumaro, FiftyOne and globox write it.

    Reads `<set>-annotations-bbox.csv` (`oidv6-train-annotations-bbox.csv` and the like), the class descriptions
    (`class-descriptions-boxable.csv`, `oidv7-class-descriptions-boxable.csv`) and images `<id>.jpg` in `<set>/`,
    `images/<set>/` or `<set>/data/`; the names that the challenges and FiftyOne give these files, too. The CSV files
    may be in the folder itself, in `<set>/`, `annotations/` and so on; `path` may also be one CSV file. The data set is
    the images that exist: few people have all 1.7 million of the list. An image in the folder of the set without a box
    is background. Boxes of groups (`IsGroupOf`) become ignore regions. Class names default to the described classes, in
    their order, or without descriptions to the sorted LabelNames.

    Args:
        labels_filter: Only these classes (names or IDs such as `/m/01g317`), in this order, and only images that show
            one. Defaults to `None`: all.
        parent_label: Only this class and those below it in the hierarchy file. Defaults to `None`: all.
        image_dir: Folder of the images, if it is none of these. Defaults to `None`.
    """

    word = "oid"
    summary = "Open Images v4 to v7: <set>-annotations-bbox.csv, class descriptions, <set>/*.jpg; or the CSV file"
    usual_validation = "validation"

    def read(
        self,
        *,
        labels_filter: Sequence[str] | None = None,
        parent_label: str | None = None,
        image_dir: str | None = None,
    ) -> Annotations:
        """Read the boxes of the images that exist."""
        files, set_name = OpenImagesFiles(self.path), self.set_name
        file = files.find_boxes(set_name)
        names, chosen, listed = _choose_classes(files, set_name, labels_filter, parent_label)
        home, images, is_alone = files.find_images(set_name, image_dir)
        is_filtered = labels_filter is not None or parent_label is not None
        wanted = Wanted(index_names(images), chosen, names)
        with no_garbage_collection():
            table = read_boxes(file, wanted, self.tolerance)
        if table.absent and not table.images:
            found = f"lists {len(table.absent)} images, none of them in {home}"
            fix = "check whether they belong to another set, and are named <ImageID>.jpg in the same letters"
            raise DataError(str(file), found, "images of the list", fix)
        empty, notes = _without_boxes(table, images, home, is_alone=is_alone and not is_filtered)
        used = [*table.images, *empty]
        stems = {name: stem for stem, name in by_stem(used).items()}
        columns, classes = table.columns(), tuple((names or {}).get(key, key) for key in chosen or wanted.found)
        if chosen is None:
            classes, columns = _sort_classes(classes, columns)
            notes.append(f"{file}: no class descriptions; labels follow the sorted LabelNames")
        if table.absent:
            notes += describe_files(file, table.absent, f"images of the list are not in {home}")
        return Annotations(
            listed_in=str(file),
            class_names=classes,
            images=[os.path.join(home, name) for name in used],
            image_ids=[stems.get(name, name) for name in used],
            boxes=columns,
            sources=[str(place) for place in (file, home, *listed)],
            notes=notes,
        )

    @staticmethod
    def names_by_id(path: str | os.PathLike[str], set_name: str) -> dict[str, str]:
        """Names of the described classes by ID such as `/m/01g317`."""
        described = OpenImagesFiles(Path(path)).find(set_name, CLASS_FILES)
        return {} if described is None else _read_descriptions(described)

    @staticmethod
    def find_hierarchy(path: str | os.PathLike[str], set_name: str) -> Path | None:
        """The hierarchy of the classes, such as `bbox_labels_600_hierarchy.json`, if it was downloaded."""
        return OpenImagesFiles(Path(path)).find(set_name, TREES)

    @staticmethod
    def find_image_labels(path: str | os.PathLike[str], set_name: str) -> Path | None:
        """The human-verified image-level labels of a set, if they were downloaded."""
        return OpenImagesFiles(Path(path)).find(set_name, [pattern.format(set=set_name) for pattern in IMAGE_LABELS])

    @classmethod
    def find_layout(cls, path: str | os.PathLike[str]) -> Layout | None:
        """Recognise a CSV file by its columns."""
        evidence = recognise(Path(path))
        return None if evidence is None else Layout(cls.word, Path(path), evidence, 3)

    @classmethod
    def default_sets(cls, path: str | os.PathLike[str]) -> tuple[str, str | None]:
        """Names of the training set and, if there is one, of the validation set."""
        return OpenImagesFiles(Path(path)).default_sets()


def _choose_classes(
    files: OpenImagesFiles, set_name: str, labels_filter: Sequence[str] | None, parent_label: str | None
) -> tuple[dict[str, str] | None, dict[str, int] | None, list[Path]]:
    """Names of the described classes by ID, labels of the wanted ones, and the files that list them.

    Without descriptions both are `None`, or the filter gives the labels.
    """
    described = files.find(set_name, CLASS_FILES)
    tree = files.find(set_name, TREES) if parent_label else None
    for place, pattern, kind in ((described, "*class-descriptions*.csv", _NAMES), (tree, "*hierarchy*.json", _TREE)):
        if parent_label and place is None:
            raise DataError(str(files.folder), f"has no {pattern}", kind, "download it, or leave --parent-label out")
    if described is None:
        return None, None if labels_filter is None else {name: label for label, name in enumerate(labels_filter)}, []
    names = _read_descriptions(described)
    chosen = _chosen(names, labels_filter, parent_label, described, tree)
    return names, chosen, [described, *([] if tree is None else [tree])]


def _without_boxes(table: BoxTable, images: list[str], home: Path, *, is_alone: bool) -> tuple[list[str], list[str]]:
    """Images that no line names, if they are background, and a note about them."""
    rest = [name for name in images if name not in table.images]
    if is_alone:
        return rest, describe_files(home, rest, "images have no box and are background")
    return [], describe_files(home, rest, "images have no box of this set and are left out")


def _sort_classes(names: Sequence[str], columns: BoxColumns) -> tuple[tuple[str, ...], BoxColumns]:
    ordered = sort_names(names)
    table = np.array([ordered.index(name) for name in names] or [0], np.int64)
    return ordered, dataclasses.replace(columns, labels=table[columns.labels])


def _read_descriptions(file: Path) -> dict[str, str]:
    """Names by ID, in the order of the file."""
    names: dict[str, str] = {}
    for line, fields in read_lines(file, _NAMES):
        where = f"{file}, line {line}"
        if len(fields) != 2 or not all(fields):
            raise DataError(where, f"is {short_repr(','.join(fields))}", "'label,name'", "correct the line")
        key, name = fields
        if not names and key.lower() == "labelname":
            continue  # a header line
        if key in names or name in names.values():
            raise DataError(
                where, f"{short_repr(','.join(fields))} repeats a label or a name", "each once", "take one out"
            )
        names[key] = name
    if not names:
        raise DataError(str(file), "describes no class", "'label,name'", "download it again")
    return names


def _chosen(
    names: dict[str, str],
    labels_filter: Sequence[str] | None,
    parent_label: str | None,
    described: Path,
    tree: Path | None,
) -> dict[str, int]:
    """Labels by ID of the classes that are wanted."""
    ids = {name: key for key, name in names.items()} | {key: key for key in names}

    def id_of(name: str, flag: str) -> str:
        if name not in ids:
            raise DataError(
                str(described), f"{flag} names {short_repr(name)}", "names or ids of this file", "correct it"
            )
        return ids[name]

    keys: Iterable[str] = names
    if labels_filter is not None:
        keys = dict.fromkeys(id_of(name, "the filter of labels") for name in labels_filter)
    elif parent_label is not None and tree is not None:
        below = labels_below(read_hierarchy(tree), id_of(parent_label, "the parent label"))
        if not below:
            raise DataError(
                str(tree), f"{short_repr(parent_label)} is not in the hierarchy", "a class in it", "correct it"
            )
        keys = [key for key in names if key in below]
    return {key: label for label, key in enumerate(keys)}
