"""Files as VIA 2.0.12 and 1.0.6 write them."""

from __future__ import annotations

import json

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


def test_projects_of_version_3_are_refused_by_name(write, tmp_path):
    write({"project": {"pid": "__VIA_PROJECT_ID__", "rev": "1", "pname": "x"}, "config": {}, "metadata": {}})
    assert find_layouts(tmp_path)[0].tool == "VIA 3"
    with pytest.raises(DataError, match=r"is a project of VIA 3.*COCO JSON"):
        ViaDataset(tmp_path)
