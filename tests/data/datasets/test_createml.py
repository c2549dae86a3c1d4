"""Create ML files as Apple documents them, and as Roboflow and supervision 0.31 lay them out."""

from __future__ import annotations

import json

import pytest

from keras_retinanet.data.datasets import CreateMlDataset, find_layouts
from keras_retinanet.data.errors import DataError

CAT = {"label": "cat", "coordinates": {"x": 21.5, "y": 12, "width": 31, "height": 20}}
FOUND = ("cat", 6, 2, 37, 22)


@pytest.fixture
def write(tmp_path):
    """`write(*entries, name=…)`: the file of a set."""

    def write_entries(*entries, name="_annotations.createml.json"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(entries), encoding="utf-8")
        return file

    return write_entries


def entry(name, *boxes, **more):
    return {"image": name, "annotations": list(boxes), **more}


def named_boxes(data):
    return [
        [(data.class_names[label], *box) for label, box in zip(sample["labels"], sample["boxes"].tolist(), strict=True)]
        for sample in data
    ]


@pytest.mark.parametrize(
    ("file", "images", "set_name", "tool"),
    [
        ("train/_annotations.createml.json", "train", "train", "Roboflow"),
        ("annotations.json", "images", ".", ""),  # supervision
        ("animals.json", ".", ".", ""),
        ("annotations/train.json", "images/train", "train", ""),
    ],
)
def test_layouts(write, write_images, tmp_path, file, images, set_name, tool):
    write_images(tmp_path / images)
    written = write(entry("a.jpg", CAT, CAT), entry("b.jpg"), name=file)
    assert CreateMlDataset.default_sets(tmp_path) == (set_name, None)
    data = CreateMlDataset(tmp_path)
    assert named_boxes(data) == [[FOUND, FOUND], []]
    assert data.report.notes == [f"{written}: 1 images are not listed and are left out (c.jpg)"]
    (layout,) = find_layouts(tmp_path)
    assert (layout.format, layout.certainty, layout.tool, layout.evidence) == ("createml", 3, tool, file)
    assert named_boxes(CreateMlDataset(written)) == named_boxes(data)


def test_splits_of_roboflow(write, write_images, tmp_path):
    for split in ("train", "valid", "test"):
        write_images(tmp_path / split, {f"{split}.jpg": (40, 60)})
        write(entry(f"{split}.jpg", CAT), name=f"{split}/_annotations.createml.json")
    assert CreateMlDataset.default_sets(tmp_path) == ("train", "valid")
    for split in ("train", "valid", "test"):
        data = CreateMlDataset(tmp_path, split)
        assert [sample["image_id"] for sample in data] == [f"{split}.jpg"]
        assert data.report.notes == []


def test_both_spellings_and_sub_folders(write, write_images, tmp_path):
    write_images(tmp_path / "day 1", {"ü.jpg": (40, 60), "empty.jpg": (40, 60)})
    write(
        {"imagefilename": "day 1\\ü.jpg", "annotation": [CAT]},
        {"image": "day 1/empty.jpg", "annotations": None},
    )
    assert named_boxes(CreateMlDataset(tmp_path)) == [[FOUND], []]


def test_a_file_without_any_box_is_recognised(write, write_images, tmp_path):
    write_images(tmp_path, {"a.jpg": (40, 60)})
    file = write(entry("a.jpg"), name="empty.json")
    assert find_layouts(file)[0].format == "createml"


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ({"label": "cat"}, "'coordinates' is None"),
        ({**CAT, "label": 3}, "'label' is 3"),
        ({**CAT, "coordinates": {"x": 1, "y": 2, "width": 3}}, "has no 'height'"),
        ({**CAT, "coordinates": {**CAT["coordinates"], "x": True}}, "'x' is True"),
        ("cat", "is 'cat'"),
    ],
)
def test_a_broken_box_is_left_out_and_counted(write, write_images, tmp_path, broken, message):
    write_images(tmp_path, {"a.jpg": (40, 60)})
    file = write(entry("a.jpg", CAT, broken))
    data = CreateMlDataset(tmp_path)
    assert named_boxes(data) == [[FOUND]]
    assert data.report.notes == [f"1 annotations left out: {file}, 'a.jpg', shape 2: {message}"]
    with pytest.raises(DataError, match=f"'a.jpg', shape 2: {message}"):
        CreateMlDataset(tmp_path, on_error="error")


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ({"annotations": []}, "'image' is None"),
        ({"image": "a.jpg", "annotations": "none"}, "'annotations' is 'none'"),
        ("a.jpg", "is 'a.jpg'"),
    ],
)
def test_a_broken_entry_is_left_out_and_counted(write, write_images, tmp_path, broken, message):
    write_images(tmp_path, {"a.jpg": (40, 60)})
    file = write(entry("a.jpg", CAT), broken)
    data = CreateMlDataset(tmp_path)
    assert (named_boxes(data), data.report.notes) == (
        [[FOUND]],
        [f"1 annotations left out: {file}, image 2: {message}"],
    )


def test_an_image_that_is_listed_twice_has_two_ids(write, write_images, tmp_path):
    write_images(tmp_path, {"a.jpg": (40, 60)})
    write(entry("a.jpg", CAT), entry("a.jpg"))
    assert [sample["image_id"] for sample in CreateMlDataset(tmp_path)] == ["a.jpg", "a.jpg#1"]


def test_names_that_lead_to_the_same_image_are_refused(write, write_images, tmp_path):
    write_images(tmp_path, {"a.jpg": (40, 60)})
    write(entry("x/a.jpg", CAT), entry("y/a.jpg", CAT))
    with pytest.raises(DataError, match=r"2 image paths lead to folders that are not there .*'a\.jpg'.*--image-dir"):
        CreateMlDataset(tmp_path)
    for folder in ("x", "y"):
        write_images(tmp_path / "photos" / folder, {"a.jpg": (40, 60)})
    (tmp_path / "a.jpg").unlink()
    found = [sample["image"] for sample in CreateMlDataset(tmp_path)]
    assert found == [str(tmp_path / "photos" / folder / "a.jpg") for folder in ("x", "y")]


def test_json_that_is_not_a_list_is_refused(tmp_path):
    (tmp_path / "a.json").write_text('[{"image": "a.jpg", "annotations": [{"coordinates": {')
    with pytest.raises(DataError, match=r"a\.json: is not JSON"):
        CreateMlDataset(tmp_path)
