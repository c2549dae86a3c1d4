"""Files found = files used + files reported, for every reader, whatever lies in the folders of a data set."""

from __future__ import annotations

import functools
import json
import os
import runpy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_retinanet.data.datasets import (
    DATASETS,
    CocoDataset,
    CsvDataset,
    KittiDataset,
    LabelmeXmlDataset,
    OpenImagesDataset,
    PascalDataset,
    Reader,
    YoloDataset,
    find_layouts,
)
from keras_retinanet.data.datasets.shared.accounting import account_for_files, list_files
from keras_retinanet.data.datasets.shared.annotations import Annotations
from keras_retinanet.data.errors import DataError
from keras_retinanet.data.writers import OutputSplit
from keras_retinanet.schema import Sample

FOLDERS = ("", "day 1/", "day 1/deep/", "Ünïcode/")
SUFFIXES = (".jpg", ".JPG", ".jpeg", ".JFIF", ".png", ".Png", ".tif", ".TIFF", ".bmp", ".webp")
SIZE = (24, 32)  # height, width

Images = dict[str, bool]
"""Path below the folder of images → whether it has a box."""


def random_images(seed: int) -> Images:
    rng = np.random.default_rng(seed)
    names = [f"{rng.choice(FOLDERS)}{number}{rng.choice(SUFFIXES)}" for number in range(8)]
    return {name: bool(number % 2 == 0 or rng.random() < 0.3) for number, name in enumerate(names)}


def write_images(folder: Path, images: Images, *, plain: bool = False) -> None:
    """The images; unless `plain`, one folder is a link, one link leads back, and other files are there, too."""
    for name in images:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(len(name)).integers(0, 256, (*SIZE, 3), np.uint8)).save(
            path, {".jfif": "JPEG", ".jpg": "JPEG", ".tif": "TIFF"}.get(path.suffix.lower())
        )
    if plain:
        return
    if (folder / "day 1").is_dir():
        elsewhere = folder.parent.parent / f"{folder.name} elsewhere"
        (folder / "day 1").rename(elsewhere)
        (folder / "day 1").symlink_to(elsewhere, target_is_directory=True)
    (folder / "loop").symlink_to(folder, target_is_directory=True)
    (folder / "layers.psd").write_bytes(b"8BPS")
    (folder / ".hidden.jpg").write_bytes(b"")


def write_coco(root: Path, images: Images) -> tuple[Reader, set[str]]:
    write_images(root / "images" / "train", images)
    listed = [name for name, has_box in images.items() if has_box]
    content = {
        "images": [{"id": k, "file_name": name, "height": 24, "width": 32} for k, name in enumerate(listed)],
        "annotations": [
            {"id": k, "image_id": k, "category_id": 1, "bbox": [1, 2, 10, 10], "area": 100, "iscrowd": 0}
            for k in range(len(listed))
        ],
        "categories": [{"id": 1, "name": "cat"}],
    }
    (root / "annotations").mkdir()
    (root / "annotations" / "instances_train.json").write_text(json.dumps(content))
    return CocoDataset(root, "train"), set()


def write_csv(root: Path, images: Images) -> tuple[Reader, set[str]]:
    write_images(root / "images", images)
    rows = [f"images/{name},1,2,11,12,cat\n" for name, has_box in images.items() if has_box]
    (root / "train.csv").write_text("".join(rows), encoding="utf-8")
    return CsvDataset(root / "train.csv"), set()


def write_texts(root: Path, images: Images, suffix: str, text: str) -> set[str]:
    """A text file for each image that has a box, and one without an image."""
    for name in [*(name for name, has_box in images.items() if has_box), "orphan.jpg"]:
        path = (root / name).with_suffix(suffix)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return {f"orphan{suffix}"}


def write_yolo(root: Path, images: Images) -> tuple[Reader, set[str]]:
    write_images(root / "images" / "train", images)
    orphans = write_texts(root / "labels" / "train", images, ".txt", "0 0.5 0.5 0.25 0.25\n")
    (root / "data.yaml").write_text("train: images/train\nnames: [cat]\n")
    return YoloDataset(root, "train"), orphans


VOC = "<annotation><object><name>cat</name><bndbox><xmin>2</xmin><ymin>3</ymin><xmax>11</xmax><ymax>12</ymax></bndbox>"


def write_voc(root: Path, images: Images) -> tuple[Reader, set[str]]:
    write_images(root / "images", images)
    orphans = write_texts(root / "annotations", images, ".xml", f"{VOC}</object></annotation>")
    return PascalDataset(root), orphans


def write_kitti(root: Path, images: Images) -> tuple[Reader, set[str]]:
    write_images(root / "training" / "image_2", images)
    text = "Car 0.0 0 0.0 1 2 11 12 0 0 0 0 0 0 0\n"
    orphans = write_texts(root / "training" / "label_2", images, ".txt", text)
    return KittiDataset(root), orphans


def write_open_images(root: Path, images: Images) -> tuple[Reader, set[str]]:
    write_images(root / "train", images)
    header = "ImageID,LabelName,XMin,XMax,YMin,YMax,IsGroupOf"
    rows = [f"{os.path.splitext(name)[0]},/m/cat,0.1,0.5,0.1,0.5,0\n" for name, has_box in images.items() if has_box]
    (root / "train-annotations-bbox.csv").write_text(f"{header}\n" + "".join(rows), encoding="utf-8")
    return OpenImagesDataset(root), set()


LABELME_XML = (
    "<annotation><filename>{name}</filename><folder></folder><object><name>cat</name><deleted>0</deleted><polygon>"
    "<pt><x>1</x><y>2</y></pt><pt><x>11</x><y>2</y></pt><pt><x>11</x><y>12</y></pt></polygon></object></annotation>"
)


def write_labelme_xml(root: Path, images: Images) -> tuple[Reader, set[str]]:
    write_images(root / "images", images)
    for name in [*(name for name, has_box in images.items() if has_box), "orphan.jpg"]:
        (root / "images" / name).with_suffix(".xml").write_text(LABELME_XML.format(name=os.path.basename(name)))
    return LabelmeXmlDataset(root), {"orphan.jpg"}


def write_as_tool(word: str, root: Path, images: Images) -> tuple[Reader, set[str]]:
    """Write a set with the writers of the benchmark; a label file of each folder of them has no image."""
    source = root.parent / "source"
    write_images(source, images, plain=True)
    box = np.array([[1, 2, 11, 12]], np.float32)
    samples = [
        Sample(
            image=str(source / name), image_id=name, size=SIZE, boxes=box[: int(has_box)],
            ignore=np.zeros(int(has_box), bool),
            labels=np.zeros(int(has_box), np.int32),
        )
        for name, has_box in images.items()
    ]  # fmt: skip
    TOOLS[word](OutputSplit("train", samples, list(images), ("cat",), (1,)), root)
    home = next(path for path in root.rglob("0.*") if path.suffix in SUFFIXES).parent
    (root / "loop").symlink_to(root, target_is_directory=True)
    (home / "layers.psd").write_bytes(b"8BPS")
    (home / ".hidden.jpg").write_bytes(b"")
    orphans = set()
    for folder in {"labelme": [home], "visdrone": [root / "annotations"], "dota": [root / "labelTxt"]}.get(word, []):
        page = next(path for path in folder.rglob("0.*") if path.suffix in (".json", ".txt"))
        page.with_stem("orphan").write_text(page.read_text().replace('"0.', '"orphan.'))
        orphans.add("orphan")
    return DATASETS[word](root), orphans


TOOLS = runpy.run_path(str(Path(__file__).parents[3] / "benchmarks" / "index_writers.py"))["WRITERS"]
WRITERS: dict[str, Callable[[Path, Images], tuple[Reader, set[str]]]] = {
    "coco": write_coco,
    "csv": write_csv,
    "yolo": write_yolo,
    "pascal": write_voc,
    "kitti": write_kitti,
    "oid": write_open_images,
    "labelmexml": write_labelme_xml,
    **{word: functools.partial(write_as_tool, word) for word in TOOLS},
}


def test_all_formats_with_image_files_are_tried() -> None:
    assert {*WRITERS, "tfrecord", "tfds", "demo"} == {*DATASETS}


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", WRITERS)
def test_files_found_are_used_or_reported(name: str, seed: int, tmp_path: Path) -> None:
    root = tmp_path / "set" / "data"
    root.mkdir(parents=True)
    images = random_images(seed)
    reader, orphans = WRITERS[name](root, images)
    assert find_layouts(root)[0].format == name
    used = {os.path.basename(sample["image"]) for sample in reader}
    notes = "\n".join(reader.report.notes)
    for path, has_box in images.items():
        assert not has_box or os.path.basename(path) in used, (path, notes)
        assert os.path.basename(path) in used or os.path.basename(path) in notes, (path, notes)
    assert len(used) == len(reader)
    for orphan in (*orphans, "layers.psd"):
        assert orphan in notes, notes
    assert ".hidden" not in notes
    assert reader.report.num_boxes == sum(images.values())


@pytest.mark.parametrize("name", WRITERS)
def test_listed_images_that_are_missing_are_counted(name: str, tmp_path: Path) -> None:
    """One of nine images of each format is gone: its boxes are lost, and it is named."""
    root = tmp_path / "set" / "data"
    root.mkdir(parents=True)
    images = {f"{number}.png": True for number in range(9)}
    WRITERS[name](root, images)
    gone = next(path for path in root.rglob("4.png"))
    gone.unlink()
    layout = find_layouts(root)[0]
    reader = DATASETS[name](layout.settings.get("annotations", root))
    notes = "\n".join(reader.report.notes)
    assert [os.path.basename(sample["image"]) for sample in reader] == [
        f"{number}.png" for number in range(9) if number != 4
    ]
    assert reader.report.num_boxes == 8
    assert "4.png" in notes or os.path.splitext(gone.name)[0] in notes
    for image in root.rglob("[0-35].png"):
        image.unlink()
    if name not in ("oid", "yolo", "kitti", "pascal", "visdrone", "dota"):  # the images that are there are the set
        with pytest.raises(DataError, match=r"is not there, nor are [456] others"):
            DATASETS[name](layout.settings.get("annotations", root))


def annotations(images: list[Path], *sources: Path) -> Annotations:
    return Annotations("list", images=[str(path) for path in images], sources=[str(path) for path in sources])


def touch(folder: Path, *names: str) -> list[Path]:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return [folder / name for name in names]


def test_what_is_said_about_images_that_are_not_named(tmp_path: Path) -> None:
    names = [f"{number}.jpg" for number in range(9)]
    touch(tmp_path, "snapshots/run/curves.png", "detections/0.jpg")
    paths = touch(tmp_path, *names, "deep/x.PNG", "notes.txt", "Thumbs.db", "video.mp4", "README")
    assert account_for_files(annotations(paths[:2])) == [
        f"{tmp_path} has 8 image files that the annotations do not name: 2.jpg, 3.jpg, 4.jpg, 5.jpg, 6.jpg and 3 more",
        f"{tmp_path} has 1 files that are not read as images: video.mp4",
    ]
    (tmp_path / "video.mp4").unlink()
    assert account_for_files(annotations(paths[:10])) == []
    assert account_for_files(annotations([])) == []
    assert account_for_files(annotations([Path("a.tfrecord#bytes=1+2")])) == []


def test_images_of_another_set_are_named_there(tmp_path: Path) -> None:
    paths = touch(tmp_path / "images", "a.jpg", "b b.jpg", "c.jpg", "d.jpg")
    train, val = tmp_path / "train.csv", tmp_path / "val.csv"
    train.write_text(f"{paths[0]},1,2,3,4,cat\n")
    val.write_text("images/c.jpg,1,2,3,4,cat\nd,,,,\n")  # with and without the suffix
    notes = account_for_files(annotations(paths[:1], train))
    assert notes == [f"{tmp_path / 'images'} has 1 image files that the annotations do not name: b b.jpg"]


def test_a_folder_that_is_not_only_the_sets_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = touch(tmp_path, "mine/a.jpg", "yours/b.jpg", *(f"other/{number}.png" for number in range(9)))
    assert len(account_for_files(annotations(paths[:2]))) == 1
    monkeypatch.setattr("keras_retinanet.data.datasets.shared.accounting._SPARE_FILES", 5)
    assert account_for_files(annotations(paths[:2])) == []
    assert list_files(str(tmp_path), 10) is None
    assert list_files(str(tmp_path / "gone"), 10) is None
    assert list_files(str(tmp_path / "mine"), 10) == ["a.jpg"]


def test_readers_that_describe_their_images_are_believed(tmp_path: Path) -> None:
    paths = touch(tmp_path, "a.jpg", "b.jpg", "c.psd")
    own = annotations(paths[:1])
    own.describes_unused_images = True
    assert account_for_files(own) == [f"{tmp_path} has 1 files that are not read as images: c.psd"]
