"""Readers of annotated images, one file per format. A new format is a `Reader` and an entry in `DATASETS`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Protocol

from keras_retinanet.data.box_columns import BoxColumns, BoxReport
from keras_retinanet.data.datasets.bdd100k import Bdd100kDataset
from keras_retinanet.data.datasets.coco.reader import CocoDataset
from keras_retinanet.data.datasets.createml import CreateMlDataset
from keras_retinanet.data.datasets.crowd_human import CrowdHumanDataset
from keras_retinanet.data.datasets.csv.reader import CsvDataset
from keras_retinanet.data.datasets.cvat.reader import CvatDataset
from keras_retinanet.data.datasets.datumaro import DatumaroDataset
from keras_retinanet.data.datasets.demo import DemoDataset
from keras_retinanet.data.datasets.dota import DotaDataset
from keras_retinanet.data.datasets.kitti.reader import KITTI_CLASSES, KittiDataset
from keras_retinanet.data.datasets.label_studio.reader import LabelStudioDataset
from keras_retinanet.data.datasets.labelbox import LabelboxDataset
from keras_retinanet.data.datasets.labelme import LabelmeDataset
from keras_retinanet.data.datasets.labelme_xml import LabelmeXmlDataset
from keras_retinanet.data.datasets.open_images.reader import OpenImagesDataset
from keras_retinanet.data.datasets.pascal.reader import VOC_CLASSES, PascalDataset
from keras_retinanet.data.datasets.sagemaker import SageMakerDataset
from keras_retinanet.data.datasets.shared.annotated_images import AnnotatedImages, Index
from keras_retinanet.data.datasets.shared.annotations import Annotations, BoxRow
from keras_retinanet.data.datasets.shared.reader import Layout, Reader
from keras_retinanet.data.datasets.tfds import TfdsDataset
from keras_retinanet.data.datasets.tfrecord import TfRecordDataset
from keras_retinanet.data.datasets.vertex import VertexDataset
from keras_retinanet.data.datasets.via.reader import ViaDataset
from keras_retinanet.data.datasets.visdrone import VisDroneDataset
from keras_retinanet.data.datasets.wider_face import WiderFaceDataset
from keras_retinanet.data.datasets.yolo.reader import YoloDataset
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


DATASETS: dict[str, type[Reader]] = {
    "coco": CocoDataset,
    "pascal": PascalDataset,
    "csv": CsvDataset,
    "kitti": KittiDataset,
    "oid": OpenImagesDataset,
    "yolo": YoloDataset,
    "visdrone": VisDroneDataset,
    "wider": WiderFaceDataset,
    "crowdhuman": CrowdHumanDataset,
    "dota": DotaDataset,
    "bdd100k": Bdd100kDataset,
    "sagemaker": SageMakerDataset,
    "vertex": VertexDataset,
    "labelbox": LabelboxDataset,
    "tfrecord": TfRecordDataset,
    "tfds": TfdsDataset,
    "labelme": LabelmeDataset,
    "labelmexml": LabelmeXmlDataset,
    "cvat": CvatDataset,
    "labelstudio": LabelStudioDataset,
    "via": ViaDataset,
    "createml": CreateMlDataset,
    "datumaro": DatumaroDataset,
    "demo": DemoDataset,
}
"""Readers by the word that the command line uses."""

__all__ = [
    "DATASETS",
    "KITTI_CLASSES",
    "VOC_CLASSES",
    "AnnotatedImages",
    "Annotations",
    "BoxColumns",
    "BoxReport",
    "BoxRow",
    "CocoDataset",
    "CreateMlDataset",
    "CsvDataset",
    "CvatDataset",
    "Dataset",
    "DatumaroDataset",
    "DemoDataset",
    "Index",
    "KittiDataset",
    "LabelStudioDataset",
    "LabelmeDataset",
    "LabelmeXmlDataset",
    "Layout",
    "OpenImagesDataset",
    "PascalDataset",
    "Reader",
    "TfRecordDataset",
    "TfdsDataset",
    "ViaDataset",
    "YoloDataset",
    "Bdd100kDataset",
    "CrowdHumanDataset",
    "DotaDataset",
    "LabelboxDataset",
    "SageMakerDataset",
    "VertexDataset",
    "VisDroneDataset",
    "WiderFaceDataset",
    "find_layouts",
    "reader_of",
]


def reader_of(word: str) -> type[Reader]:
    """The reader of a format.

    Args:
        word: Its word on the command line.

    Returns:
        The class.

    Raises:
        ValueError: There is no such format.
    """
    if word not in DATASETS:
        raise ValueError(f"Unknown data set format {word!r}. Allowed: {', '.join(DATASETS)}.")
    return DATASETS[word]


def find_layouts(path: str | os.PathLike[str]) -> list[Layout]:
    """Recognise the format of a data set.

    Args:
        path: A folder or file.

    Returns:
        What every reader recognised, the most certain first.
    """
    found = [layout for reader in DATASETS.values() if (layout := reader.find_layout(path)) is not None]
    return sorted(found, key=lambda layout: -layout.certainty)
