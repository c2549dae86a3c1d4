"""Results of upright rectangles in compact form; whatever is unusual stays as it is."""

import copy

import pytest

from keras_retinanet.data.datasets.label_studio.plain import PlainResult, shrink_tasks

REGION = {
    "id": "r1", "type": "rectanglelabels", "original_width": 200, "original_height": 100, "image_rotation": 0,
    "value": {"x": 10, "y": 20.0, "width": 30.0, "height": 40.0, "rotation": 0, "rectanglelabels": ["cat"]},
}  # fmt: skip


def shrunk(*regions):
    return shrink_tasks([{"annotations": [{"result": list(regions)}]}])[0]["annotations"][0]["result"]


def test_rectangles_become_corners_in_pixels():
    found = shrunk(REGION, {**REGION, "id": "r2"})
    assert isinstance(found, PlainResult)
    assert found.size == (100, 200)
    assert found.boxes.names == ["cat", "cat"]
    assert list(found.boxes.sides) == [20, 20, 80, 60] * 2


def test_an_empty_result_has_no_size():
    assert shrunk() == PlainResult(None, shrunk().boxes)
    assert len(shrunk().boxes.names) == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("value", {**REGION["value"], "rotation": 5}),
        ("value", {**REGION["value"], "rectanglelabels": ["cat", "dog"]}),
        ("value", {**REGION["value"], "x": "10"}),
        ("value", {**REGION["value"], "points": []}),
        ("type", "ellipselabels"),
        ("image_rotation", 90),
        ("original_width", 0),
        ("original_width", 300),  # another picture than that of the first region
        ("id", "r1"),  # labels and shape of one region in two entries
        ("id", 7),
    ],
)
def test_unusual_regions_stay(name, value):
    regions = [REGION, {**REGION, "id": "r2", name: value}]
    assert shrunk(*copy.deepcopy(regions)) == regions


@pytest.mark.parametrize("tasks", [[3], [{"annotations": 3}], [{"annotations": [None]}], [{"annotations": [{}]}]])
def test_broken_tasks_stay(tasks):
    assert shrink_tasks(copy.deepcopy(tasks)) == tasks
