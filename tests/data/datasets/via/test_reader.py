"""Files as VIA 2.0.12 and 1.0.6 write them."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest

from keras_retinanet.data.datasets import ViaDataset, find_layouts
from keras_retinanet.data.errors import DataError

RECT = {"name": "rect", "x": 1, "y": 2, "width": 10, "height": 20}
FOUND = ("cat", 1, 2, 11, 22)


def region(shape, **attributes):
    return {"shape_attributes": shape, "region_attributes": attributes}


def entry(name, *regions, **more):
    return {"filename": name, "size": 1234, "regions": list(regions), "file_attributes": {}, **more}


def export(*entries):
    """Annotations as JSON: keys are name and size of the file."""
    return {f"{one['filename']}{one['size']}": one for one in entries}


def project(*entries, **attributes):
    images = export(*entries)
    return {
        "_via_settings": {"ui": {}, "core": {"buffer_size": 18, "filepath": {}, "default_filepath": ""}, "project": {}},
        "_via_img_metadata": images,
        "_via_attributes": {"region": attributes, "file": {}},
        "_via_data_format_version": "2.0.10",
        "_via_image_id_list": list(images),
    }


@pytest.fixture
def write(tmp_path):
    """`write(content, name="via_project_29Nov2026_10h0m.json")`."""

    def write_file(content, name="via_project_29Nov2026_10h0m.json"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(content), encoding="utf-8")
        return file

    return write_file


def named_boxes(data):
    return [
        [(data.class_names[label], *box) for label, box in zip(sample["labels"], sample["boxes"].tolist(), strict=True)]
        for sample in data
    ]


SHAPES = (
    region(RECT, kind="cat"),
    region({"name": "circle", "cx": 30, "cy": 20, "r": 5.5}, kind="dog"),
    region({"name": "ellipse", "cx": 30, "cy": 20, "rx": 10, "ry": 4, "theta": 1.5707963267948966}, kind="dog"),
    region({"name": "polygon", "all_points_x": [5, 20, 9], "all_points_y": [6, 3, 30]}, kind="dog"),
    region({"name": "polyline", "all_points_x": [5, 20], "all_points_y": [6, 3]}, kind="dog"),
    region({"name": "point", "cx": 3, "cy": 4}, kind="dog"),
)
BOXES = [FOUND, ("dog", 24.5, 14.5, 35.5, 25.5), ("dog", 26, 10, 34, 30), ("dog", 5, 3, 20, 30)]
KINDS = {"type": "dropdown", "description": "", "options": {"owl": "", "dog": "", "cat": ""}, "default_options": {}}


@pytest.mark.parametrize(
    ("content", "classes"),
    [
        (project(entry("a.jpg", *SHAPES), entry("b.jpg"), kind=KINDS), ("owl", "dog", "cat")),
        (project(entry("a.jpg", *SHAPES), entry("b.jpg"), kind={"type": "text", "options": {}}), ("cat", "dog")),
        (export(entry("a.jpg", *SHAPES), entry("b.jpg")), ("cat", "dog")),
        (
            export(  # version 1
                entry("a.jpg", fileref="", base64_img_data="", regions=dict(enumerate(SHAPES))),
                entry("b.jpg", fileref="", base64_img_data="", regions={}),
            ),
            ("cat", "dog"),
        ),
    ],
)
def test_projects_and_exports(write, write_images, tmp_path, content, classes):
    write_images(tmp_path)
    file = write(content)
    data = ViaDataset(tmp_path)
    assert data.class_names == classes
    first, second = named_boxes(data)
    assert [(name, *(round(side, 5) for side in box)) for name, *box in first] == BOXES
    assert second == []
    assert data.report.notes == [
        f"{file}: 1 images are not listed and are left out (c.jpg)",
        f"{file}: shapes replaced by their enclosing boxes: 1 circle, 1 ellipse, 1 polygon",
        f"{file}: shapes without area, left out: 1 point, 1 polyline",
    ]
    (layout,) = find_layouts(tmp_path)
    assert (layout.format, layout.certainty, layout.tool) == ("via", 3, "VIA")


def test_the_folders_of_matterports_balloons(write, write_images, tmp_path):
    for split in ("train", "val"):
        write_images(tmp_path / split, {f"{split}.jpg": (40, 60)})
        write(export(entry(f"{split}.jpg", region(RECT))), f"{split}/via_region_data.json")
    assert ViaDataset.default_sets(tmp_path) == ("train", "val")
    data = ViaDataset(tmp_path, "val")
    assert named_boxes(data) == [[("object", 1, 2, 11, 22)]]
    assert data.report.notes == [
        f"{tmp_path}/val/via_region_data.json: regions have no attributes: all are of the class 'object'"
    ]


@pytest.mark.parametrize(
    ("regions", "chosen", "is_noted"),
    [
        ([{"animal": "cat"}, {"animal": "cat"}], "animal", False),
        ([{"animal": "cat", "colour": "red"}, {"animal": "cat"}], "animal", True),  # the one that all have
        ([{"colour": "red", "Class": "cat"}, {"colour": "red", "Class": "cat"}], "Class", True),  # a usual name
        ([{"label": "cat", "type": "red"}], "label", True),
        ([{"animal": "cat", "colour": ""}], "animal", False),
    ],
)
def test_which_attribute_is_the_class(write, write_images, tmp_path, regions, chosen, is_noted):
    write_images(tmp_path, {"a.jpg": (40, 60)})
    write(export(entry("a.jpg", *(region(RECT, **attributes) for attributes in regions))))
    data = ViaDataset(tmp_path)
    assert named_boxes(data) == [[FOUND] * len(regions)]
    assert [f"the class is the region attribute {chosen!r}" in note for note in data.report.notes] == [True] * is_noted


def test_attributes_that_may_all_be_the_class_are_refused(write, write_images, tmp_path):
    write_images(tmp_path, {"a.jpg": (40, 60)})
    write(export(entry("a.jpg", region(RECT, animal="cat", colour="red"))))
    message = r"animal \(1 of 1 regions\), colour \(1 of 1 regions\).*--class-attribute"
    with pytest.raises(DataError, match=message):
        ViaDataset(tmp_path)
    assert named_boxes(ViaDataset(tmp_path, class_attribute="colour")) == [[("red", 1, 2, 11, 22)]]
    with pytest.raises(DataError, match=r"no region attribute 'size'\. allowed: animal"):
        ViaDataset(tmp_path, class_attribute="size")


def test_check_boxes_are_classes_of_their_own(write, write_images, tmp_path):
    write_images(tmp_path, {"a.jpg": (40, 60)})
    write(export(entry("a.jpg", region(RECT, kind={"cat": True, "pet": True, "dog": False}))))
    assert named_boxes(ViaDataset(tmp_path)) == [[FOUND, ("pet", 1, 2, 11, 22)]]


@pytest.mark.parametrize("name", ["https://host/photos/a%20b.jpg", "sub/a b.jpg", "D:\\photos\\a b.jpg"])
def test_names_of_images(write, write_images, tmp_path, name):
    write_images(tmp_path / "sub", {"a b.jpg": (40, 60)})
    write(export(entry(name, region(RECT, kind="cat"))))
    assert named_boxes(ViaDataset(tmp_path)) == [[FOUND]]


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (region({**RECT, "x": "1px"}, kind="cat"), "is a rect with broken numbers"),
        (region({"name": "rect", "x": 1, "y": 2, "width": 3}, kind="cat"), "is a rect with broken numbers"),
        (region(RECT, kind=""), "has no value of 'kind'"),
        (
            region({"name": "polygon", "all_points_x": [1, 2], "all_points_y": [1]}, kind="cat"),
            "is a polygon with broken numbers",
        ),
        (
            region({"name": "star"}, kind="cat"),
            "is a shape that is not rect, circle",
        ),
        (region({}, kind="cat"), "'shape_attributes' is {}"),
        (7, "'shape_attributes' is None"),
    ],
)
def test_a_broken_region_is_left_out_and_counted(write, write_images, tmp_path, broken, message):
    write_images(tmp_path, {"a.jpg": (40, 60)})
    file = write(export(entry("a.jpg", region(RECT, kind="cat"), broken)))
    data = ViaDataset(tmp_path)
    assert named_boxes(data) == [[FOUND]]
    (note,) = data.report.notes
    assert note.startswith(f"1 annotations left out: {file}, 'a.jpg', shape 2: {message}")
    with pytest.raises(DataError, match=r"'a\.jpg', shape 2: "):
        ViaDataset(tmp_path, on_error="error")


@pytest.mark.parametrize(
    ("broken", "message"), [({"size": 3}, "has no 'filename'"), (entry("a.jpg", regions="none"), "'regions' is 'none'")]
)
def test_a_broken_entry_is_left_out_and_counted(write, write_images, tmp_path, broken, message):
    write_images(tmp_path, {"a.jpg": (40, 60)})
    file = write({**export(entry("a.jpg", region(RECT, kind="cat"))), "other": broken})
    data = ViaDataset(tmp_path)
    assert named_boxes(data) == [[FOUND]]
    assert data.report.notes == [f"1 annotations left out: {file}, 'other': {message}"]


PROJECT_3 = {
    "project": {"pid": "__VIA_PROJECT_ID__", "rev": "1", "pname": "x", "data_format_version": "3.1.2"},
    "config": {},
    "attribute": {
        "1": {"aname": "class", "anchor_id": "FILE1_Z0_XY1", "type": 4, "options": {"0": "cat", "1": "dog"}},
        "2": {"aname": "parts", "anchor_id": "FILE1_Z0_XY1", "type": 2, "options": {"0": "ear", "1": "tail"}},
        "3": {"aname": "scene", "anchor_id": "FILE1_Z0_XY0", "type": 1, "options": {}},
    },
    "file": {
        "1": {"fid": "1", "fname": "a.jpg", "type": 2, "loc": 1, "src": ""},
        "2": {"fid": "2", "fname": "b.jpg", "type": 2, "loc": 1, "src": ""},
        "3": {"fid": "3", "fname": "clip.mp4", "type": 4, "loc": 1, "src": ""},
    },
    "view": {"1": {"fid_list": [1]}, "2": {"fid_list": ["2"]}, "3": {"fid_list": [3]}},
    "vid_list": ["1", "2", "3"],
    "metadata": {
        "1_a": {"vid": "1", "flg": 0, "z": [], "xy": [2, 1, 2, 10, 20], "av": {"1": "0", "2": "0,1"}},
        "1_b": {"vid": "1", "flg": 0, "z": [], "xy": [3, 20, 20, 5], "av": {"1": "1"}},
        "1_c": {"vid": "1", "flg": 0, "z": [], "xy": [4, 20, 20, 6, 3], "av": {"1": "1"}},
        "1_d": {"vid": "1", "flg": 0, "z": [], "xy": [7, 1, 1, 9, 2, 5, 12], "av": {"1": "1"}},
        "1_e": {"vid": "1", "flg": 0, "z": [], "xy": [8, 5, 1, 9, 4, 6, 8, 2, 3], "av": {"1": "0"}},
        "1_f": {"vid": "1", "flg": 0, "z": [], "xy": [9, 10, 5, 15, 10, 10, 15], "av": {"1": "0"}},
        "1_g": {"vid": "1", "flg": 0, "z": [], "xy": [1, 3, 3], "av": {"1": "0"}},
        "1_h": {"vid": "1", "flg": 0, "z": [], "xy": [], "av": {"3": "park"}},
        "1_i": {"vid": "1", "flg": 0, "z": [], "xy": [2, 1], "av": {"1": "0"}},
        "3_a": {"vid": "3", "flg": 0, "z": [1.5], "xy": [2, 1, 2, 10, 20], "av": {"1": "0"}},
    },
}


def test_projects_of_version_3(write, write_images, tmp_path):
    write_images(tmp_path)
    file = write(PROJECT_3)
    assert find_layouts(tmp_path)[0].tool == "VIA 3"
    data = ViaDataset(tmp_path)
    assert [os.path.basename(sample["image"]) for sample in data] == ["a.jpg", "b.jpg"]
    assert data.class_names == ("cat", "dog")
    boxes = [[1, 2, 11, 22], [15, 15, 25, 25], [14, 17, 26, 23], [1, 1, 9, 12], [2, 1, 9, 8], [5, 5, 15, 15]]
    np.testing.assert_allclose(data[0]["boxes"], boxes, atol=1e-5)
    assert data[0]["labels"].tolist() == [0, 1, 1, 1, 0, 0]
    notes = "\n".join(data.report.notes)
    for part in (
        f"{file}: 1 views of videos, of audio or of several images are left out",
        f"{file}: 1 annotations of whole images or of times are left out",
        "1 annotations left out",
        "the class is the region attribute 'class'",
    ):
        assert part in notes
    parts = ViaDataset(tmp_path, class_attribute="parts")
    assert (parts.class_names, parts.report.num_boxes) == (("ear", "tail"), 2)


def test_a_project_of_version_3_without_a_part_is_refused(write, tmp_path):
    write({name: value for name, value in PROJECT_3.items() if name != "view"})
    with pytest.raises(DataError, match=r"has no 'view'.*save the project again in VIA 3"):
        ViaDataset(tmp_path)
