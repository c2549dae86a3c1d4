"""What is kept of COCO annotations, and when they are left to be read one by one."""

import pytest

from keras_retinanet.data.datasets.coco.batches import shrink

ITEM = {"id": 7, "image_id": 1, "category_id": 2, "bbox": [1, 2, 3, 4.5], "iscrowd": 1, "area": None}


def test_annotations_become_columns():
    (batch,) = shrink([ITEM, {"id": 8, "image_id": "b", "category_id": 3, "bbox": [0, 0, 2, 2], "area": 3.5}])
    assert batch.ids == [7, 8]
    assert batch.images == [1, "b"]
    assert batch.categories == [2, 3]
    assert batch.boxes.tolist() == [[1, 2, 4, 6.5], [0, 0, 2, 2]]
    assert batch.crowd == b"\1\0"
    assert batch.areas.tolist() == [13.5, 3.5]
    assert batch.turned == []


def test_ids_may_be_missing_in_all_annotations():
    item = {key: value for key, value in ITEM.items() if key != "id"}
    assert shrink([item, item])[0].ids is None
    assert shrink([item, ITEM]) == [None]


def test_a_rotated_box_is_kept_with_its_angle():
    assert shrink([ITEM, {**ITEM, "attributes": {"rotation": 30.0}}])[0].turned == [(1, 30.0)]


@pytest.mark.parametrize(
    "change",
    [
        {"bbox": [1, 2, 3]},
        {"bbox": None},
        {"bbox": [float("nan"), 0, 1, 1]},
        {"iscrowd": 2},
        {"iscrowd": "x"},
        {"area": "x"},
        {"image_id": [1]},
    ],
)
def test_an_unusual_annotation_leaves_all_to_be_read_one_by_one(change):
    assert shrink([ITEM, {**ITEM, **change}]) == [None]
    assert shrink([ITEM, 3]) == [None]
