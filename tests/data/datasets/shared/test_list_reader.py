"""What all readers of lists have in common: sets, files that are missing, and images that are not used."""

from __future__ import annotations

import pytest

from keras_retinanet.data.datasets import WiderFaceDataset
from keras_retinanet.data.errors import DataError

BLOCK = "{}.jpg\n1\n1 2 10 20 0 0 0 0 0 0\n"


def test_a_single_file_of_any_name_is_the_whole_set(make_set):
    folder = make_set({"below/any name.txt": BLOCK.format("a")}, {"below": {"a.jpg": (40, 60)}})
    assert WiderFaceDataset.default_sets(folder) == (".", None)
    assert len(WiderFaceDataset(folder)) == 1


def test_unknown_sets_and_missing_paths(make_set):
    folder = make_set({"x_train.txt": BLOCK.format("a")}, {".": {"a.jpg": (40, 60)}})
    with pytest.raises(DataError, match=r"has no set 'val'.*sets there: train \(x_train\.txt\)"):
        WiderFaceDataset(folder, "val")
    with pytest.raises(DataError, match="gone: is not there"):
        WiderFaceDataset(folder / "gone")
    with pytest.raises(DataError, match=r"has no set 'train'.*fix: check the path"):
        WiderFaceDataset(folder / "a.jpg")


def test_images_that_are_missing_or_not_used(make_set):
    files = {"list_train.txt": BLOCK.format("a"), "list_val.txt": BLOCK.format("b")}
    folder = make_set(files, {"images": dict.fromkeys(("a.jpg", "b.jpg", "c.jpg", "d.png"), (40, 60))})
    data = WiderFaceDataset(folder)
    assert [sample["image"] for sample in data] == [f"{folder}/images/a.jpg"]
    assert data.report.notes == [f"{folder}/images has 2 image files that the annotations do not name: c.jpg, d.png"]
    (folder / "images" / "a.jpg").unlink()
    with pytest.raises(DataError, match=r"list_train\.txt: image .*a\.jpg' \(number 1 of 1\) is not there"):
        WiderFaceDataset(folder)


def test_the_folder_of_the_images_may_be_given(make_set, tmp_path_factory, write_images):
    other = tmp_path_factory.mktemp("other")
    write_images(other, {"a.jpg": (40, 60)})
    folder = make_set({"train.txt": BLOCK.format("a")}, {})
    assert WiderFaceDataset(folder, image_dir=str(other))[0]["image"] == f"{other}/a.jpg"
