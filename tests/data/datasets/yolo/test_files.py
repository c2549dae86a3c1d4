from __future__ import annotations

import os
import tempfile
from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import pytest

from keras_retinanet.data.datasets import YoloDataset
from keras_retinanet.data.datasets.yolo.files import find_files
from keras_retinanet.data.datasets.yolo.layouts import YoloLayout
from keras_retinanet.data.datasets.yolo.texts import fold_stem
from keras_retinanet.data.error_collector import ErrorCollector
from keras_retinanet.data.errors import DataError

ROW = "0 0.5 0.5 0.5 0.5\n"


@pytest.fixture
def yolo(tmp_path):
    (tmp_path / "labels" / "train").mkdir(parents=True)
    (tmp_path / "data.yaml").write_text("train: images/train\nnames: [dog]\n")
    return tmp_path


def test_text_files_without_an_image_are_named_with_the_image_meant(yolo, write_images):
    """Label Studio writes %20 for a blank and %C3%A9 for é; macOS spells é in two letters."""
    pairs = {"a": "a", "décran 1": "d%C3%A9cran%201", "e\u0301t\u00e9": "ét\u00e9", "IMG_2": "img-2", "c.v2": "c"}
    write_images(yolo / "images" / "train", {f"{name}.jpg": (40, 60) for name in pairs})
    for name in (*pairs.values(), "nothing like it"):
        (yolo / "labels" / "train" / f"{name}.txt").write_text(ROW)
    data = YoloDataset(yolo)
    found = {sample["image_id"]: len(sample["labels"]) for sample in data}
    assert found == {"IMG_2.jpg": 0, "a.jpg": 1, "c.v2.jpg": 0, "décran 1.jpg": 1, "e\u0301t\u00e9.jpg": 1}
    home = f"{yolo}/labels/train"
    assert data.report.notes == [
        "2 text files are spelled otherwise than their images, and are used: "
        f"{home}/d%C3%A9cran%201.txt for décran 1.jpg; {home}/ét\u00e9.txt for e\u0301t\u00e9.jpg",
        f"3 text files have no image and are left out: {home}/c.txt (like c.v2.jpg); "
        f"{home}/img-2.txt (like IMG_2.jpg); {home}/nothing like it.txt",
    ]
    with pytest.raises(
        DataError, match=r"c\.txt: has no image.*fix: there is an image 'c\.v2\.jpg': give both the same"
    ):
        YoloDataset(yolo, on_error="error")
    collector = ErrorCollector()
    assert len(YoloDataset(yolo, on_error=collector)) == 5
    assert [os.path.basename(error.where) for error in collector.errors] == [
        "c.txt",
        "img-2.txt",
        "nothing like it.txt",
    ]


def test_links_are_followed_and_loops_are_not(yolo, write_images):
    write_images(yolo / "store" / "cam1", {"x0.jpg": (40, 60), "x1.png": (40, 60)})
    write_images(yolo / "images" / "train", {"a.jpg": (40, 60)})
    os.symlink(yolo / "store" / "cam1", yolo / "images" / "train" / "cam1")
    os.symlink(yolo / "images" / "train", yolo / "images" / "train" / "again")
    (yolo / "labels" / "train" / "cam1").mkdir()
    for name in ("a", "cam1/x0", "cam1/x1"):
        (yolo / "labels" / "train" / f"{name}.txt").write_text(ROW)
    data = YoloDataset(yolo)
    assert [(sample["image_id"], len(sample["labels"])) for sample in data] == [
        ("a.jpg", 1),
        ("x0.jpg", 1),
        ("x1.png", 1),
    ]


def test_every_text_file_is_used_or_reported(yolo, write_images):
    """Texts in a sub-folder without images, texts of a list's folder, and those of another set in one folder."""
    write_images(yolo / "images" / "train", {"a.jpg": (40, 60), "b.jpg": (40, 60)})
    write_images(yolo / "images" / "val", {"v.jpg": (40, 60)})
    for name in ("a", "gone", "night/x"):
        (yolo / "labels" / "train" / name).parent.mkdir(exist_ok=True)
        (yolo / "labels" / "train" / f"{name}.txt").write_text(ROW)
    home = f"{yolo}/labels/train"
    what = "text files have no image and are left out"
    assert YoloDataset(yolo).report.notes == [f"2 {what}: {home}/gone.txt; {home}/night/x.txt"]
    (yolo / "train.txt").write_text("images/train/b.jpg\nimages/train/a.jpg\n")
    (yolo / "data.yaml").write_text("train: train.txt\nnames: [dog]\n")
    data = YoloDataset(yolo)
    assert [sample["image_id"] for sample in data] == ["b.jpg", "a.jpg"]
    assert data.report.notes == [f"1 {what}: {home}/gone.txt"]
    for name in ("a", "gone"):
        (yolo / "labels" / "train" / f"{name}.txt").rename(yolo / "labels" / f"{name}.txt")
    (yolo / "labels" / "train" / "night" / "x.txt").unlink()
    (yolo / "labels" / "v.txt").write_text(ROW)
    (yolo / "data.yaml").write_text("train: images/train\nnames: [dog]\n")
    data = YoloDataset(yolo)
    assert [len(sample["labels"]) for sample in data] == [1, 0]
    assert data.report.notes == [f"1 {what}: {yolo}/labels/gone.txt"]


STEMS = st.sampled_from(["a", "A", "c d", "é", "e\u0301", "%20x", " x", "x.y", "x"])
FOLDERS = st.sampled_from(["", "s/", "s/t/"])
IMAGES = st.sets(st.tuples(FOLDERS, STEMS, st.sampled_from([".jpg", ".JPG", ".png", ".gif", ".doc"])), max_size=6)
TEXTS = st.sets(st.tuples(FOLDERS, STEMS, st.sampled_from([".txt", ".TXT", ".md"])), max_size=6)


@hypothesis.settings(max_examples=60, deadline=None, derandomize=True)
@hypothesis.given(images=IMAGES, texts=TEXTS, home=st.sampled_from(["labels", "images"]))
def test_files_found_are_files_used_and_files_reported(images, texts, home):
    with tempfile.TemporaryDirectory() as folder:
        for place, names in (("images", images), (home, texts)):
            for parts in names:
                file = Path(folder, place, "".join(parts))
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text("")
        Path(folder, "images").mkdir(exist_ok=True)
        layout = YoloLayout(Path(folder), {".": ["images"]}, Path(folder))
        files = find_files(layout, ".", None, "skip")
        assert sorted(files.images) == sorted(
            f"{folder}/images/{''.join(parts)}" for parts in images if parts[2] != ".doc"
        )
        used = {text for text in files.texts if text is not None}
        reported = [int(note.split()[0]) for note in files.notes if "text files have no image" in note]
        assert len(used) + sum(reported) == sum(parts[2] != ".md" for parts in texts)
        for image, text in zip(files.images, files.texts, strict=True):
            assert text is None or fold_stem(text) == fold_stem(image)


def test_listed_images_in_another_folder(tmp_path, write_images):
    """CVAT's YOLO 1.1 without images: text files stay where the lists say, images are in --image-dir."""
    export, pictures = tmp_path / "export", tmp_path / "pictures"
    for file, text in {
        "obj.data": "classes = 1\ntrain = data/train.txt\nvalid = data/valid.txt\nnames = data/obj.names\n",
        "obj.names": "dog\n",
        "train.txt": "data/obj_train_data/day 1/a.jpg\n",
        "valid.txt": "data/obj_valid_data/b.jpg\n",
        "obj_train_data/day 1/a.txt": ROW,
        "obj_valid_data/b.txt": ROW + ROW,
    }.items():
        (export / file).parent.mkdir(parents=True, exist_ok=True)
        (export / file).write_text(text)
    with pytest.raises(DataError, match=r"day 1/a\.jpg'.* is not there.*--image-dir"):
        YoloDataset(export)
    write_images(pictures / "day 1", {"a.jpg": (40, 60)})
    write_images(pictures, {"b.jpg": (40, 60)})
    train, val = (YoloDataset(export, name, image_dir=str(pictures)) for name in ("train", "valid"))
    assert [sample["image"] for sample in train] == [str(pictures / "day 1" / "a.jpg")]
    assert [sample["image"] for sample in val] == [str(pictures / "b.jpg")]
    assert train[0]["boxes"].tolist() == [[15, 10, 45, 30]]
    assert len(val[0]["labels"]) == 2
    assert not any("in no list" in note for note in [*train.report.notes, *val.report.notes])


def test_image_dir_with_a_folder_for_each_split(yolo, tmp_path, write_images):
    (yolo / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [dog]\n")
    for name in ("train", "val"):
        (yolo / "labels" / name).mkdir(exist_ok=True)
        (yolo / "labels" / name / f"{name}.txt").write_text(ROW)
        write_images(tmp_path / "pictures" / name, {f"{name}.jpg": (40, 60)})
    for name in ("train", "val"):
        data = YoloDataset(yolo, name, image_dir=str(tmp_path / "pictures"))
        assert [sample["image"] for sample in data] == [str(tmp_path / "pictures" / name / f"{name}.jpg")]
        assert len(data[0]["labels"]) == 1
