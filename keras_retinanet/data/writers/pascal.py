"""Writes Pascal VOC: `ImageSets/Main/<set>.txt`, `JPEGImages/*.jpg`, `Annotations/*.xml`.

Pixels are counted from 1, as VOC counts them. Each file says so in `<pixel_origin>`, which other readers ignore: many
tools count from 0, and the fractions would suggest that of these files, too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from keras_retinanet.data.writers.jobs import Omission, OutputSplit, ProgressCallback, WriteJob, exact, place_images
from keras_retinanet.schema import Sample

_SIDES = ("xmin", "ymin", "xmax", "ymax")


def write_job(job: WriteJob, progress: ProgressCallback) -> None:
    """Write the images and an XML file for each."""
    folder, split = Path(job.folder), job.split
    texts = folder / "Annotations"
    texts.mkdir(parents=True, exist_ok=True)
    for sample, name in zip(split.samples, split.names, strict=True):
        tree = ElementTree.ElementTree(_annotation(sample, name, split.class_names))
        ElementTree.indent(tree)
        tree.write((texts / name).with_suffix(".xml"), encoding="utf-8")
    place_images(job, folder / "JPEGImages", progress)


def write_index(folder: Path, splits: list[OutputSplit], images: str) -> None:
    """Write the list of each set."""
    del images
    lists = folder / "ImageSets" / "Main"
    lists.mkdir(parents=True, exist_ok=True)
    for split in splits:
        stems = "".join(f"{Path(name).stem}\n" for name in split.names)
        (lists / f"{split.name}.txt").write_text(stems, encoding="utf-8")


def omissions(splits: list[OutputSplit]) -> list[Omission]:
    """Boxes of a pixel or less: counted from 1 with the last pixel included, their `xmax` would not exceed `xmin`."""
    boxes = (box for split in splits for sample in split.samples for box in sample["boxes"])
    number = sum(not _is_representable(_to_one_based(box)) for box in boxes)
    return [Omission("boxes a pixel wide or high, or less", number)] if number else []


def _to_one_based(box: Any) -> tuple[float, float, float, float]:
    """Convert edges counted from 0 to first and last pixel counted from 1, the inverse of the reader."""
    x1, y1, x2, y2 = (exact(side) for side in box)
    return round(x1 + 1, 9), round(y1 + 1, 9), x2, y2


def _is_representable(box: tuple[float, float, float, float]) -> bool:
    return box[0] < box[2] and box[1] < box[3]


def _annotation(sample: Sample, name: str, class_names: tuple[str, ...]) -> ElementTree.Element:
    root = ElementTree.Element("annotation")
    ElementTree.SubElement(root, "filename").text = name
    ElementTree.SubElement(root, "pixel_origin").text = "1"
    size = ElementTree.SubElement(root, "size")
    height, width = sample["size"]
    for tag, value in (("width", width), ("height", height), ("depth", 3)):
        ElementTree.SubElement(size, tag).text = str(value)
    for given, label, is_ignored in zip(sample["boxes"], sample["labels"], sample["ignore"], strict=True):
        box = _to_one_based(given)
        if _is_representable(box):
            _add_object(root, class_names[label], box, is_difficult=bool(is_ignored))
    return root


def _add_object(
    root: ElementTree.Element, name: str, box: tuple[float, float, float, float], *, is_difficult: bool
) -> None:
    item = ElementTree.SubElement(root, "object")
    for tag, text in (("name", name), ("truncated", "0"), ("difficult", str(int(is_difficult)))):
        ElementTree.SubElement(item, tag).text = text
    sides = ElementTree.SubElement(item, "bndbox")
    for tag, side in zip(_SIDES, box, strict=True):
        ElementTree.SubElement(sides, tag).text = f"{side:.12g}"
