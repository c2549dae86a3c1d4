"""Values that differ from COCO's own, as annotation tools write them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from keras_retinanet.data.datasets import CocoDataset
from keras_retinanet.data.error_collector import ErrorCollector
from keras_retinanet.data.errors import DataError

BOXES = [[[1, 2, 11, 22], [0, 0, 60, 40]], [[0.5, 0, 30.75, 7]], []]


def boxes_of(data):
    return [sample["boxes"].tolist() for sample in data]


@pytest.mark.parametrize(
    "values",
    [
        {"image_id": "10", "category_id": "9"},
        {"image_id": 10.0, "category_id": 9.0},
        {"category_id": "9.0"},
        {"bbox": ["1", "2", "10", "20.0"]},
        {"bbox": {"x": 1, "y": 2, "width": 10, "height": 20}},
        {"iscrowd": False, "area": None},
        {"iscrowd": "0", "area": "200"},
        {"iscrowd": None},
        {"iscrowd": 0.0},
        {"bbox": [], "segmentation": [[1, 2, 11, 2, 11, 22]]},
        {"bbox": None, "segmentation": [[1, 2, 5, 2, 5, 22], [11, 3, 11, 4, 9, 4]]},
        # 40 rows: 42 pixels of background, then rows 2 to 21 of columns 1 to 10
        {"bbox": [], "segmentation": {"size": [40, 60], "counts": [42, *[20] * 19, 18 + 49 * 40]}},
    ],
)
def test_unusual_values_give_the_usual_box(tmp_path, write_coco, coco, values):
    coco["annotations"][0] |= values
    data = CocoDataset(write_coco(tmp_path, coco), on_error="error")
    assert boxes_of(data) == BOXES
    assert data[0]["labels"].tolist() == [1, 0]
    assert data[0]["ignore"].tolist() == [False, True]
    assert data[0]["areas"].tolist() == [200, 2400]


def test_outlines_in_place_of_boxes_are_counted(tmp_path, write_coco, coco):
    for item in coco["annotations"][:2]:
        del item["bbox"]
        item["segmentation"] = [[3, 4, 9, 4, 9, 8]]
    data = CocoDataset(write_coco(tmp_path, coco))
    assert boxes_of(data) == [[[3, 4, 9, 8], [0, 0, 60, 40]], [[3, 4, 9, 8]], []]
    assert data.report.notes[0].endswith("2 annotations have an outline, no box: its enclosing box is used")


def test_text_image_ids_and_numbers(tmp_path, write_coco, coco):
    for image in coco["images"]:
        image["id"] = str(image["id"])
    assert boxes_of(CocoDataset(write_coco(tmp_path, coco))) == BOXES


def test_repeated_ids_lose_nothing(tmp_path, write_coco, coco):
    for item in coco["annotations"]:
        item["id"] = 1
    data = CocoDataset(write_coco(tmp_path, coco), on_error="error")
    assert boxes_of(data) == BOXES
    assert data.report.notes[0].endswith("annotation ids are repeated (2 times): numbered by their position")


def test_missing_ids_are_noted(tmp_path, write_coco, coco):
    for item in coco["annotations"]:
        del item["id"]
    coco["annotations"][1]["bbox"] = [5, 5, 0, 9]
    data = CocoDataset(write_coco(tmp_path, coco))
    assert data.report.notes[0].endswith("3 annotations have no id: numbered by their position")
    assert "annotation number 2 [ 5.,  5.,  5., 14.] left out" in data.report.warning()


def test_an_annotation_written_twice_is_read_once(tmp_path, write_coco, coco):
    coco["annotations"].append(dict(coco["annotations"][0]))
    data = CocoDataset(write_coco(tmp_path, coco))
    assert boxes_of(data) == BOXES
    assert "1 annotations equal another in id, image, category and box and are left out" in data.report.notes[0]
    with pytest.raises(DataError, match="annotation id 1: repeats another one"):
        CocoDataset(tmp_path, on_error="error")


def test_broken_annotations_are_left_out_counted_and_five_named(tmp_path, write_coco, coco):
    odd = [{"id": 100 + number, "image_id": 77, "category_id": 9, "bbox": [1, 1, 2, 2]} for number in range(7)]
    coco["annotations"][1:1] = [*odd, None, {**coco["annotations"][0], "id": 200, "bbox": [1, 2, float("nan"), 4]}]
    folder = write_coco(tmp_path, coco)
    data = CocoDataset(folder)
    assert boxes_of(data) == BOXES
    note = data.report.notes[0]
    assert note.startswith("9 annotations left out: ")
    assert note.endswith("; and 4 more")
    assert [f"annotation id {number}: image_id 77 is not an image" in note for number in range(100, 106)] == (
        [True] * 5 + [False]
    )
    collector = ErrorCollector()
    assert boxes_of(CocoDataset(folder, on_error=collector)) == BOXES
    assert collector.num_errors == 9
    with pytest.raises(DataError, match="annotation id 100: image_id 77"):
        CocoDataset(folder, on_error="error")


def test_a_set_of_broken_annotations_alone_is_refused(tmp_path, write_coco, coco):
    for item in coco["annotations"]:
        item["image_id"] = 77
    with pytest.raises(DataError, match="annotation id 1: image_id 77 is not an image"):
        CocoDataset(write_coco(tmp_path, coco))


def test_two_categories_of_one_name_are_one_class(tmp_path, write_coco, coco):
    coco["categories"].append({"id": 20, "name": "dog"})
    coco["annotations"][1]["category_id"] = 20
    data = CocoDataset(write_coco(tmp_path, coco))
    assert data.class_names == ("cat", "dog", "owl")
    assert data.category_ids == (3, 9, 12)
    assert [sample["labels"].tolist() for sample in data] == [[1, 0], [1], []]
    assert data.report.notes[0].endswith("categories 9 and 20 are both called 'dog' and are one class")


@pytest.mark.parametrize("root", ["animals", "dog"])
def test_a_root_category_without_boxes_is_not_a_class(tmp_path, write_coco, coco, root):
    for category in coco["categories"]:
        category["supercategory"] = root
    coco["categories"].insert(0, {"id": 0, "name": root, "supercategory": "none"})
    data = CocoDataset(write_coco(tmp_path, coco))
    assert data.class_names == ("cat", "dog", "owl")
    assert data.category_ids == (3, 9, 12)
    assert f"category '{root}' (id 0) only groups others" in data.report.notes[0]


def test_a_root_category_with_boxes_is_a_class(tmp_path, write_coco, coco):
    coco["categories"][0]["supercategory"] = "animals"
    coco["categories"].insert(0, {"id": 0, "name": "animals", "supercategory": "none"})
    coco["annotations"][0]["category_id"] = 0
    assert CocoDataset(write_coco(tmp_path, coco)).class_names == ("animals", "cat", "dog", "owl")


def test_rotated_boxes_become_their_enclosing_boxes(tmp_path, write_coco, coco):
    first, second, third = coco["annotations"]
    first |= {"bbox": [10, 15, 20, 10], "attributes": {"occluded": False, "rotation": 90.0}, "segmentation": []}
    second |= {"attributes": {"rotation": 0.0}}
    third |= {"attributes": {"rotation": 30.0}, "segmentation": [[0, 0, 60, 0, 60, 40]]}  # encloses its outline
    data = CocoDataset(write_coco(tmp_path, coco))
    # turned by 90 degrees about its centre (20, 20), 20 x 10 becomes 10 x 20
    np.testing.assert_allclose(data[0]["boxes"], [[15, 10, 25, 30], [0, 0, 60, 40]], atol=1e-5)
    assert boxes_of(data)[1:] == BOXES[1:]
    assert data.report.notes[0].endswith("1 boxes are rotated: their enclosing boxes are used")


def test_outlines_that_are_nested_too_deep_are_an_error(tmp_path, write_coco, coco):
    coco["annotations"][1] |= {"bbox": [], "segmentation": "DEEP"}
    content = json.dumps(coco).replace('"DEEP"', "[" * 100_000 + "1" + "]" * 100_000)
    with pytest.raises(DataError, match="its outlines cannot be read"):
        CocoDataset(write_coco(tmp_path, content.encode()))
