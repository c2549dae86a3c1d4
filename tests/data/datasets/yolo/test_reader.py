from __future__ import annotations

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from keras_retinanet.data.datasets import YoloDataset
from keras_retinanet.data.errors import DataError

YAML = "path: .\ntrain: images/train\nval: images/val\nnames: {0: dog, 1: cat}\n"


@pytest.fixture
def yolo(tmp_path, write_images):
    """a (40 x 60) has a box and a triangle, c (30 x 30) an empty file; b (60 x 40), alone in val, one box."""
    write_images(tmp_path / "images" / "train", {"a.jpg": (40, 60), "c.jpg": (30, 30)})
    write_images(tmp_path / "images" / "val", {"b.jpg": (60, 40)})
    for name, text in (
        ("train/a", "1 0.5 0.5 0.5 0.25\n\n0 0.1 0.1 0.5 0.2 0.3 0.9\n"),
        ("train/c", ""),
        ("val/b", "0 0.25 0.5 0.5 1\n"),
    ):
        file = tmp_path / "labels" / f"{name}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (tmp_path / "data.yaml").write_text(YAML)
    return tmp_path


def test_reads_boxes_polygons_and_images_without(yolo):
    data = YoloDataset(yolo)
    assert data.class_names == ("dog", "cat")
    assert data.category_ids == (0, 1)
    assert [sample["image_id"] for sample in data] == ["a.jpg", "c.jpg"]
    # (0.5 ± 0.25) · 60, (0.5 ± 0.125) · 40; the triangle reaches from (0.1, 0.1) to (0.5, 0.9)
    np.testing.assert_allclose(data[0]["boxes"], [[15, 15, 45, 25], [6, 4, 30, 36]], rtol=1e-6)
    assert data[0]["labels"].tolist() == [1, 0]
    assert data[1]["boxes"].shape == (0, 4)
    assert not data[0]["ignore"].any()
    assert YoloDataset.default_sets(yolo) == ("train", "val")
    assert YoloDataset(yolo / "data.yaml", "val")[0]["boxes"].tolist() == [[0, 0, 20, 60]]


def test_wanted_class_names_give_the_labels(yolo):
    assert YoloDataset(yolo, class_names=("cat", "emu", "dog"))[0]["labels"].tolist() == [0, 2]
    with pytest.raises(DataError, match=r"a\.txt, line 3: unknown class 'dog'"):
        YoloDataset(yolo, class_names=("cat",))


@pytest.mark.parametrize(
    "train",
    ["../images/train", "[images/train]", "train.txt", "[train.txt]", "images\\train"],
    ids=["as Roboflow writes it", "list of folders", "list of images", "list of lists", "as Windows writes it"],
)
def test_where_images_are_said_to_be(yolo, train):
    (yolo / "train.txt").write_text("./images/train/a.jpg\n\nimages\\train\\c.jpg\n")
    (yolo / "data.yaml").write_text(f"train: {train}\nnames: [dog, cat]\n")
    data = YoloDataset(yolo)
    assert [sample["image_id"] for sample in data] == ["a.jpg", "c.jpg"]
    assert data[0]["labels"].tolist() == [1, 0]
    assert YoloDataset.default_sets(yolo) == ("train", None)


def test_the_last_folder_named_images_has_the_labels(tmp_path, write_images):
    write_images(tmp_path / "images" / "set" / "images", {"a.jpg": (40, 60)})
    (tmp_path / "images" / "set" / "labels").mkdir()
    (tmp_path / "images" / "set" / "labels" / "a.txt").write_text("1 0.5 0.5 0.5 0.5\n")
    (tmp_path / "data.yaml").write_text("train: images/set/images\nnames: [dog, cat]\n")
    (sample,) = YoloDataset(tmp_path)
    assert sample["boxes"].tolist() == [[15, 10, 45, 30]]
    assert sample["labels"].tolist() == [1]


def test_text_files_may_stand_beside_the_images(tmp_path, write_images):
    write_images(tmp_path / "train", {"a.jpg": (40, 60), "b.jpg": (60, 40)})
    (tmp_path / "train" / "a.txt").write_text("0 0.5 0.5 1 1\n")
    (tmp_path / "coins.yaml").write_text("train: train\nnames: [coin]\n")
    data = YoloDataset(tmp_path)
    assert data[0]["boxes"].tolist() == [[0, 0, 60, 40]]
    assert len(data[1]["labels"]) == 0  # no file: nothing to see


def test_relative_paths(yolo, monkeypatch):
    monkeypatch.chdir(yolo)
    assert YoloDataset(".")[0]["labels"].tolist() == [1, 0]
    assert YoloDataset("data.yaml")[0]["image"] == "images/train/a.jpg"


def test_boxes_that_stand_out_are_clipped_or_refused(yolo):
    (yolo / "labels" / "train" / "a.txt").write_text("0 0.9 0.5 0.4 0.5\n1 0.5 0.5 0 0.1\n")
    data = YoloDataset(yolo)
    np.testing.assert_allclose(data[0]["boxes"], [[42, 10, 60, 30]], rtol=1e-6)
    assert (data.report.num_clipped, data.report.num_dropped) == (1, 1)
    assert "a.txt, line 2 [30., 18., 30., 22.] left out" in data.report.warning()
    message = r"a\.txt, line 1: box .* extends beyond its image. allowed: .* 60 × 40 pixels. fix: .*--bad-data skip"
    with pytest.raises(DataError, match=message):
        YoloDataset(yolo, on_error="error")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 0.1 0.1 0.1", "line 1: 4 numbers in '0 0.1 0.1 0.1'. allowed: 'class x_center"),
        ("0 0.1 0.1 0.1 0.1 1.9", "line 1: 6 numbers in '0 0.1 0.1 0.1 0.1 1.9'.*fix: remove the last number"),
        ("0 0.1 0.1 0.1 0.1 0.1 0.1 0.1", "line 1: 8 numbers"),
        ("2 0.1 0.1 0.1 0.1", "line 1: unknown class '2'. allowed: ids of 'names': '0, 1'"),
        ("0.5 0.1 0.1 0.1 0.1", "line 1: unknown class '0.5'"),
        ("dog 0.1 0.1 0.1 0.1", "line 1: a number is 'dog'"),
        ("0 32 20 10 10", "line 1: coordinates '32 20 10 10'.*fix: divide x by the image's width"),
        ("0 nan 0.5 0.1 0.1", "line 1: coordinates 'nan"),
    ],
)
def test_broken_lines_are_named(yolo, line, message):
    (yolo / "labels" / "train" / "a.txt").write_text(f"{line}\n0 0.5 0.5 1 1\n")
    with pytest.raises(DataError, match=rf"a\.txt, {message}") as caught:
        YoloDataset(yolo, on_error="error")
    assert caught.value.fix
    data = YoloDataset(yolo)  # by default the line is left out
    assert data[0]["boxes"].tolist() == [[0, 0, 60, 40]]
    (note,) = data.report.notes
    assert note.startswith(f"1 annotations left out: {yolo}/labels/train/a.txt, line 1: ")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is None. allowed: data.yaml with 'names'"),
        ("names: [", "is not YAML"),
        ("- a", r"is \['a'\]"),
        ("train: images/train\nnames:", "'names' is None"),
        ("train: images/train\nnames: dog", "'names' is 'dog'"),
        ("train: images/train\nnames: {a: dog}", "'names' has 'a': 'dog'"),
        ("names: [dog, cat]\nval: images/val\ntest: images/train", "has no set 'train'"),
        ("train: images/train\nnames: [dog, cat]\nkpt_shape: 17", r"'kpt_shape' is 17. allowed: \[number"),
        ("train: 7\nnames: [dog, cat]", "'train' is 7"),
        ("train: images/no\nnames: [dog, cat]", "'images/no' is not there. allowed: a folder or file at"),
        ("path: 3\ntrain: images/train\nnames: [dog, cat]", "'path' is 3"),
        ("train: labels\nnames: [dog, cat]", "has no image"),
    ],
)
def test_broken_yaml_is_named(yolo, content, message):
    (yolo / "data.yaml").write_text(content)
    with pytest.raises(DataError, match=rf"data\.yaml.*{message}.*fix: "):
        YoloDataset(yolo)


def test_missing_files_are_named(yolo):
    (yolo / "train.txt").write_text("images/train/a.jpg\nimages/train/gone.jpg\n")
    (yolo / "data.yaml").write_text("train: train.txt\nnames: [dog, cat]\n")
    with pytest.raises(DataError, match=r"gone\.jpg' \(number 2 of 2\) is not there"):
        YoloDataset(yolo, on_error="error")
    assert len(YoloDataset(yolo)) == 1
    (yolo / "one.yaml").write_text("names: [dog]")
    (yolo / "two.yaml").write_text("names: [cat]")
    (yolo / "data.yaml").unlink()
    with pytest.raises(
        DataError, match=r"has 2 YAML files: one\.yaml, two\.yaml.*fix: give the path of the file itself"
    ):
        YoloDataset(yolo)
    with pytest.raises(DataError, match=r"none\.yaml: cannot be read"):
        YoloDataset(yolo / "none.yaml")


def test_a_text_file_whose_name_differs_in_case_is_not_overlooked(yolo):
    (yolo / "labels" / "train" / "c.txt").unlink()
    (yolo / "labels" / "train" / "a.txt").rename(yolo / "labels" / "train" / "A.TXT")
    data = YoloDataset(yolo)
    assert [len(sample["labels"]) for sample in data] == [2, 0]
    what = "text files are spelled otherwise than their images, and are used"
    assert data.report.notes[0] == f"1 {what}: {yolo}/labels/train/A.TXT for a.jpg"
    (yolo / "images" / "train" / "c.jpg").rename(yolo / "images" / "train" / "A.jpg")  # so that both are images
    assert [len(sample["labels"]) for sample in YoloDataset(yolo)] == [2, 0]


def test_odd_lists_of_classes_are_reported(yolo):
    (yolo / "data.yaml").write_text("train: images/train\nnames: [dog, dog]\nnc: 3")
    data = YoloDataset(yolo)
    assert (data.class_names, data[0]["labels"].tolist()) == (("dog",), [0, 0])
    assert data.report.notes[:2] == [
        f"{yolo}/data.yaml: classes 0 and 1 are both called 'dog' and are one class",
        f"{yolo}/data.yaml: 'nc' is 3, but there are 2 names, which are used",
    ]
    (yolo / "data.yaml").write_text("train: [images/train, images/train]\n")
    data = YoloDataset(yolo)
    assert (len(data), data.class_names, data[0]["labels"].tolist()) == (2, ("0", "1"), [1, 0])
    assert data.report.notes[0] == f"{yolo}/data.yaml: 2 images of 'train' are named twice: used once"
    assert "no list of class names" in data.report.notes[1]


def test_names_counted_from_1(yolo):
    """pylabel and SAHI keep COCO's ids, 1 … K, next to a list of K names; all sets decide together."""
    (yolo / "labels" / "train" / "a.txt").write_text("1 0.5 0.5 0.5 0.25\n")
    (yolo / "labels" / "val" / "b.txt").write_text("2 0.5 0.5 0.5 0.25\n")
    (yolo / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [dog, cat]\n")
    for name, label in (("train", 0), ("val", 1)):
        data = YoloDataset(yolo, name)
        assert data[0]["labels"].tolist() == [label]
        assert data.report.notes == [
            f"{yolo}/data.yaml: rows have classes 1 to 2, none has 0: the list of names is counted from 1"
        ]
    (yolo / "labels" / "val" / "b.txt").write_text("0 0.5 0.5 0.5 0.25\n")
    assert YoloDataset(yolo)[0]["labels"].tolist() == [1]
    (yolo / "data.yaml").write_text("train: images/train\nval: images/val\nnames: {1: dog, 2: cat}\n")  # labelformat
    assert YoloDataset(yolo)[0]["labels"].tolist() == [0]


def test_labels_in_the_wrong_place_are_no_data_set_without_boxes(yolo):
    (yolo / "labels").rename(yolo / "boxes")
    with pytest.raises(DataError, match=r"a\.txt: is not there, nor is that of any other image.*folder 'labels'"):
        YoloDataset(yolo)


FUZZ = hypothesis.settings(
    max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(hypothesis.HealthCheck)
)
WORD = st.sampled_from(["0", "1", "0.5", "-1", "nan", "1e999", "x", "\0", "é", "\n", "9" * 400])
PIECE = st.sampled_from(
    ["train: ", "names: ", "path: ", "images/train", "[", "]", "{", "0: ", "dog", "\n", ": ", "- ", "~", "2020-01-01",
     "!!python/name:x", "&a ", "*a", "\t", "'", "\x07", "1e400", "? ", "../", "a\\0b", '"\\0"']
)  # fmt: skip


@FUZZ
@hypothesis.given(words=st.lists(WORD, max_size=9), pieces=st.lists(PIECE, max_size=9), noise=st.binary(max_size=12))
def test_fuzzed_files_never_give_another_error(yolo, words, pieces, noise):
    for label, content in (
        (" ".join(words).encode(), YAML.encode()),
        (noise, YAML.encode()),
        (b"", "".join(pieces).encode()),
        (b"", YAML.encode() + "".join(pieces).encode()),
        (b"", noise),
    ):
        (yolo / "labels" / "train" / "a.txt").write_bytes(label)
        (yolo / "data.yaml").write_bytes(content)
        try:
            data = YoloDataset(yolo)
        except DataError:
            continue
        assert all((sample["labels"] < len(data.class_names)).all() for sample in data)
