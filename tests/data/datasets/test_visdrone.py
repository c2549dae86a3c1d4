"""VisDrone-DET as its archives unzip (VisDrone2019-DET-train and -val)."""

from __future__ import annotations

import pytest

from keras_retinanet.data.datasets import VisDroneDataset, find_layouts
from keras_retinanet.data.datasets.visdrone import VISDRONE_CLASSES
from keras_retinanet.data.errors import DataError

# x, y, width, height, score, category, truncation, occlusion; some releases end lines with a comma.
LINES = """1,2,10,20,1,4,0,0
30,5,8,6,1,1,0,1,
0,0,60,10,0,0,0,0
5,5,9,9,0,10,0,2
40,30,5,5,1,11,0,0
"""
HOME = "VisDrone2019-DET-{}"
SIZES = {"a.jpg": (40, 60), "empty.JPG": (60, 40)}


def make(make_set, **splits):
    files = {
        f"{HOME.format(split)}/annotations/{name}": text for split, own in splits.items() for name, text in own.items()
    }
    return make_set(files, {f"{HOME.format(split)}/images": SIZES for split in splits})


def test_boxes_regions_and_others(make_set):
    folder = make(make_set, train={"a.txt": LINES, "empty.txt": ""})
    data = VisDroneDataset(folder)
    assert data.class_names == VISDRONE_CLASSES
    first, second = data
    is_region = (first["boxes"] == [0, 0, 60, 10]).all(axis=1)
    assert first["labels"][is_region].tolist() == list(range(10))  # it may hide any class
    assert first["ignore"][is_region].all()
    assert first["boxes"][~is_region].tolist() == [[1, 2, 11, 22], [30, 5, 38, 11], [5, 5, 14, 14]]
    assert first["labels"][~is_region].tolist() == [3, 0, 9]
    assert first["ignore"][~is_region].tolist() == [False, False, True]
    assert (second["image_id"], len(second["labels"])) == ("empty", 0)
    assert [note.split(": ")[1] for note in data.report.notes] == ["1 objects of the category others are left out"]


def test_splits_and_recognition(make_set):
    folder = make(make_set, train={"a.txt": LINES}, val={"a.txt": LINES}, **{"test-dev": {"a.txt": LINES}})
    assert VisDroneDataset.default_sets(folder) == ("train", "val")
    (layout,) = find_layouts(folder)
    assert (layout.format, layout.certainty, layout.tool) == ("visdrone", 3, "VisDrone")
    inner = folder / HOME.format("val")
    assert VisDroneDataset.default_sets(inner) == (".", None)
    assert len(VisDroneDataset(inner)) == 2
    assert [sample["image"] for sample in VisDroneDataset(folder, "val")] == [
        f"{inner}/images/a.jpg",
        f"{inner}/images/empty.JPG",
    ]
    with pytest.raises(DataError, match=r"has no set 'gone'.*sets there: test, train, val"):
        VisDroneDataset(folder, "gone")


def test_nothing_is_lost_in_silence(make_set):
    data = VisDroneDataset(make(make_set, train={"a.txt": LINES, "gone.txt": LINES}))
    assert [sample["image_id"] for sample in data] == ["a", "empty"]
    assert [note.split(": ")[1] for note in data.report.notes[:2]] == [
        "1 text files have no image and are left out (gone.txt)",
        "1 images have no text file and count as background (empty.JPG)",
    ]


@pytest.mark.parametrize(
    ("line", "found"),
    [("1,2,3,4,1,4,0", "7 columns"), ("1,2,x,4,1,4,0,0", "a column is 'x'"), ("1,2,3,4,1,12,0,0", "category '12'")],
)
def test_broken_lines(make_set, line, found):
    folder = make(make_set, train={"a.txt": LINES, "empty.txt": f"1,2,3,4,1,4,0,0\n{line}\n"})
    data = VisDroneDataset(folder)
    assert len(data[1]["labels"]) == 1
    assert (
        f"1 annotations left out: {folder}/{HOME.format('train')}/annotations/empty.txt, line 2: {found}"
        in (data.report.notes[-1])
    )
    with pytest.raises(DataError, match="line 2"):
        VisDroneDataset(folder, on_error="error")
