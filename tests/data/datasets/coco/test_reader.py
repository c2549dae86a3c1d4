from __future__ import annotations

import copy
import json
import time

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from keras_retinanet.data.datasets import CocoDataset
from keras_retinanet.data.errors import DataError


def test_reads_it_as_it_unzips(tmp_path, write_coco):
    data = CocoDataset(write_coco(tmp_path))
    assert data.class_names == ("cat", "dog", "owl")  # sorted by id 3, 9, 12
    assert data.category_ids == (3, 9, 12)
    assert [sample["image_id"] for sample in data] == [10, 20, 30]
    assert data[0]["image"] == str(tmp_path / "train2017" / "a.jpg")
    assert data[0]["boxes"].tolist() == [[1, 2, 11, 22], [0, 0, 60, 40]]
    assert data[0]["labels"].tolist() == [1, 0]
    assert data[0]["ignore"].tolist() == [False, True]
    assert data[1]["boxes"].tolist() == [[0.5, 0, 30.75, 7]]
    assert data[2]["boxes"].shape == (0, 4)
    assert data[2]["size"] == (30, 30)


def test_areas_are_the_annotations_or_those_of_the_boxes(tmp_path, write_coco, coco):
    coco["annotations"][0]["area"] = 123.5
    del coco["annotations"][1]["area"]
    coco["annotations"][2]["area"] = float("nan")
    data = CocoDataset(write_coco(tmp_path, coco))
    assert data[0]["areas"].tolist() == [123.5, 2400.0]  # the outline's, not the 200 of the box
    assert data[1]["areas"].tolist() == [30.25 * 7]
    assert data[2]["areas"].shape == (0,)


def test_an_area_that_is_no_number_is_named(tmp_path, write_coco, coco):
    coco["annotations"][2]["area"] = "large"
    with pytest.raises(DataError, match=r"annotation id 3: area is 'large'"):
        CocoDataset(write_coco(tmp_path, coco), on_error="error")


@pytest.mark.parametrize("images", ["images/train2017", "images", "."])
def test_other_image_folders(tmp_path, write_coco, images):
    assert CocoDataset(write_coco(tmp_path, images=images))[0]["image"] == str(tmp_path / images / "a.jpg")


def test_sets(tmp_path, write_coco):
    write_coco(tmp_path)
    assert CocoDataset.default_sets(tmp_path) == ("train2017", None)
    write_coco(tmp_path, set_name="val2017", images="val2017")
    assert CocoDataset.default_sets(tmp_path) == ("train2017", "val2017")
    assert len(CocoDataset(tmp_path, "val2017")) == 3


def test_wanted_class_names_give_the_labels(tmp_path, write_coco):
    data = CocoDataset(write_coco(tmp_path), class_names=("dog", "emu", "cat"))
    assert data.class_names == ("dog", "emu", "cat")
    assert data.category_ids == (9, None, 3)
    assert data[0]["labels"].tolist() == [0, 2]
    with pytest.raises(DataError, match=r"annotation id 2: unknown class 'cat'.*one of 'dog, owl'"):
        CocoDataset(tmp_path, class_names=("dog", "owl"))


def test_sizes_that_are_not_told_come_from_the_files(tmp_path, write_coco, coco):
    del coco["images"][0]["width"]
    coco["images"][1]["height"] = 0
    assert [sample["size"] for sample in CocoDataset(write_coco(tmp_path, coco))] == [(40, 60), (60, 40), (30, 30)]


def test_boxes_without_area_are_left_out_by_id(tmp_path, write_coco, coco):
    coco["annotations"][1]["bbox"] = [5, 5, 0, 9]
    data = CocoDataset(write_coco(tmp_path, coco))
    assert len(data[1]["labels"]) == 0
    assert "annotation id 2 [ 5.,  5.,  5., 14.] left out" in data.report.warning()


BROKEN = [
    ("annotations", 0, "image_id", 77, "annotation id 1: image_id 77 is not an image"),
    ("annotations", 0, "image_id", None, "annotation id 1: 'image_id' is None"),
    ("annotations", 0, "category_id", 4, r"annotation id 1: category_id 4 is not a category. allowed: \[3, 9, 12\]"),
    ("annotations", 1, "bbox", [1, 2, 3], r"annotation id 2: bbox is \[1, 2, 3\]"),
    ("annotations", 1, "bbox", [1, 2, 3, "x"], "annotation id 2: bbox is"),
    ("annotations", 1, "bbox", [1, 2, 3, 10**400], "annotation id 2: bbox is"),
    ("annotations", 1, "bbox", [1, 2, 1e308, float("nan")], "annotation id 2: coordinates"),
    ("annotations", 1, "bbox", [1e308, 2, 1e308, 4], "annotation id 2: coordinates"),
    ("annotations", 1, "bbox", "wide", "annotation id 2: bbox is 'wide'"),
    ("annotations", 1, "bbox", [], r"annotation id 2: bbox is \[\]"),
    ("annotations", 1, "bbox", [None, 1, 2, 3], r"annotation id 2: bbox is \[None, 1, 2, 3\]"),
    ("annotations", 1, "iscrowd", 2, "annotation id 2: iscrowd is 2"),
    ("images", 1, "id", 10, "image 2: id 10 occurs twice"),
    ("images", 1, "id", 1.5, "image 2: 'id' is 1.5"),
    ("images", 1, "file_name", 7, "image 2: 'file_name' is 7"),
    ("images", 1, "file_name", "no.jpg", r"no\.jpg' \(number 2 of 3\) is not there"),
    ("images", 1, "file_name", "", "is not there"),
    ("categories", 1, "id", 9, "category 2: id 9 occurs twice"),
    ("categories", 1, "id", "three", "category 2: 'id' is 'three'"),
    ("categories", 1, "name", None, "category 2: 'name' is None"),
]


@pytest.mark.parametrize(("part", "position", "key", "value", "message"), BROKEN)
def test_broken_entries_are_named(tmp_path, write_coco, coco, part, position, key, value, message):
    coco[part][position][key] = value
    with pytest.raises(DataError, match=message):
        CocoDataset(write_coco(tmp_path, coco), on_error="error")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not JSON"),
        (b"\xff\xfe{", "is not JSON"),
        (b'{"images": [', "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[1, 2]", "has no list 'images'"),
        (b'{"images": [], "categories": []}', "has no list 'annotations'"),
        (b'{"images": [], "categories": [], "annotations": []}', "lists no image"),
        (b'{"images": [], "categories": [{"id": 1, "name": "x"}], "annotations": []}', "lists no image"),
    ],
)
def test_broken_files_are_named(tmp_path, write_coco, content, message):
    with pytest.raises(DataError, match=rf"instances_train2017\.json: {message}.*fix: "):
        CocoDataset(write_coco(tmp_path, content))


def test_a_set_that_is_not_there_tells_which_are(tmp_path, write_coco):
    with pytest.raises(DataError, match=r"of the set 'val2017'.*sets there: train2017 \(.*instances_train2017\.json"):
        CocoDataset(write_coco(tmp_path), "val2017")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
FUZZ = hypothesis.settings(
    max_examples=80, deadline=None, derandomize=True, suppress_health_check=list(hypothesis.HealthCheck)
)


def _paths(value, path=()):
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _paths(item, (*path, key))


@FUZZ
@hypothesis.given(data=st.data())
def test_fuzzed_structure_never_gives_another_error(tmp_path, write_coco, coco, data):
    content = copy.deepcopy(coco)
    for _ in range(data.draw(st.integers(1, 2))):
        *path, last = data.draw(st.sampled_from([path for path in _paths(content) if path]))
        parent = content
        for key in path:
            parent = parent[key]
        if isinstance(parent, dict) and data.draw(st.booleans()):
            del parent[last]
        else:
            parent[last] = data.draw(JSON)
    assert is_in_range_or_refused(write_coco(tmp_path, json.dumps(content).encode()))


@FUZZ
@hypothesis.given(content=st.binary(max_size=50))
def test_fuzzed_bytes_never_give_another_error(tmp_path, write_coco, content):
    assert is_in_range_or_refused(write_coco(tmp_path, content))


def is_in_range_or_refused(folder):
    """Whether all boxes and labels are in range, or a `DataError` says where the data are wrong."""
    try:
        dataset = CocoDataset(folder)
    except DataError as error:
        return str(folder) in error.where and bool(error.found)
    return all(
        (sample["boxes"] >= 0).all()
        and (sample["boxes"] <= np.float32([*sample["size"][::-1]] * 2)).all()
        and np.isin(sample["labels"], range(len(dataset.class_names))).all()
        for sample in dataset
    )


def test_many_annotations_are_read_in_bulk(tmp_path, write_coco, coco):
    boxes = np.random.default_rng(0).uniform(0, 20, (100_000, 4)).round(2).tolist()
    coco["annotations"] = [
        {"id": number, "image_id": 10, "category_id": 3, "bbox": box, "iscrowd": 0} for number, box in enumerate(boxes)
    ]
    write_coco(tmp_path, coco)
    start = time.process_time()
    data = CocoDataset(tmp_path)
    assert time.process_time() - start < 5  # 0.5 s where it was written
    assert len(data[0]["labels"]) + data.report.num_dropped == 100_000


def test_coco128(shared):
    train, val = (CocoDataset(shared("data/coco128"), name) for name in ("train2017", "val2017"))
    assert (len(train), len(val)) == (96, 32)
    assert len(train.class_names) == 80
    assert train.category_ids[-1] == 90
    assert sum((~sample["ignore"]).sum() for data in (train, val) for sample in data) == 939 - 10
    assert sum(sample["ignore"].sum() for data in (train, val) for sample in data) == 10
    assert train.report.warning() is None


def test_a_file_without_images_says_what_it_has(tmp_path):
    (tmp_path / "empty.json").write_text('{"images": [], "annotations": [], "categories": [{"id": 1, "name": "cat"}]}')
    with pytest.raises(DataError, match=r"empty\.json: lists no image \(1 categories\)"):
        CocoDataset(tmp_path / "empty.json")
