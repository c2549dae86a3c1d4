"""A data set with one fault of each kind, made by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from keras_retinanet.config import DataConfig, ResizeConfig, TrainConfig
from keras_retinanet.doctor import Diagnosis, diagnose


def noise(seed: int, height: int = 48, width: int = 64) -> Image.Image:
    """A picture like no other: coarse noise, which stays when it is scaled."""
    grey = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return Image.fromarray(grey).resize((width, height), Image.Resampling.NEAREST)


def write_coco(folder: Path, set_name: str, images: list[Any], boxes: list[Any], names: list[str]) -> None:
    """`images`: (file, height, width); `boxes`: (image, class, x, y, w, h, crowd), all counted from 1."""
    annotations = [
        {"id": k, "image_id": image, "category_id": label, "bbox": box, "iscrowd": crowd}
        for k, (image, label, *box, crowd) in enumerate(boxes, start=1)
    ]
    content = {
        "images": [{"id": k, "file_name": n, "height": h, "width": w} for k, (n, h, w) in enumerate(images, start=1)],
        "annotations": annotations,
        "categories": [{"id": k, "name": name} for k, name in enumerate(names, start=1)],
    }
    (folder / "annotations").mkdir(parents=True, exist_ok=True)
    (folder / "annotations" / f"instances_{set_name}.json").write_text(json.dumps(content))


def write_faulty(folder: Path) -> None:
    """Twelve training images and two for validation; what is wrong stands beside each line."""
    train, val = folder / "train2017", folder / "val2017"
    train.mkdir(parents=True)
    val.mkdir()
    noise(0).save(train / "good.png")
    noise(1).save(train / "cut.png")
    content = (train / "cut.png").read_bytes()
    (train / "cut.png").write_bytes(content[: len(content) // 2])
    (train / "text.jpg").write_text("no image")
    noise(2).convert("CMYK").save(train / "cmyk.jpg")
    Image.fromarray(np.random.default_rng(3).integers(0, 65535, (48, 64), np.uint16)).save(train / "deep.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    noise(4).save(train / "turned.jpg", exif=exif)
    noise(5).save(train / "wide.png")
    noise(6).save(train / "first.png")
    noise(6).save(train / "again.jpg", quality=90)
    noise(7).save(train / "empty.png")
    noise(8).save(val / "fresh.png")
    noise(0, 96, 128).save(val / "leaked.png")  # good.png, enlarged
    names = "good.png gone.png cut.png text.jpg cmyk.jpg deep.png turned.jpg wide.png first.png again.jpg empty.png"
    sizes = {"turned.jpg": (64, 48), "wide.png": (48, 100)}
    images = [(name, *sizes.get(name, (48, 64))) for name in names.split()]
    boxes = [
        (1, 2, 4, 4, 20, 20, 0),  # 1: fine
        (1, 2, 4, 4, 20, 20, 0),  # 2: the same again
        (1, 3, 4, 4, 20, 20, 0),  # 3: the same as something else
        (1, 2, 10, 10, 0, 0, 0),  # 4: without area
        (1, 2, 50, 30, 30, 10, 0),  # 5: ends at 80 of 64
        (1, 2, 70, 10, 10, 10, 0),  # 6: outside
        (5, 2, 5, 5, 3, 3, 0),  # 7: tiny
        (6, 3, 0, 0, 64, 48, 0),  # 8: huge
        (9, 2, 8, 8, 24, 24, 0),  # 9: fine
        (10, 3, 8, 8, 24, 24, 1),  # 10: crowd
        (7, 3, 8, 8, 24, 24, 0),  # 11: in an image that is turned
    ]
    write_coco(folder, "train2017", images, boxes, ["background", "cat", "Cat"])
    val_images = [("fresh.png", 48, 64), ("leaked.png", 96, 128)]
    write_coco(folder, "val2017", val_images, [(1, 1, 4, 4, 20, 20, 0)], ["background", "cat", "Cat"])


@pytest.fixture(scope="package")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faulty")
    write_faulty(folder)
    return folder


@pytest.fixture(scope="package")
def config(faulty: Path) -> TrainConfig:
    return TrainConfig(data=DataConfig("coco", str(faulty)), resize=ResizeConfig(48, 64))


@pytest.fixture(scope="package")
def diagnosis(config: TrainConfig) -> Diagnosis:
    return diagnose(config)
