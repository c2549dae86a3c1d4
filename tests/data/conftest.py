"""Writers of tiny data sets in the true on-disk formats."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

SIZES = {"a.jpg": (40, 60), "b.jpg": (60, 40), "c.jpg": (30, 30)}  # height, width


@pytest.fixture
def write_images() -> Callable[..., None]:
    """`write_images(folder, sizes)`: random JPEGs (or whatever the names end in)."""

    def write(folder: Path, sizes: dict[str, tuple[int, int]] = SIZES) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(0)
        for name, (height, width) in sizes.items():
            Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8)).save(folder / name)

    return write


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Eleven images, landscape and portrait, each with one red rectangle (the last with none) on noise."""
    folder = tmp_path_factory.mktemp("drawn")
    rng = np.random.default_rng(0)
    out = []
    for number in range(11):
        height, width = (60, 90) if number % 3 else (90, 60)
        pixels = np.repeat(rng.integers(110, 150, (height, width, 1)), 3, axis=-1).astype(np.uint8)
        boxes = np.zeros((0, 4), np.float32)
        if number < 10:
            x1, y1 = rng.integers(0, 30, 2)
            x2, y2 = x1 + rng.integers(12, 30), y1 + rng.integers(12, 30)
            pixels[y1:y2, x1:x2] = (250, 10, 10)
            boxes = np.array([[x1, y1, x2, y2]], np.float32)
        Image.fromarray(pixels).save(folder / f"{number}.png")
        labels = np.full(len(boxes), number, np.int32)
        out.append(
            {
                "image": str(folder / f"{number}.png"),
                "image_id": number,
                "boxes": boxes,
                "labels": labels,
                "ignore": labels == 4,
                "size": (height, width),
            }
        )
    return out


def coco_content() -> dict[str, Any]:
    """Three images: one with an object and a crowd, one with an object, one empty. Category ids are not 0, 1."""
    images = [
        {"id": 10 * (number + 1), "file_name": name, "height": size[0], "width": size[1]}
        for number, (name, size) in enumerate(SIZES.items())
    ]
    annotations = [
        {"id": 1, "image_id": 10, "category_id": 9, "bbox": [1, 2, 10, 20], "iscrowd": 0, "area": 200},
        {"id": 2, "image_id": 20, "category_id": 3, "bbox": [0.5, 0, 30.25, 7], "area": 200},
        {"id": 3, "image_id": 10, "category_id": 3, "bbox": [0, 0, 60, 40], "iscrowd": 1, "area": 2400},
    ]
    categories = [{"id": 9, "name": "dog"}, {"id": 3, "name": "cat"}, {"id": 12, "name": "owl"}]
    return {"images": images, "annotations": annotations, "categories": categories}


@pytest.fixture
def write_coco(write_images: Callable[..., None]) -> Callable[..., Path]:
    """`write_coco(folder, content, images="train2017")`: a COCO data set."""

    def write(folder: Path, content: Any = None, images: str = "train2017", set_name: str = "train2017") -> Path:
        write_images(folder / images)
        file = folder / "annotations" / f"instances_{set_name}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        content = coco_content() if content is None else content
        file.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        return folder

    return write


def voc_object(name: str, box: tuple[Any, ...], extra: str = "") -> str:
    sides = "".join(f"<{tag}>{side}</{tag}>" for tag, side in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True))
    return f"<object><name>{name}</name>{extra}<bndbox>{sides}</bndbox></object>"


@pytest.fixture
def write_voc(write_images: Callable[..., None]) -> Callable[..., Path]:
    """`write_voc(folder, objects, sets)`: a Pascal VOC data set; `objects` maps image names to XML."""

    def write(folder: Path, objects: dict[str, str | bytes], sets: dict[str, str]) -> Path:
        write_images(folder / "JPEGImages")
        for part in ("Annotations", "ImageSets/Main"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        for name, xml in objects.items():
            content = xml if isinstance(xml, bytes) else f"<annotation>{xml}</annotation>".encode()
            (folder / "Annotations" / f"{name}.xml").write_bytes(content)
        for name, lines in sets.items():
            (folder / "ImageSets" / "Main" / f"{name}.txt").write_text(lines)
        return folder

    return write


@pytest.fixture
def write_records() -> Callable[..., None]:
    """`write_records(file, {"id": …, "text": […], "xmin": […], …}, …)`: TFRecords of 8 × 8 images."""
    import tensorflow as tf

    def feature(values: list[Any]) -> Any:
        if values and isinstance(values[0], bytes):
            return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))

    def write(file: Path, *records: dict[str, Any]) -> None:
        png = io.BytesIO()
        Image.new("RGB", (8, 8)).save(png, "PNG")
        with tf.io.TFRecordWriter(str(file)) as writer:
            for record in records:
                features = {f"image/object/bbox/{side}": record[side] for side in ("xmin", "ymin", "xmax", "ymax")}
                features["image/object/class/text"] = [text.encode() for text in record["text"]]
                features |= {"image/encoded": [png.getvalue()], "image/source_id": [record["id"].encode()]}
                content = {name: feature(values) for name, values in features.items()}
                example = tf.train.Example(features=tf.train.Features(feature=content))
                writer.write(example.SerializeToString())

    return write


@pytest.fixture
def coco() -> dict[str, Any]:
    return coco_content()


@pytest.fixture
def xml_object() -> Callable[..., str]:
    return voc_object
