"""Folders of CSV files: which file is which split, and where the images are."""

from __future__ import annotations

import os

import pytest

from keras_retinanet.data.datasets import CsvDataset, OpenImagesDataset
from keras_retinanet.data.errors import DataError

SIZES = {"a.jpg": (40, 60), "b.jpg": (60, 40)}
HEADER = "filename,width,height,class,xmin,ymin,xmax,ymax\n"
BOXES = HEADER + "a.jpg,60,40,dog,1,2,31,20\nb.jpg,40,60,cat,0,0,40,60\n"


@pytest.fixture
def home(tmp_path, write_images):
    """Writes text files, or images a and b into folders, below `tmp_path`."""

    def build(files, folders):
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text, encoding="utf-8")
        for folder in folders:
            write_images(tmp_path / folder, SIZES)
        return tmp_path

    return build


@pytest.mark.parametrize(
    ("files", "folders", "train", "val"),
    [
        (["train/_annotations.csv", "valid/_annotations.csv", "test/_annotations.csv"], ["train", "valid"], 0, 1),
        (["train.csv", "val.csv"], ["."], 0, 1),
        (["train.csv", "test.csv"], ["train", "test"], 0, None),
        (["annotations/annotations_train.csv", "annotations/annotations_val.csv"], ["images"], 0, 1),
        (["competition_train.csv", "competition_val.csv"], ["images"], 0, 1),
        (["data/train_labels.csv", "data/validation_labels.csv"], ["images/train", "images/validation"], 0, 1),
        (["boxes.csv"], ["."], 0, None),
        (["labels.csv"], ["pictures/day 1"], 0, None),
        (["exports/any name.csv"], ["images"], 0, None),
    ],
)
def test_splits_by_the_names_of_files_and_folders(home, files, folders, train, val):
    folder = home(dict.fromkeys(files, BOXES), folders)
    layout = CsvDataset.find_layout(folder)
    wanted = {"annotations": str(folder / files[train])}
    assert layout.settings == (wanted if val is None else wanted | {"val_annotations": str(folder / files[val])})
    assert layout.certainty == 2
    assert layout.tool == ("Roboflow" if "_annotations.csv" in files[0] else "TensorFlow Object Detection")
    for file in layout.settings.values():
        data = CsvDataset(file)
        assert [sample["boxes"].tolist() for sample in data] == [[[1, 2, 31, 20]], [[0, 0, 40, 60]]]
    assert [sample["image_id"] for sample in CsvDataset(folder)] == ["a.jpg", "b.jpg"]


def test_a_file_of_classes_next_to_the_boxes(home):
    folder = home({"train.csv": BOXES, "classes.csv": "dog,0\ncat,1\n"}, ["."])
    layout = CsvDataset.find_layout(folder)
    assert layout.settings == {"annotations": f"{folder}/train.csv", "classes": f"{folder}/classes.csv"}
    assert CsvDataset(**layout.settings).class_names == ("dog", "cat")


def test_several_files_without_a_split_are_listed(home):
    folder = home({"one.csv": BOXES, "two.csv": BOXES}, ["."])
    assert CsvDataset.find_layout(folder) is None
    with pytest.raises(
        DataError, match=r"has 2 CSV files of boxes: one\.csv, two\.csv.*fix: give one of them, such as"
    ):
        CsvDataset(folder)
    with pytest.raises(DataError, match="has no CSV file of boxes"):
        CsvDataset(home({"other/x.txt": ""}, []) / "other")


def test_open_images_stays_with_its_own_reader(home):
    boxes = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsGroupOf\na,x,/m/1,1,0,1,0,1,0\n"
    folder = home({"train-annotations-bbox.csv": boxes, "class-descriptions-boxable.csv": "/m/1,Dog\n"}, ["train"])
    assert CsvDataset.find_layout(folder) is None
    assert OpenImagesDataset.find_layout(folder) is not None


@pytest.mark.parametrize(
    "prefix",
    [
        "C:\\\\Users\\\\é\\\\",
        "/content/drive/My Drive/",
        "gs://bucket/folder/",
        "https://host/a%20b/",
        "images/",
        "../x/",
    ],
)
def test_paths_of_another_machine(home, prefix):
    prefix = prefix.replace("\\\\", "\\")
    folder = home({"boxes.csv": f"{prefix}a.jpg,1,2,31,20,dog\n{prefix}b.jpg,0,0,40,60,cat\n"}, ["pictures"])
    data = CsvDataset(folder / "boxes.csv")
    assert [sample["image"] for sample in data] == [f"{folder}/pictures/a.jpg", f"{folder}/pictures/b.jpg"]
    (note,) = [note for note in data.report.notes if "lead elsewhere" in note]
    assert f"2 image paths lead elsewhere, such as {prefix + 'a.jpg'!a}" in note


def test_subfolders_and_names_that_are_not_ascii(home, write_images):
    folder = home({"boxes.csv": "día 1/ñandú.jpg,1,2,3,4,ñ\ndía 2/ñandú.jpg,5,6,7,8,ñ\n"}, [])
    for day in ("día 1", "día 2"):
        write_images(folder / day, {"ñandú.jpg": (30, 30)})
    data = CsvDataset(folder)
    assert [sample["image"] for sample in data] == [f"{folder}/día {day}/ñandú.jpg" for day in (1, 2)]
    assert [sample["boxes"].tolist() for sample in data] == [[[1, 2, 3, 4]], [[5, 6, 7, 8]]]
    assert data.class_names == ("ñ",)


def test_two_names_never_become_one_file(home):
    folder = home({"boxes.csv": "x/a.jpg,1,2,3,4,dog\ny/a.jpg,5,6,7,8,dog\n"}, ["images"])
    with pytest.raises(DataError, match=r"2 image paths lead to .* share their base names \('a\.jpg'\)"):
        CsvDataset(folder / "boxes.csv")


def test_the_folder_of_the_images_may_be_given(home, tmp_path_factory, write_images):
    other = tmp_path_factory.mktemp("other")
    write_images(other, SIZES)
    data = CsvDataset(home({"boxes.csv": BOXES}, []) / "boxes.csv", image_dir=str(other))
    assert [sample["image"] for sample in data] == [f"{other}/a.jpg", f"{other}/b.jpg"]


def test_images_that_no_file_names_are_counted(home, write_images):
    folder = home({"train.csv": BOXES, "val.csv": "c.jpg,1,2,3,4,dog\n"}, ["."])
    write_images(folder, dict.fromkeys(("c.jpg", "d.JPG", "é.png"), (9, 9)))
    (note,) = [note for note in CsvDataset(folder / "train.csv").report.notes if "not name" in note]
    assert note == f"{folder} has 2 image files that the annotations do not name: d.JPG, é.png"


def test_recognition_never_fails(tmp_path):
    for name, content in (("a.csv", b"\xff\xfe\0"), ("b.csv", b'"' * 99), ("c.csv", b"")):
        (tmp_path / name).write_bytes(content)
        assert CsvDataset.find_layout(tmp_path / name) is None
    assert CsvDataset.find_layout(tmp_path / "gone.csv") is None
    assert CsvDataset.find_layout("a\0b.csv") is None
    if os.getuid():
        (tmp_path / "a.csv").chmod(0)
        assert CsvDataset.find_layout(tmp_path) is None


def test_the_file_of_a_test_set_is_named(home):
    """As the Object Detection API's tutorials name them: `test` is no validation set."""
    folder = home({"train_labels.csv": BOXES, "test_labels.csv": BOXES}, ["."])
    notes = "\n".join(CsvDataset(folder / "train_labels.csv").report.notes)
    assert (
        f"{folder}: 1 files of a test set are not read: --val-annotations FILE evaluates on one (test_labels.csv)"
        in notes
    )
