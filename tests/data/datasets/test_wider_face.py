"""WIDER FACE as its archives unzip, and as Datumaro 1.13 writes it."""

from __future__ import annotations

import pytest

from keras_retinanet.data.datasets import WiderFaceDataset, find_layouts
from keras_retinanet.data.errors import DataError

TRAIN = """0--Parade/a 1.jpg
3
1 2 10 20 0 0 0 0 0 0
30 5 8 6 2 0 0 1 2 1
5 5 0 0 2 0 0 0 0 0
1--Hand shaking/b.jpg
0
0 0 0 0 0 0 0 0 0 0
1--Hand shaking/c.jpg
1
0 0 30 30 1 0 0 0 0 0
"""
VAL = "0--Parade/a 1.jpg\n1\n1 2 10 20 0 0 0 0 0 0\n"
SIZES = {"0--Parade/a 1.jpg": (40, 60), "1--Hand shaking/b.jpg": (60, 40), "1--Hand shaking/c.jpg": (30, 30)}


@pytest.fixture
def folder(make_set):
    files = {
        f"wider_face_split/wider_face_{split}_bbx_gt.txt": text for split, text in (("train", TRAIN), ("val", VAL))
    }
    lists = {"wider_face_split/wider_face_test_filelist.txt": "0--Parade/t.jpg\n", "wider_face_split/readme.txt": "x\n"}
    return make_set(files | lists, {"WIDER_train/images": SIZES, "WIDER_val/images": {"0--Parade/a 1.jpg": (40, 60)}})


def test_faces_invalid_faces_and_images_without_faces(folder, contents_of):
    data = WiderFaceDataset(folder)
    assert data.class_names == ("face",)
    assert contents_of(data) == {
        "0--Parade/a 1.jpg": [("face", [1, 2, 11, 22]), ("!face", [30, 5, 38, 11])],
        "1--Hand shaking/b.jpg": [],
        "1--Hand shaking/c.jpg": [("face", [0, 0, 30, 30])],
    }
    assert data[0]["image"] == f"{folder}/WIDER_train/images/0--Parade/a 1.jpg"
    assert data.report.notes == []


def test_splits_files_and_recognition(folder):
    assert WiderFaceDataset.default_sets(folder) == ("train", "val")
    (layout,) = find_layouts(folder)
    assert (layout.format, layout.certainty) == ("wider", 3)
    file = folder / "wider_face_split" / "wider_face_val_bbx_gt.txt"
    assert [sample["image"] for sample in WiderFaceDataset(file)] == [f"{folder}/WIDER_val/images/0--Parade/a 1.jpg"]
    assert find_layouts(file)[0].format == "wider"
    assert WiderFaceDataset.find_layout(folder / "wider_face_split" / "readme.txt") is None


def test_class_names_in_a_further_column(make_set, contents_of):
    """Datumaro: `labels.txt`, and the name of the class at the end of a line."""
    text = "x/a.jpg\n2\n1 2 10 20 0 0 0 0 0 0 cat\n3 3 4 4 dog\n"
    folder = make_set(
        {"wider_face_split/wider_face_train_bbx_gt.txt": text, "labels.txt": "cat\ndog\n"},
        {"WIDER_train/images": {"x/a.jpg": (40, 60)}},
    )
    assert contents_of(WiderFaceDataset(folder)) == {
        "x/a.jpg": [("cat", [1, 2, 11, 22]), ("dog", [3, 3, 7, 7])],
    }


@pytest.mark.parametrize(
    ("old", "new", "found", "names"),
    [
        ("30 5 8 6 2", "30 5 x 6 2", "line 4: a side is 'x'", 3),
        ("30 5 8 6 2 0 0 1 2 1", "30 5 8", "line 4: 3 columns", 3),
        ("\n3\n", "\n4\n", "line 2: 3 lines of boxes follow, and the number is '4'", 2),
    ],
)
def test_broken_lines(folder, old, new, found, names):
    file = folder / "wider_face_split" / "wider_face_train_bbx_gt.txt"
    file.write_text(TRAIN.replace(old, new), encoding="utf-8")
    data = WiderFaceDataset(folder)
    assert len(data) == names
    (note,) = [note for note in data.report.notes if "left out: " in note]
    assert found in note
    with pytest.raises(DataError, match=found.split(":")[0]):
        WiderFaceDataset(folder, on_error="error")
