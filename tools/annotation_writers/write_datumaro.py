"""Datumaro's exporters, which CVAT uses, too."""

from __future__ import annotations

import functools
from pathlib import Path

import datumaro
from common import BOXES, CLASSES, SIZES, run
from datumaro.components.media import Image

FORMATS = {
    "COCO": "coco_instances", "Pascal VOC": "voc_detection", "YOLO (darknet)": "yolo",
    "YOLO (ultralytics)": "yolo_ultralytics", "KITTI": "kitti_detection", "Open Images": "open_images",
    "CVAT XML": "cvat", "labelme (LabelMe XML)": "label_me", "Datumaro JSON": "datumaro",
}  # fmt: skip


def write(name: str, source: Path, out: Path) -> None:
    """Exports the data set in one format."""
    items = [
        datumaro.DatasetItem(
            id=Path(image).stem,
            subset=subset,
            media=Image.from_file(path=str(source / image), size=size[::-1]),
            annotations=[
                datumaro.Bbox(x1, y1, x2 - x1, y2 - y1, label=CLASSES.index(label))
                for label, x1, y1, x2, y2 in BOXES[image]
            ],
        )
        for image, size in SIZES.items()
        for subset in (("train", "val") if name == "yolo_ultralytics" else ("train",))  # it demands both
    ]
    datumaro.Dataset.from_iterable(items, categories=list(CLASSES)).export(str(out), name, save_media=True)


if __name__ == "__main__":
    run("datumaro", {layout: functools.partial(write, name) for layout, name in FORMATS.items()})
