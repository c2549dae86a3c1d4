"""Recognises the format of a data set from the names of its files."""

from __future__ import annotations

from pathlib import Path

from keras_retinanet.config import DatasetName

SIGNS: tuple[tuple[DatasetName, tuple[str, ...]], ...] = (
    ("coco", ("annotations/instances_*.json",)),
    ("yolo", ("data.yaml", "data.yml", "dataset.yaml")),
    ("oid", ("*annotations-bbox.csv", "*/*annotations-bbox.csv")),
    ("kitti", ("*/label_2", "*/labels/*.txt")),
    ("pascal", ("ImageSets/Main", "Annotations/*.xml", "*.xml", "train/*.xml")),
    ("tfrecord", ("*.tfrecord*", "*.record*")),
)
"""What a folder of each format has, the surest signs first."""

ENDINGS: dict[str, DatasetName] = {".csv": "csv", ".yaml": "yolo", ".yml": "yolo", ".tfrecord": "tfrecord"}
"""Formats that are one file."""


def detect_format(path: str) -> DatasetName | None:
    """The format of a data set.

    Args:
        path: A folder or file.

    Returns:
        The format's word, or `None` where nothing tells.
    """
    place = Path(path)
    if place.is_dir():
        return next((name for name, signs in SIGNS if any(next(place.glob(sign), None) for sign in signs)), None)
    if ".tfrecord" in place.name or ".record" in place.name:  # train.record-00000-of-00010
        return "tfrecord"
    return ENDINGS.get(place.suffix.lower())
