"""DOTA as its archives unzip (v1.0), and as mmrotate arranges it."""

from __future__ import annotations

import pytest

from keras_retinanet.data.datasets import DotaDataset, find_layouts
from keras_retinanet.data.errors import DataError

# A turned square, an upright rectangle, a difficult one.
TEXT = """imagesource:GoogleEarth
gsd:0.146343590398
20.0 5.0 35.0 20.0 20.0 35.0 5.0 20.0 small-vehicle 0
1 2 11 2 11 22 1 22 plane 0
30 5 38 5 38 11 30 11 small-vehicle 1
"""
SIZES = {"P0000.png": (40, 60), "P0001.png": (60, 40)}


@pytest.mark.parametrize(
    ("texts", "images"),
    [
        ("{}/labelTxt", "{}/images"),
        ("{}/labelTxt-v1.5/labelTxt", "{}/images"),
        ("{}/annfiles", "{}/images"),
        ("labelTxt/{}", "images/{}"),
    ],
)
def test_layouts(make_set, contents_of, texts, images):
    files = {f"{texts.format(split)}/{name}.txt": text for split in ("train", "val") for name, text in FILES.items()}
    folder = make_set(files, {images.format(split): SIZES for split in ("train", "val")})
    (layout,) = find_layouts(folder)
    assert (layout.format, layout.certainty) == ("dota", 3)
    assert DotaDataset.default_sets(folder) == ("train", "val")
    for split in ("train", "val"):
        assert contents_of(DotaDataset(folder, split)) == {
            "P0000": [
                ("small-vehicle", [5, 5, 35, 35]),
                ("plane", [1, 2, 11, 22]),
                ("!small-vehicle", [30, 5, 38, 11]),
            ],
            "P0001": [],
        }


FILES = {"P0000": TEXT, "P0001": "imagesource:GoogleEarth\ngsd:null\n"}


@pytest.fixture
def folder(make_set):
    return make_set({f"labelTxt/{name}.txt": text for name, text in FILES.items()}, {"images": SIZES})


def test_one_set_and_notes(folder):
    data = DotaDataset(folder)
    assert DotaDataset.default_sets(folder) == (".", None)
    assert [note.split(": ", 1)[1] for note in data.report.notes] == [
        "1 turned rectangles: their enclosing boxes are used"
    ]


@pytest.mark.parametrize(
    ("rule", "names"), [("keep", [False] * 3), ("ignore", [False, False, True]), ("drop", [False] * 2)]
)
def test_difficult_objects(folder, rule, names):
    assert DotaDataset(folder, difficult=rule)[0]["ignore"].tolist() == names


def test_broken_lines(folder):
    (folder / "labelTxt" / "P0001.txt").write_text("1 2 3 4 5 6 7 8 ship 0\n1 2 3 ship 0\n1 2 3 4 5 6 7 x ship 0\n")
    (note,) = [note for note in DotaDataset(folder).report.notes if "left out: " in note]
    assert "P0001.txt, line 2: 5 columns" in note
    assert "P0001.txt, line 3: a corner is 'x'" in note
    with pytest.raises(DataError, match="line 2: 5 columns"):
        DotaDataset(folder, on_error="error")


def test_labels_of_other_formats_are_not_dota(make_set):
    for text in ("0 0.5 0.5 0.1 0.1\n", "0 1 2 3 4 5 6 7 8\n", "Car 0 0 0 1 2 3 4 1 1 1 1 1 1 1\n", ""):
        assert DotaDataset.find_layout(make_set({"labels/P0000.txt": text}, {"images": SIZES})) is None
