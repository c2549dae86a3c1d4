"""Files of detections, read back by those for whom they are."""

from __future__ import annotations

import contextlib
import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from keras_retinanet.data.datasets import CsvDataset
from keras_retinanet.detection.result_files import CocoResults, CsvTable, PictureFolder, YoloFolder, number_of
from keras_retinanet.drawing.visualize import class_colours
from keras_retinanet.schema import DetectedImage
from keras_retinanet.snapshots.atomic_files import WriteError

NAMES = ("ant", "bee")


def found(image: str, boxes: Any, scores: Any, labels: Any, **more: Any) -> DetectedImage:
    return DetectedImage(
        image=image,
        size=(100, 200),
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        scores=np.array(scores, np.float32),
        labels=np.array(labels, np.int32),
        names=tuple(NAMES[label] for label in labels),
        **more,
    )


@pytest.fixture
def entries(tmp_path: Path) -> dict[str, DetectedImage]:
    """Two images by name: one with two boxes, one without any."""
    for name in ("a.png", "deep/b.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (200, 100)).save(tmp_path / name)
    two = found(str(tmp_path / "a.png"), [[10, 20, 30.5, 60], [0, 0, 200, 100]], [0.9, 0.25], [1, 0])
    return {"a.png": two, "deep/b.png": found(str(tmp_path / "deep" / "b.png"), [], [], [])}


def write(writer: Any, entries: dict[str, DetectedImage]) -> list[Path]:
    for name, entry in entries.items():
        writer.add(name, entry)
    return writer.close()


def test_coco_results_are_what_load_res_takes(entries: dict[str, DetectedImage], tmp_path: Path) -> None:
    path = tmp_path / "new" / "found.json"
    assert write(CocoResults(path, NAMES), entries) == [path, tmp_path / "new" / "found_images.json"]
    assert json.loads(path.read_text()) == [
        {"image_id": 1, "category_id": 2, "bbox": [10, 20, 20.5, 40], "score": 0.9},
        {"image_id": 1, "category_id": 1, "bbox": [0, 0, 200, 100], "score": 0.25},
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        images = COCO(str(tmp_path / "new" / "found_images.json"))
        results = images.loadRes(str(path))
    assert images.imgs[2] == {"id": 2, "file_name": "deep/b.png", "width": 200, "height": 100}
    assert [category["name"] for category in images.loadCats([1, 2])] == ["ant", "bee"]
    assert len(results.anns) == 2
    assert sorted(file.name for file in path.parent.iterdir()) == ["found.json", "found_images.json"]


def test_coco_results_keep_given_ids_and_are_valid_without_boxes(
    entries: dict[str, DetectedImage], tmp_path: Path
) -> None:
    write(CocoResults(tmp_path / "found.json", NAMES, {"deep/b.png": 139}.get), {"deep/b.png": entries["deep/b.png"]})
    assert json.loads((tmp_path / "found.json").read_text()) == []
    assert json.loads((tmp_path / "found_images.json").read_text())["images"][0]["id"] == 139


def test_csv_is_read_by_the_csv_data_set(entries: dict[str, DetectedImage], tmp_path: Path) -> None:
    path = tmp_path / "new" / "found.csv"
    write(CsvTable(path), entries)
    assert path.read_text().splitlines() == [
        "image,x1,y1,x2,y2,class,score",
        "../a.png,10.0,20.0,30.5,60.0,bee,0.9",
        "../a.png,0.0,0.0,200.0,100.0,ant,0.25",
        "../deep/b.png,,,,,,",
    ]
    first, second = CsvDataset(path, class_names=NAMES)
    assert first["boxes"].tolist() == [[10, 20, 30.5, 60], [0, 0, 200, 100]]
    assert first["labels"].tolist() == [1, 0]
    assert len(second["boxes"]) == 0


def test_yolo_files_have_shares_of_the_image(entries: dict[str, DetectedImage], tmp_path: Path) -> None:
    write(YoloFolder(tmp_path / "yolo", NAMES), entries)
    assert (tmp_path / "yolo" / "classes.txt").read_text() == "ant\nbee\n"
    assert (tmp_path / "yolo" / "a.txt").read_text().splitlines() == [
        "1 0.101250 0.400000 0.102500 0.400000 0.90000",  # (10 + 30.5) / 2 / 200, (20 + 60) / 2 / 100 …
        "0 0.500000 0.500000 1.000000 1.000000 0.25000",
    ]
    assert (tmp_path / "yolo" / "deep" / "b.txt").read_text() == ""


def test_pictures_show_the_boxes_in_the_colour_of_their_class(tmp_path: Path) -> None:
    pixels = np.full((100, 200, 3), 90, np.uint8)
    entry = found("a.bmp", [[100, 40, 180, 90]], [0.9], [1], pixels=pixels)
    write(PictureFolder(tmp_path / "out", NAMES), {"deep/a.bmp": entry})
    drawn = np.asarray(Image.open(tmp_path / "out" / "deep" / "a.jpg")).astype(int)
    assert np.abs(drawn[89, 120:170] - class_colours(2)[1]).mean() < 30
    assert np.abs(drawn[5:30, 5:60] - 90).max() < 6


def test_names_that_are_not_unicode_do_not_end_the_run(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.jpg")  # Latin-1, as in old archives
    for writer in (CocoResults(tmp_path / "a.json", NAMES), CsvTable(tmp_path / "a.csv")):
        writer.add(name, found(name, [], [], []))
        writer.close()
    assert json.loads((tmp_path / "a_images.json").read_text())["images"][0]["file_name"] == name
    assert (tmp_path / "a.csv").read_text().splitlines()[1] == r"caf\udce9.jpg,,,,,,"


@pytest.mark.parametrize("make", [lambda path: CocoResults(path, NAMES), CsvTable])
def test_results_that_are_discarded_leave_what_was_there(
    entries: dict[str, DetectedImage], tmp_path: Path, make: Any
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "found").write_text("old")
    writer = make(folder / "found")
    writer.add("a.png", entries["a.png"])
    writer.discard()
    assert {path.name: path.read_text() for path in folder.iterdir()} == {"found": "old"}


def test_a_full_disk_leaves_what_was_there_and_nothing_half(entries: dict[str, DetectedImage], tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="limits of file sizes are POSIX")
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "a.json").write_text("old")
    writer = CocoResults(folder / "a.json", NAMES)
    writer.add("a.png", entries["a.png"])
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
    try:
        with pytest.raises(WriteError, match=r"a\.json cannot be written: File too large"):
            writer.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {path.name: path.read_text() for path in folder.iterdir()} == {"a.json": "old"}


@pytest.mark.parametrize(
    ("name", "number"),
    [("000139.jpg", 139), ("a.b/7.tar.png", None), ("a/12", 12), ("5.", None), (".6", None), ("v1/3.jpeg", 3)],
)
def test_ids_are_the_numbers_of_names(name: str, number: int | None) -> None:
    assert number_of(name) == number
