"""The line that says what was opened: format, tool, path, splits, images, boxes and classes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from keras_retinanet.config import DataConfig
from keras_retinanet.data.datasets import reader_of
from keras_retinanet.data.open_dataset import Split, choose_set, list_parts
from keras_retinanet.schema import Sample

MAX_LISTED_CLASSES = 10


def describe_data(data: DataConfig | None, opened: Mapping[Split, Iterable[Sample]], class_names: Sequence[str]) -> str:
    """Describe a data set in one line.

    Args:
        data: Which dataset; `None` if the samples were handed over in Python.
        opened: The images of its splits.
        class_names: Its classes.

    Returns:
        Such as `"coco (Roboflow) data/export: train 80 images (2 without boxes), 310 boxes; valid 20 images, 77 boxes;
        2 classes: cat, dog"`.
    """
    sources = "given in Python" if data is None else describe_sources(data)
    splits = [_describe_split(data, split, samples) for split, samples in opened.items()]
    more = ", …" if len(class_names) > MAX_LISTED_CLASSES else ""
    count = "1 class" if len(class_names) == 1 else f"{len(class_names)} classes"
    classes = f"{count}: {', '.join(class_names[:MAX_LISTED_CLASSES])}{more}"
    return "; ".join([f"{sources}: {splits[0]}", *splits[1:], classes + _describe_choice(data)])


def describe_sources(data: DataConfig) -> str:
    """Formats, tools and paths of the data sets that are joined, such as `"coco (CVAT) export + yolo more"`."""
    return " + ".join(_describe_source(part) for part in list_parts(data))


def _describe_choice(data: DataConfig | None) -> str:
    if data is None or not (data.map_class or data.keep_classes):
        return ""
    choices = [pair.replace("=", " → ") for pair in data.map_class or ()]
    return f" ({', '.join([*choices, *(['chosen by --classes'] if data.keep_classes else [])])})"


def _describe_source(data: DataConfig) -> str:
    place = data.path or data.annotations or data.val_annotations or ""
    layout = reader_of(data.dataset).find_layout(place) if place and Path(place).exists() else None
    tool = f" ({layout.tool})" if layout is not None and layout.tool else ""
    return f"{data.dataset}{tool} {place}".strip()


def _describe_split(data: DataConfig | None, split: Split, samples: Iterable[Sample]) -> str:
    name: str = split
    if data is not None and not (data.divides_training_images or data.more_data):
        name = choose_set(data, split) or split
        name = split if name == "." else name
    boxes = [len(sample["labels"]) for sample in samples]
    empty = f" ({boxes.count(0):,} without boxes)" if 0 in boxes else ""
    images = "1 image" if len(boxes) == 1 else f"{len(boxes):,} images"
    return f"{Path(name).name} {images}{empty}, " + ("1 box" if sum(boxes) == 1 else f"{sum(boxes):,} boxes")
