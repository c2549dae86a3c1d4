from __future__ import annotations

import hypothesis
import hypothesis.strategies as st
import pytest

from keras_retinanet.data.datasets import KITTI_CLASSES, KittiDataset, find_layouts
from keras_retinanet.data.errors import DataError


def row(name, *box):
    return f"{name} 0.00 0 -1.57 {' '.join(map(str, box))} 1.5 1.6 3.7 1.8 1.7 9.1 -1.6\n"


@pytest.fixture
def kitti(tmp_path, write_images):
    """As it unzips: a (40 x 60) with a car and a region, b (60 x 40) empty."""
    write_images(tmp_path / "training" / "image_2", {"a.png": (40, 60), "b.png": (60, 40)})
    labels = tmp_path / "training" / "label_2"
    labels.mkdir()
    (labels / "a.txt").write_text(row("Car", 1.5, 2, 20, 30.25) + row("DontCare", 30, 0, 60, 40))
    (labels / "b.txt").write_text("")
    return tmp_path


def test_dont_care_is_a_region_of_every_class(kitti):
    data = KittiDataset(kitti)
    assert data.class_names == KITTI_CLASSES
    assert [sample["image_id"] for sample in data] == ["a", "b"]
    assert data[0]["boxes"].tolist() == [[1.5, 2, 20, 30.25]] + [[30, 0, 60, 40]] * 8
    assert data[0]["labels"].tolist() == [0, *range(8)]
    assert data[0]["ignore"].tolist() == [False] + [True] * 8
    assert data[1]["boxes"].shape == (0, 4)
    assert KittiDataset.default_sets(kitti) == ("training", None)


def test_sub_folders_are_kept(kitti, write_images):
    write_images(kitti / "training" / "image_2" / "day1", {"a.png": (40, 60)})
    (kitti / "training" / "label_2" / "day1").mkdir()
    (kitti / "training" / "label_2" / "day1" / "a.txt").write_text(row("Van", 1, 2, 3, 4))
    data = KittiDataset(kitti)
    assert [sample["image_id"] for sample in data] == ["a", "b", "day1/a"]
    assert data[2]["image"] == str(kitti / "training" / "image_2" / "day1" / "a.png")
    assert data[2]["boxes"].tolist() == [[1, 2, 3, 4]]


def test_other_layouts(kitti):
    (kitti / "ImageSets").mkdir()
    (kitti / "ImageSets" / "train.txt").write_text("b\n")
    (kitti / "ImageSets" / "val.txt").write_text("a\n")
    assert KittiDataset.default_sets(kitti) == ("train", "val")
    assert [sample["image_id"] for sample in KittiDataset(kitti)] == ["b"]
    assert [sample["image_id"] for sample in KittiDataset(kitti, "val")] == ["a"]
    home = (kitti / "training").rename(kitti / "mine")
    (home / "image_2").rename(home / "images")
    (home / "label_2").rename(home / "labels")
    assert len(KittiDataset(kitti, "mine")) == 2


@pytest.mark.parametrize(
    ("images", "labels", "train"),
    [
        ("train/image_2", "train/label_2", "train"),
        ("default/image_2", "default/label_2", "default"),
        ("images", "labels", "."),
        ("data", "labels", "."),
        ("images/train", "labels/train", "train"),
    ],
    ids=["Datumaro 1.13.12", "Datumaro's default", "labelformat 0.1.17", "FiftyOne 1.22.1", "sets in both folders"],
)
def test_the_folders_of_tools(tmp_path, write_images, images, labels, train):
    write_images(tmp_path / images, {"a.PNG": (40, 60)})
    write_images(tmp_path / images / "sub", {"e.jpg": (40, 60)})  # without a text file
    (tmp_path / labels / "sub").mkdir(parents=True)
    (tmp_path / labels / "a.txt").write_text("traffic light -1 -1 -10 1.5 2 20 30.25 -1 -1 -1 -1000 -1000 -1000 -10\n")
    (layout,) = find_layouts(tmp_path)
    assert (layout.format, layout.certainty, layout.evidence) == ("kitti", 3, f"{labels}/a.txt")
    data = KittiDataset(tmp_path)
    assert data.set_name == train
    assert data.class_names == ("traffic light",)
    assert [len(sample["labels"]) for sample in data] == [1, 0]
    assert data[0]["boxes"].tolist() == [[1.5, 2, 20, 30.25]]
    assert data.report.notes == [f"{tmp_path / images}: 1 images have no text file and are background (sub/e.jpg)"]


def test_all_sets_have_the_same_classes(tmp_path, write_images):
    for name, word in (("train", "Bike"), ("val", "Anchor")):
        write_images(tmp_path / name / "images", {"a.png": (40, 60)})
        (tmp_path / name / "labels").mkdir()
        (tmp_path / name / "labels" / "a.txt").write_text(row(word, 1, 2, 3, 4))
    assert KittiDataset.default_sets(tmp_path) == ("train", "val")
    assert KittiDataset(tmp_path).class_names == ("Anchor", "Bike")
    assert KittiDataset(tmp_path, "val")[0]["labels"].tolist() == [0]


def test_other_classes_are_sorted(kitti):
    (kitti / "training" / "label_2" / "b.txt").write_text(row("Bike", 1, 1, 5, 5) + row("dontcare", 0, 0, 9, 9))
    data = KittiDataset(kitti)
    assert data.class_names == ("Bike", "Car")
    assert data[1]["labels"].tolist() == [0, 0, 1]
    assert KittiDataset(kitti, class_names=("Car", "x", "Bike"))[1]["labels"].tolist() == [2, 0, 1, 2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Car 0 0 0 1 2 3 4\n", r"a\.txt, line 1: 8 columns"),
        (row("Car", 1, 2, 3, 4) + row("Car", 1, "x", 3, 4), r"a\.txt, line 2: y1 is 'x'"),
        (row("Car", 1, 2, "inf", 4), r"a\.txt, line 1: coordinates"),
        (b"\xff\xff", r"a\.txt: is not UTF-8 text"),
    ],
)
def test_broken_lines_are_named(kitti, text, message):
    (kitti / "training" / "label_2" / "a.txt").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError, match=message + ".*fix: "):
        KittiDataset(kitti, on_error="error")


def test_one_broken_line_is_left_out_and_named(kitti):
    (kitti / "training" / "label_2" / "a.txt").write_text(row("Car", 1, 2, 3, 4) + row("Car", 1, "x", 3, 4))
    data = KittiDataset(kitti)
    assert data[0]["boxes"].tolist() == [[1, 2, 3, 4]]
    assert data.report.notes == [
        f"1 annotations left out: {kitti / 'training' / 'label_2' / 'a.txt'}, line 2: y1 is 'x'"
    ]
    (kitti / "training" / "label_2" / "a.txt").write_text(row("Car", 1, "x", 3, 4))
    with pytest.raises(DataError, match=r"a\.txt, line 1: y1 is 'x'"):  # nothing remains
        KittiDataset(kitti)


def test_missing_parts_are_named(kitti):
    with pytest.raises(DataError, match=r"has no images and labels of the set 'testing'.*there is: 'training'"):
        KittiDataset(kitti, "testing")
    with pytest.raises(DataError, match=r"fix: give the path of the folder above it"):
        KittiDataset(kitti / "training" / "image_2", "training")
    labels = kitti / "training" / "label_2"
    (labels / "c.txt").write_text("")
    with pytest.raises(DataError, match=r"c\.txt: has no image"):
        KittiDataset(kitti, on_error="error")
    (labels / "b.txt").unlink()
    data = KittiDataset(kitti)
    assert [len(sample["labels"]) for sample in data] == [9, 0]
    assert data.report.notes == [
        f"1 files left out: {labels}/c.txt: has no image",
        f"{kitti}/training/image_2: 1 images have no text file and are background (b.png)",
    ]
    (kitti / "ImageSets").mkdir()
    for text, message in (
        ("a\na\n", "line 2: 'a' is listed twice"),
        ("a\nz\n", "line 2: image 'z' is not there"),
        ("A\n", r"line 1: image 'A' is not there.*there is '.*image_2/a\.[a-z]+'"),
    ):
        (kitti / "ImageSets" / "train.txt").write_text(text)
        with pytest.raises(DataError, match=message):
            KittiDataset(kitti, on_error="error")


FUZZ = hypothesis.settings(
    max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(hypothesis.HealthCheck)
)
WORD = st.sampled_from(["Car", "DontCare", "0", "5", "9.5", "-1", "nan", "1e999", "x", "\0", "é", "\n"])


@FUZZ
@hypothesis.given(words=st.lists(WORD, min_size=13, max_size=18), noise=st.binary(max_size=12))
def test_fuzzed_files_never_give_another_error(kitti, words, noise):
    for text in (" ".join(words).encode(), noise, row("Car", *words[:4]).encode()):
        (kitti / "training" / "label_2" / "a.txt").write_bytes(text)
        try:
            data = KittiDataset(kitti)
        except DataError:
            continue
        assert all((sample["labels"] < len(data.class_names)).all() for sample in data)
