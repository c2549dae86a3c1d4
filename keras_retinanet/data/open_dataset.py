"""From a `DataConfig` to its images: which split a name means, the reader, and labels in the order of the model."""

from __future__ import annotations

import collections
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from tqdm import tqdm

from keras_retinanet.config import DEMO_PATH, DataConfig
from keras_retinanet.data.datasets import DATASETS, Dataset
from keras_retinanet.data.error_collector import ErrorCollector
from keras_retinanet.data.errors import DataError
from keras_retinanet.data.index_cache import read_cached
from keras_retinanet.demo import scenes
from keras_retinanet.schema import Sample

Split = Literal["train", "val"]

UNDIVIDED = ("trainval", ".")
"""Sets that hold all images there are: what is trained on is also what is measured, unless another is named."""

USUAL_VAL = {"coco": "val2017", "oid": "validation", "tfds": "validation"}
"""Names of the validation set, where they are not `val`, for the message that it is not there."""


def choose_set(data: DataConfig, split: Split) -> str | None:
    """The name of the images to read: what the user asked for, else the format's default.

    Args:
        data: Which dataset.
        split: `"train"` or `"val"`.

    Returns:
        The set's name (`"val2017"`; `"trainval"` where a VOC folder lists nothing else), the path of the annotations
        for CSV, and `None` where the dataset has no images for this split.
    """
    if data.dataset == "csv":
        return data.annotations if split == "train" else data.val_annotations
    asked = data.train_set if split == "train" else data.val_set
    if asked is not None or data.dataset == "demo":
        return asked or f"{split}2017"
    train, val = DATASETS[data.dataset].default_sets(data.path)
    if split == "train" or (val is None and train in UNDIVIDED):
        return str(train)
    return val or USUAL_VAL.get(data.dataset, "val")


def has_validation(data: DataConfig) -> bool:
    """Whether the dataset has images to evaluate that are not those of the training set."""
    if data.dataset == "csv":
        return data.val_annotations is not None
    if data.dataset == "demo" or data.val_set is not None:
        return True
    return DATASETS[data.dataset].default_sets(data.path)[1] is not None


def open_dataset(data: DataConfig, split: Split, collector: ErrorCollector | None = None) -> Dataset:
    """Open one split with its reader; `demo` writes its scenes first where they are missing.

    Args:
        data: Which dataset.
        split: `"train"` or `"val"`.
        collector: Records errors and the annotations as they are; missing images are then not an error. Defaults to
            `None`.

    Returns:
        The reader, an iterable of `schema.Sample`.

    Raises:
        DataError: What the dataset lacks or where it is broken.
    """
    name = choose_set(data, split)
    if name is None:
        raise DataError("csv", f"no {split} images", fix="give a file of annotations for them")
    words = {"csv": (name,), "demo": (data.path or DEMO_PATH, name)}.get(data.dataset, (data.path, name))
    if data.dataset == "demo":
        _write_scenes(Path(words[0]))
    reader = DATASETS["coco" if data.dataset == "demo" else data.dataset]
    options = {option: getattr(data, option) for option in reader.options} | {"on_error": collector or data.bad_data}
    if collector is not None or not data.use_index_cache:
        return reader(*words, **options)
    places = [os.path.abspath(word) for word in words if word] + [os.path.abspath(data.classes or ".")]
    return read_cached(lambda: reader(*words, **options), (reader.__name__, words, places, sorted(options.items())))


def _write_scenes(folder: Path) -> None:
    """Write the demo's scenes unless the folder has complete ones, of whatever number."""
    try:
        receipt = json.loads((folder / "scenes.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        receipt = {}
    if receipt.get("version") != scenes.VERSION or "counts" not in receipt:
        with tqdm(desc=f"writing scenes to {folder}", unit=" scenes", leave=False, disable=None) as bar:
            scenes.write_dataset(folder, progress=bar.update)


def match_classes(samples: Sequence[Sample], own: Sequence[str], wanted: Sequence[str]) -> list[Sample]:
    """Count the labels of annotated images in the order of other class names.

    Args:
        samples: Annotated images whose labels count in `own`.
        own: Class names of the data set. Those of which no box is annotated need not stand in `wanted`.
        wanted: Class names of the model.

    Returns:
        The samples with labels that count in `wanted`.

    Raises:
        DataError: Boxes of classes that `wanted` lacks, all of them named.
    """
    if tuple(own) == tuple(wanted):
        return list(samples)
    table = np.array([wanted.index(name) if name in wanted else -1 for name in own], np.int32)
    counts = collections.Counter(int(label) for sample in samples for label in sample["labels"])
    unknown = [f"{name!r} ({counts[k]} boxes)" for k, name in enumerate(own) if table[k] < 0 and counts[k]]
    if unknown:
        found = f"the model does not know {', '.join(unknown)}"
        fix = "choose the data, or the model, that belongs to the other, or rename the classes of the data"
        raise DataError("class names", found, ", ".join(repr(name) for name in wanted), fix)
    return [{**sample, "labels": table[np.asarray(sample["labels"], int)]} for sample in samples]
