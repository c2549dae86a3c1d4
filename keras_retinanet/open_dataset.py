"""From a `DataConfig` to its images: which split a name means, the reader, and labels in the order of the model."""

from __future__ import annotations

import collections
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from keras_retinanet import scenes
from keras_retinanet.config import DEMO_PATH, DataConfig
from keras_retinanet.data.datasets import DATASETS, Dataset
from keras_retinanet.data.errors import DataError
from keras_retinanet.schema import Sample

Split = Literal["train", "val"]


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
    if asked is not None:
        return asked
    if data.dataset != "pascal":
        return f"{split}2017"
    lists = Path(data.path) / "ImageSets" / "Main"
    has_only_both = not (lists / f"{split}.txt").is_file() and (lists / "trainval.txt").is_file()
    return "trainval" if has_only_both else split


def has_validation(data: DataConfig) -> bool:
    """Whether the dataset has images to evaluate that are not those of the training set."""
    name = choose_set(data, "val")
    if data.dataset in ("csv", "demo") or data.val_set is not None:
        return name is not None
    if data.dataset == "pascal":
        return name != "trainval" and (Path(data.path) / "ImageSets" / "Main" / f"{name}.txt").is_file()
    return (Path(data.path) / "annotations" / f"instances_{name}.json").is_file()


def open_dataset(data: DataConfig, split: Split) -> Dataset:
    """Open one split with its reader; `demo` writes its scenes first where they are missing.

    Args:
        data: Which dataset.
        split: `"train"` or `"val"`.

    Returns:
        The reader, an iterable of `schema.Sample`.

    Raises:
        DataError: What the dataset lacks or where it is broken.
    """
    from keras_retinanet.data.errors import DataError


    name = choose_set(data, split)
    if name is None:
        raise DataError(f"no {split} images: `csv` needs a file of annotations for them")
    if data.dataset == "csv":
        return DATASETS["csv"](name, data.classes)
    if data.dataset == "demo":
        _write_scenes(Path(data.path or DEMO_PATH))
        return DATASETS["coco"](data.path or DEMO_PATH, name)
    return DATASETS[data.dataset](data.path, name)


def _write_scenes(folder: Path) -> None:
    """Write the demo's scenes unless the folder has complete ones, of whatever number."""
    try:
        receipt = json.loads((folder / "scenes.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        receipt = {}
    if receipt.get("version") != scenes.VERSION or "counts" not in receipt:
        scenes.write_dataset(folder)


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
        known = ", ".join(repr(name) for name in wanted)
        raise DataError(f"the data has classes that the model does not know: {', '.join(unknown)}; it knows {known}")
    return [Sample(**{**sample, "labels": table[np.asarray(sample["labels"], int)]}) for sample in samples]  # type: ignore[typeddict-item]
