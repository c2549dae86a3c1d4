"""Opens the data set of a `DataConfig`: chooses splits, readers and classes, and matches labels to those of a model."""

from __future__ import annotations

import collections
import dataclasses
import os
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np

from keras_retinanet.config import DataConfig, ExifFrame
from keras_retinanet.config.tree import flag_name
from keras_retinanet.data.class_choice import check_class_choice, choose_classes, parse_class_map
from keras_retinanet.data.datasets import DATASETS, AnnotatedImages, Index, reader_of
from keras_retinanet.data.datasets.shared.frames import FrameRule
from keras_retinanet.data.error_collector import ErrorCollector
from keras_retinanet.data.errors import DataError
from keras_retinanet.data.index_cache import read_cached
from keras_retinanet.data.index_operations import change_classes, join, select_images
from keras_retinanet.data.val_share import choose_fold, divide, parse_fold
from keras_retinanet.schema import Sample

Split = Literal["train", "val"]

UNDIVIDED = ("trainval", "default", ".")
"""Sets that hold all images: training and evaluation use the same images, unless a validation set is named."""


def choose_set(data: DataConfig, split: Split) -> str | None:
    """The name of the images to read: what the user asked for, or the format's default.

    Args:
        data: Which dataset.
        split: `"train"` or `"val"`.

    Returns:
        The set's name (`"val2017"`; `"trainval"` if a VOC folder has no other list), the path of the annotations for
        formats without named sets (CSV), and `None` if the dataset has no images for this split.
    """
    reader = reader_of(data.dataset)
    if not reader.has_sets:
        return data.annotations if split == "train" else data.val_annotations
    asked = data.train_set if split == "train" else data.val_set
    if asked is not None:
        return asked
    train, val = reader.default_sets(data.path)
    if split == "train" or (val is None and train in UNDIVIDED):
        return train
    return val or reader.usual_validation


def has_validation(data: DataConfig) -> bool:
    """Whether the dataset has images to evaluate that are not those of the training set."""
    return data.divides_training_images or any(_has_own_validation(part) for part in list_parts(data))


def _has_own_validation(data: DataConfig) -> bool:
    reader = reader_of(data.dataset)
    if not reader.has_sets:
        return data.val_annotations is not None
    return data.val_set is not None or reader.default_sets(data.path)[1] is not None


def check_data(data: DataConfig) -> None:
    """Check that the settings fit the format.

    Args:
        data: Which dataset.

    Raises:
        ValueError: With the first problem of `data_problems`, or if the place of the data is missing.
    """
    for problem in data_problems(data):
        raise ValueError(problem)
    parse_class_map(data.map_class)
    for part in list_parts(data):
        _check_part(part)
    if data.val_share and (owner := next((part for part in list_parts(data) if _has_own_validation(part)), None)):
        raise ValueError(
            f"--val-share is for data without validation images, and {owner.path or owner.annotations} has some; "
            "leave the flag out."
        )


def _check_part(data: DataConfig) -> None:
    reader = reader_of(data.dataset)
    if reader.has_sets and data.val_annotations:
        owners = [word for word, other in DATASETS.items() if not other.has_sets]
        raise ValueError(
            f"--val-annotations belongs to {', '.join(owners)}; for {data.dataset} choose the split with --val-set."
        )
    if not reader.has_sets and (data.train_set or data.val_set):
        raise ValueError(f"--set and --val-set name splits; {data.dataset} takes files: --val-annotations FILE.")
    for name in reader.arguments:
        if not getattr(data, name):
            what = {"annotations": "a file of annotations", "path": "the path of its folder"}[name]
            raise ValueError(f"{data.dataset} needs {what}.")


def data_problems(data: DataConfig) -> Iterator[str]:
    """Flags that belong to other formats than the one that is read, or exclude each other.

    Args:
        data: Which dataset.

    Yields:
        One sentence per flag.
    """
    own = {name for part in list_parts(data) for name in reader_of(part.dataset).flags()}
    for name, owners in reader_flags().items():
        if name not in own and getattr(data, name) != getattr(DataConfig(), name):
            yield f"{flag_name('data.' + name)} belongs to {', '.join(owners)}; {data.dataset} does not know it."
    if not 0 <= data.val_share < 1:
        yield f"--val-share must lie between 0 and 1, got {data.val_share}."
    if data.val_share and data.val_fold:
        yield "--val-share and --val-fold both choose validation images; give one of them."
    if data.val_fold:
        try:
            parse_fold(data.val_fold)
        except ValueError as error:
            yield str(error)
    if data.labels_filter and data.parent_label:
        yield "--labels-filter and --parent-label both choose classes; give one of them."


def reader_flags() -> dict[str, list[str]]:
    """`DataConfig` fields that only some formats have, and the words of these formats."""
    owners: dict[str, list[str]] = {}
    for word, reader in DATASETS.items():
        for name in reader.flags():
            if name not in reader.optional_arguments:
                owners.setdefault(name, []).append(word)
    return owners


def open_dataset(
    data: DataConfig, split: Split, collector: ErrorCollector | None = None, *, exif_fallback: ExifFrame = "apply"
) -> AnnotatedImages:
    """Open one split: read each data set, join them, choose classes, and divide the images if that is asked for.

    `demo` writes its scenes first if they are missing.

    Args:
        data: Which dataset.
        split: `"train"` or `"val"`.
        collector: Records errors and the annotations as they are; missing images are then not an error. Defaults to
            `None`.
        exif_fallback: Whether images are turned by their EXIF orientation if neither `data.exif` nor the annotations
            decide it. Defaults to `"apply"`.

    Returns:
        An iterable of `schema.Sample`.

    Raises:
        DataError: The dataset is incomplete or broken.
        ValueError: The format is unknown, or a setting does not fit it.
    """
    check_data(data)
    source: Split = "train" if data.divides_training_images else split
    parts = list_parts(data)
    if source == "val" and len(parts) > 1:
        parts = [part for part in parts if _has_own_validation(part)] or parts
    if len(parts) == 1:
        dataset = _read_part(parts[0], source, collector, exif_fallback)
        index = dataset.contents
    else:
        collectors = [None if collector is None else ErrorCollector() for _ in parts]
        read = [_read_part(part, source, own, exif_fallback) for part, own in zip(parts, collectors, strict=True)]
        index = join([dataset.contents for dataset in read], collectors, collector)
    index = _choose_classes(index, data, source, collector)
    if data.divides_training_images:
        divided = choose_fold(index, data.val_fold, data.val_seed) if data.val_fold else None
        division = divided or divide(index, data.val_share, data.val_seed)
        index = select_images(index, getattr(division, split), collector)
        index.report.notes = [division.note, *index.report.notes]
    return AnnotatedImages.from_index(index)


def list_parts(data: DataConfig) -> list[DataConfig]:
    """The data sets that are joined.

    Args:
        data: Which dataset, with `more_data`.

    Returns:
        One `DataConfig` per data set; settings that its format does not have are at their defaults.

    Raises:
        ValueError: An entry of `more_data` is not `FORMAT:PATH`.
    """
    parts = [dataclasses.replace(data, more_data=None)]
    for entry in data.more_data or ():
        word, colon, path = entry.partition(":")
        if not colon or word not in DATASETS:
            order = f" Give the first data set as two words: {word} PATH." if word in DATASETS else ""
            raise ValueError(f"{entry!r} is not FORMAT:PATH, where FORMAT is one of {', '.join(DATASETS)}.{order}")
        reader = DATASETS[word]
        layout = reader.find_layout(path)
        own = dict(layout.settings) if layout and layout.settings else dict.fromkeys(reader.arguments[:1], path)
        places: dict[str, Any] = {"path": "", "annotations": None, "val_annotations": None, "classes": None}
        parts.append(dataclasses.replace(parts[0], **{**places, "dataset": word, **own}))
    return parts if len(parts) == 1 else [_without_foreign_flags(part) for part in parts]


def _without_foreign_flags(data: DataConfig) -> DataConfig:
    own, default = reader_of(data.dataset).flags(), DataConfig()
    foreign = {name: getattr(default, name) for name in reader_flags() if name not in own}
    return dataclasses.replace(data, **foreign)


def _choose_classes(index: Index, data: DataConfig, source: Split, collector: ErrorCollector | None) -> Index:
    if not data.keep_classes and not data.map_class:
        return index
    renamed = parse_class_map(data.map_class)
    if source == "train":  # validation images may lack a class
        check_class_choice(index.class_names, data.keep_classes, renamed)
    names, labels = choose_classes(index.class_names, data.keep_classes, renamed)
    return change_classes(index, names, labels, collector)


def _read_part(
    data: DataConfig, split: Split, collector: ErrorCollector | None, exif_fallback: ExifFrame
) -> AnnotatedImages:
    reader, name = reader_of(data.dataset), choose_set(data, split)
    if name is None:
        raise DataError(data.dataset, f"no {split} images", fix="give a file of annotations for them")
    words = (data.path or reader.default_path, name) if reader.has_sets else (name,)
    reader.prepare(words[0])
    flags = {flag: getattr(data, flag) for flag in reader.flags()}
    options = flags | {"on_error": collector or data.bad_data}
    options["frame"] = FrameRule(data.exif, exif_fallback, data.bit_depth)
    if collector is not None or not data.use_index_cache:
        return reader(*words, **options)
    places = [os.path.abspath(word) for word in words if word] + [os.path.abspath(data.classes or ".")]
    return read_cached(lambda: reader(*words, **options), (reader.__name__, words, places, sorted(options.items())))


def take_first(dataset: AnnotatedImages, limit: int | None) -> AnnotatedImages:
    """The first images of a data set.

    Args:
        dataset: The data set.
        limit: Their number. `None` for all.

    Returns:
        They.
    """
    if limit is None or limit >= len(dataset):
        return dataset
    return AnnotatedImages.from_index(select_images(dataset.contents, range(limit)))


def match_classes(samples: Sequence[Sample], own: Sequence[str], wanted: Sequence[str]) -> Sequence[Sample]:
    """Change labels so that they index the class names of a model.

    Args:
        samples: Annotated images whose labels index `own`.
        own: Class names of the data set. Classes without boxes may be missing from `wanted`.
        wanted: Class names of the model.

    Returns:
        The samples with labels that index `wanted`.

    Raises:
        DataError: There are boxes of classes that `wanted` lacks; the message names all of them.
    """
    if tuple(own) == tuple(wanted):
        return samples
    table = np.array([wanted.index(name) if name in wanted else -1 for name in own], np.int32)
    index = samples.contents if isinstance(samples, AnnotatedImages) else None
    labels = [index.labels] if index is not None else (sample["labels"] for sample in samples)
    counts = collections.Counter(label for part in labels for label in np.asarray(part).tolist())
    unknown = [f"{name!r} ({counts[k]} boxes)" for k, name in enumerate(own) if table[k] < 0 and counts[k]]
    if unknown:
        found = f"the model does not know {', '.join(unknown)}"
        fix = "choose the data, or the model, that belongs to the other, or rename the classes of the data"
        raise DataError("class names", found, ", ".join(repr(name) for name in wanted), fix)
    if index is not None:
        return AnnotatedImages.from_index(
            dataclasses.replace(index, class_names=tuple(wanted), category_ids=None, labels=table[index.labels])
        )
    return [{**sample, "labels": table[np.asarray(sample["labels"], int)]} for sample in samples]
