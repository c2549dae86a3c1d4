"""Readers of annotated images, one file a format. A new format is a class and a line in `DATASETS`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from keras_retinanet.data.box_columns import BoxColumns, BoxReport
from keras_retinanet.data.datasets.annotated_images import AnnotatedImages, Index
from keras_retinanet.data.datasets.coco import CocoDataset
from keras_retinanet.data.datasets.csv_file import CsvDataset
from keras_retinanet.data.datasets.kitti import KITTI_CLASSES, KittiDataset
from keras_retinanet.data.datasets.open_images import OpenImagesDataset
from keras_retinanet.data.datasets.pascal import VOC_CLASSES, PascalDataset
from keras_retinanet.data.datasets.tfds import TfdsDataset
from keras_retinanet.data.datasets.tfrecord import TfRecordDataset
from keras_retinanet.data.datasets.yolo import YoloDataset
from keras_retinanet.schema import Sample


class Dataset(Protocol):
    """What the pipeline and the evaluation need of a data set."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names, label 0 first."""

    @property
    def report(self) -> BoxReport:
        """Boxes left out and clipped while reading."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Sample]: ...


DATASETS: dict[str, Any] = {
    "coco": CocoDataset,
    "pascal": PascalDataset,
    "csv": CsvDataset,
    "kitti": KittiDataset,
    "oid": OpenImagesDataset,
    "yolo": YoloDataset,
    "tfrecord": TfRecordDataset,
    "tfds": TfdsDataset,
}
"""Readers by the word that the command line uses."""

__all__ = [
    "DATASETS",
    "KITTI_CLASSES",
    "VOC_CLASSES",
    "AnnotatedImages",
    "BoxColumns",
    "BoxReport",
    "CocoDataset",
    "CsvDataset",
    "Dataset",
    "Index",
    "KittiDataset",
    "OpenImagesDataset",
    "PascalDataset",
    "TfRecordDataset",
    "TfdsDataset",
    "YoloDataset",
]
