"""The folders and files of YOLO as tools write them; named with the version that was run where it was."""

from __future__ import annotations

import numpy as np
import pytest

from keras_retinanet.data.datasets import DATASETS, YoloDataset, find_layouts
from keras_retinanet.data.errors import DataError
from keras_retinanet.data.recognition import recognise

ROW = "1 0.5 0.5 0.5 0.25\n"  # of an image of 40 x 60: 15 15 45 25
NOTES = '{"categories": [{"id": 0, "name": "dog"}, {"id": 1, "name": "cat"}], "info": {"contributor": "Label Studio"}}'


def put(folder, files, write_images):
    """Write texts; names that end in `.jpg` are images of 40 x 60."""
    for name, text in files.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if name.lower().endswith((".jpg", ".png")):
            write_images(place.parent, {place.name: (40, 60)})
        else:
            place.write_text(text, encoding="utf-8")


LAYOUTS = {
    "supervision 0.31.2: a YAML file without sets": (
        {
            "data.yaml": "nc: 2\nnames: [dog, cat]\n",
            "images/a.jpg": "",
            "images/e.jpg": "",
            "labels/a.txt": ROW,
            "labels/e.txt": "",
        },
        "",
    ),
    "labelformat 0.1.17": (
        {
            "data.yaml": "names:\n  0: dog\n  1: cat\nnc: 2\npath: .\ntrain: images\n",
            "images/a.jpg": "",
            "images/sub/e.jpg": "",
            "labels/a.txt": ROW,
        },
        "",
    ),
    "SAHI 0.12.8: folders of another machine, val is empty": (
        {
            "data.yml": "names: [dog, cat]\nnc: 2\ntrain: /home/me/out/train\nval: ''\n",
            "train/a.jpg": "",
            "train/a.txt": ROW,
            "train/e.jpg": "",
        },
        "",
    ),
    "FiftyOne 1.22.1": (
        {
            "dataset.yaml": "names:\n  0: dog\n  1: cat\npath: /home/me/export\nval: ./images/val/\n",
            "images/val/a.jpg": "",
            "images/val/e.jpg": "",
            "labels/val/a.txt": ROW,
        },
        "",
    ),
    "Roboflow": (
        {
            "data.yaml": "train: ../train/images\nval: ../valid/images\n\nnames: ['dog', 'cat']\n\nroboflow:\n  v: 1\n",
            "train/images/a.jpg": "",
            "train/images/e.jpg": "",
            "train/labels/a.txt": ROW,
            "valid/images/b.jpg": "",
        },
        "Roboflow",
    ),
    "Roboflow's darknet": (
        {
            "train/_darknet.labels": "dog\ncat\n",
            "train/a.jpg": "",
            "train/a.txt": ROW,
            "train/e.jpg": "",
            "valid/_darknet.labels": "dog\ncat\n",
            "valid/b.jpg": "",
        },
        "Roboflow",
    ),
    "Label Studio 2.1.2": (
        {
            "classes.txt": "dog\ncat",
            "notes.json": NOTES,
            "images/a.jpg": "",
            "images/e.jpg": "",
            "labels/a.txt": ROW,
            "labels/e.txt": "",
        },
        "Label Studio",
    ),
    "labelImg 1.8.6: one folder": ({"classes.txt": "dog\ncat\n", "a.jpg": "", "a.txt": ROW, "e.jpg": ""}, ""),
    "classes next to the texts": (
        {"labels/classes.txt": "dog\ncat\n", "images/a.jpg": "", "labels/a.txt": ROW, "images/e.jpg": ""},
        "",
    ),
    "Datumaro 1.13.12 yolo, CVAT's YOLO 1.1": (
        {
            "obj.data": "classes = 2\ntrain = data/train.txt\nnames = data/obj.names\nbackup = backup/\n",
            "obj.names": "dog\ncat\n",
            "train.txt": "data/obj_train_data/a.jpg\ndata/obj_train_data/sub/e.jpg\n",
            "obj_train_data/a.jpg": "",
            "obj_train_data/a.txt": ROW,
            "obj_train_data/sub/e.jpg": "",
            "obj_train_data/sub/e.txt": "",
        },
        "CVAT or Datumaro",
    ),
    "CVAT's Ultralytics YOLO": (
        {
            "data.yaml": "names:\n  0: dog\n  1: cat\npath: .\ntrain: train.txt\n",
            "train.txt": "data/images/train/a.jpg\ndata/images/train/e.jpg\n",
            "images/train/a.jpg": "",
            "images/train/e.jpg": "",
            "labels/train/a.txt": ROW,
        },
        "",
    ),
    "Ultralytics without YAML, upper case": (
        {
            "classes.txt": "dog\ncat\n",
            "images/train/a.JPG": "",
            "images/train/e.JPG": "",
            "images/val/b.JPG": "",
            "labels/train/a.TXT": ROW,
            "labels/train/e.txt": "",
            "labels/val/b.txt": ROW,
        },
        "",
    ),
    "one folder of texts for all sets": (
        {
            "classes.txt": "dog\ncat\n",
            "images/train/a.jpg": "",
            "images/train/e.jpg": "",
            "images/val/b.jpg": "",
            "labels/a.txt": ROW,
            "labels/b.txt": ROW,
        },
        "",
    ),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_opens_as_it_is_written(name, tmp_path, write_images):
    files, tool = LAYOUTS[name]
    put(tmp_path, files, write_images)
    (layout,) = [layout for layout in find_layouts(tmp_path) if layout.certainty > 1]
    assert (layout.format, layout.certainty, layout.tool) == ("yolo", 3, tool)
    data = YoloDataset(tmp_path)
    assert data.class_names == ("dog", "cat")
    assert [str(sample["image_id"]).lower() for sample in data] == ["a.jpg", "e.jpg"]
    np.testing.assert_allclose(data[0]["boxes"], [[15, 15, 45, 25]], rtol=1e-6)
    assert data[0]["labels"].tolist() == [1]
    assert len(data[1]["labels"]) == 0
    assert not [note for note in data.report.notes if "left out" in note]
    has_val = any(part.startswith(("valid/", "images/val/b", "images/val/b")) for part in files)
    assert (YoloDataset.default_sets(tmp_path)[1] is not None) == has_val


def test_the_usual_names_of_a_split_are_one(tmp_path, write_images):
    put(tmp_path, LAYOUTS["Roboflow's darknet"][0], write_images)
    (tmp_path / "valid" / "b.txt").write_text(ROW)
    assert YoloDataset.default_sets(tmp_path) == ("train", "valid")
    assert YoloDataset(tmp_path, "val")[0]["image_id"] == "b.jpg"
    with pytest.raises(DataError, match=r"has no set 'test'.*sets there: train, valid"):
        YoloDataset(tmp_path, "test")


def test_paths_of_another_machine_are_reported(tmp_path, write_images):
    put(tmp_path, LAYOUTS["SAHI 0.12.8: folders of another machine, val is empty"][0], write_images)
    assert YoloDataset.default_sets(tmp_path) == ("train", None)
    assert YoloDataset(tmp_path).report.notes == [
        f"{tmp_path}/data.yml: '/home/me/out/train' is not there: {tmp_path}/train is used"
    ]
    (tmp_path / "all.txt").write_text("C:\\data\\train\\a.jpg\nC:\\data\\train\\a.jpg\n")
    (tmp_path / "data.yml").write_text("names: [dog, cat]\ntrain: all.txt\n")
    data = YoloDataset(tmp_path)
    assert [sample["image"] for sample in data] == [f"{tmp_path}/train/a.jpg"]
    assert data.report.notes == [
        f"{tmp_path}/all.txt: 'C:/data/train' is not there: {tmp_path}/train is used",
        f"{tmp_path}/all.txt: 1 lines repeat an image, which is used once",
        f"{tmp_path}/data.yml: 1 images are in no list and are left out: {tmp_path}/train/e.jpg …",
    ]


def test_a_file_of_the_data_set_is_a_path_too(tmp_path, write_images):
    put(tmp_path, LAYOUTS["Datumaro 1.13.12 yolo, CVAT's YOLO 1.1"][0], write_images)
    for name, certainty in (("obj.data", 3), ("train.txt", 2)):
        (layout,) = find_layouts(tmp_path / name)
        assert (layout.format, layout.certainty) == ("yolo", certainty)
        assert YoloDataset(tmp_path / name).class_names == ("dog", "cat")
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text(ROW)
    data = YoloDataset(tmp_path / "texts", image_dir=str(tmp_path / "obj_train_data"))
    assert [len(sample["labels"]) for sample in data] == [1, 0]
    assert data.class_names == ("1",)


def test_images_outside_of_the_sets_are_reported(tmp_path, write_images):
    put(tmp_path, LAYOUTS["Ultralytics without YAML, upper case"][0], write_images)
    put(tmp_path, {"images/stray.jpg": "", "images/more/x.jpg": ""}, write_images)
    assert YoloDataset(tmp_path).report.notes[:2] == [
        f"{tmp_path}/images: 1 images outside of train, val are left out: stray.jpg …",
        f"{tmp_path}/images: folders with images that are not sets are left out: more",
    ]


def test_lists_of_classes_that_differ(tmp_path, write_images):
    put(tmp_path, {"images/a.jpg": "", "labels/a.txt": ROW, "classes.txt": "dog\n"}, write_images)
    put(tmp_path, {"labels/classes.txt": "dog\ncat\n"}, write_images)  # labelImg appends to one of the two
    assert YoloDataset(tmp_path).class_names == ("dog", "cat")
    put(tmp_path, {"labels/classes.txt": "cow\ncat\n", "classes.txt": "dog\ncat\n"}, write_images)
    data = YoloDataset(tmp_path)
    assert data.class_names == ("dog", "cat")
    assert data.report.notes == [
        f"{tmp_path}/classes.txt lists the classes; {tmp_path}/labels/classes.txt differs from it and is not used"
    ]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("labels/a.txt", "Car 0.00 0 -1.57 1 2 3 4 1.5 1.6 3.7 1.8 1.7 9.1 -1.6\n"),
        ("labels/a.txt", "0 32 20 10 10\n"),
        ("labelTxt/a.txt", "10.0 20.0 30.0 20.0 30.0 40.0 10.0 40.0 plane 0\n"),
        ("a.txt", "1,2,3,4,0,0,0,0\n"),
        ("config.yaml", "lr: 0.1\nnames: []\n"),
        ("readme.txt", "0 days\n"),
        ("a.yaml", "!!python/name:x"),
    ],
)
def test_other_formats_are_not_taken_for_it(name, text, tmp_path, write_images):
    put(tmp_path, {"images/a.jpg": "", name: text}, write_images)
    assert DATASETS["yolo"].find_layout(tmp_path) is None
    assert DATASETS["yolo"].find_layout(tmp_path / name) is None


@pytest.mark.parametrize("name", ["Roboflow", "Label Studio 2.1.2", "labelImg 1.8.6: one folder"])
def test_the_folder_above_is_another_one(name, tmp_path, write_images):
    put(tmp_path / "export", LAYOUTS[name][0], write_images)
    assert DATASETS["yolo"].find_layout(tmp_path) is None
    assert recognise(tmp_path, "retinanet-train").path == tmp_path / "export"


def test_a_folder_without_images_says_what_is_there(tmp_path, write_images):
    (tmp_path / "none").mkdir()
    with pytest.raises(
        DataError, match=r"has neither images nor text files\. allowed: data\.yaml, obj\.data, or images"
    ):
        YoloDataset(tmp_path / "none")
    put(tmp_path, {"none/a.txt": ROW}, write_images)
    with pytest.raises(DataError, match=r"has no image\. .*fix: .*--image-dir"):
        YoloDataset(tmp_path / "none")
    assert DATASETS["yolo"].find_layout(tmp_path / "gone") is None
