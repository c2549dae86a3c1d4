"""JSON files as Datumaro 1.13.12 writes them."""

from __future__ import annotations

import json

import pytest

from keras_retinanet.data.datasets import DatumaroDataset, find_layouts
from keras_retinanet.data.errors import DataError

# As written: Datumaro keeps float32, and compresses the run lengths of a mask of 13 × 4 pixels.
TRAIN = (
    '{"dm_format_version":"1.0","media_type":2,"infos":{},"categories":{"label":{"labels":[{"name":"dog","parent":"","att'
    'ributes":[]},{"name":"cat","parent":"","attributes":[]}],"label_groups":[],"attributes":[]}},"items":[{"id":"one","a'
    'nnotations":[{"id":0,"type":"bbox","attributes":{},"group":0,"label_id":1,"z_order":0,"bbox":[10.399999618530273,2.5'
    '999999046325684,20.5,20.250000476837158]},{"id":0,"type":"bbox","attributes":{"rotation":90.0,"occluded":false},"gro'
    'up":0,"label_id":0,"z_order":0,"bbox":[20.0,15.0,20.0,10.0]},{"id":0,"type":"polygon","attributes":{},"group":0,"lab'
    'el_id":0,"points":[5.5,6.0,20.0,3.25,9.0,30.0],"z_order":0},{"id":0,"type":"mask","attributes":{},"group":0,"label_i'
    'd":0,"rle":{"counts":"Wi04T100000000000000000000000aQ1","size":[40,60]},"z_order":0},{"id":0,"type":"ellipse","attri'
    'butes":{},"group":0,"label_id":0,"points":[5.0,6.0,15.0,26.0],"z_order":0},{"id":0,"type":"points","attributes":{},"'
    'group":0,"label_id":0,"points":[1.0,2.0,3.0,4.0],"z_order":0,"visibility":[2,2]},{"id":0,"type":"polyline","attribut'
    'es":{},"group":0,"label_id":0,"points":[1.0,2.0,3.0,4.0],"z_order":0},{"id":0,"type":"label","attributes":{},"group"'
    ':0,"label_id":1},{"id":0,"type":"caption","attributes":{},"group":0,"caption":"hello"},{"id":0,"type":"cuboid_2d","a'
    'ttributes":{},"group":0,"label_id":0,"points":[[10,12],[20,12],[20,30],[10,30],[15,14],[25,14],[25,31],[15,31]],"z_o'
    'rder":0}],"image":{"path":"one.jpg"}},{"id":"empty","annotations":[],"image":{"path":"empty.jpg"}}]}'
)
BOX = {"id": 0, "type": "bbox", "attributes": {}, "group": 0, "label_id": 1, "z_order": 0, "bbox": [1, 2, 10, 20]}
FOUND = ("cat", 1, 2, 11, 22)


def content(*items, labels=("dog", "cat"), **more):
    named = [{"name": name, "parent": "", "attributes": []} for name in labels]
    return {"infos": {}, "categories": {"label": {"labels": named, "attributes": []}}, "items": list(items), **more}


def item(name, *annotations, **media):
    return {"id": name, "annotations": list(annotations), **(media or {"image": {"path": f"{name}.jpg"}})}


@pytest.fixture
def write(tmp_path):
    """`write(content, name="train")`: the file of a subset."""

    def write_subset(given, name="train"):
        file = tmp_path / "annotations" / f"{name}.json"
        file.parent.mkdir(exist_ok=True)
        file.write_text(given if isinstance(given, str) else json.dumps(given), encoding="utf-8")
        return file

    return write_subset


def named_boxes(data):
    return [
        [(data.class_names[label], *box) for label, box in zip(sample["labels"], sample["boxes"].tolist(), strict=True)]
        for sample in data
    ]


def test_a_file_of_every_kind_of_annotation(write, write_images, tmp_path):
    write_images(tmp_path / "images" / "train", {"one.jpg": (40, 60), "empty.jpg": (25, 33)})
    file = write(TRAIN)
    data = DatumaroDataset(tmp_path)
    assert data.class_names == ("dog", "cat")
    assert named_boxes(data) == [
        [
            ("cat", 10.399999618530273, 2.5999999046325684, 30.899999618530273, 22.850000381469727),
            ("dog", 25, 10, 35, 30),
            ("dog", 5.5, 3.25, 20, 30),
            ("dog", 20, 7, 33, 11),
            ("dog", 5, 6, 15, 26),
            ("dog", 10, 12, 25, 31),
        ],
        [],
    ]
    assert data.report.notes == [
        f"{file}: shapes replaced by their enclosing boxes: 1 cuboid_2d, 1 ellipse, 1 mask, 1 polygon, 1 rotated box",
        f"{file}: shapes without area, left out: 1 caption, 1 label, 1 points, 1 polyline",
    ]
    (layout,) = find_layouts(tmp_path)
    assert (layout.format, layout.certainty, layout.tool) == ("datumaro", 3, "Datumaro")
    assert layout.evidence == "annotations/train.json"


@pytest.mark.parametrize(
    ("name", "media", "image"),
    [
        ("sub/two", {"image": {"path": "sub_two.jpg"}}, "images/train/sub_two.jpg"),  # Datumaro 1.13
        ("sub/two", {"image": {"path": "sub/two.jpg", "size": [40, 60]}}, "images/train/sub/two.jpg"),  # CVAT 2
        ("two", {"media": {"path": ""}}, "images/train/two.jpg"),
        ("two", {"image": {"path": "C:\\data\\two.jpg"}}, "images/train/two.jpg"),
        ("ü", {"image": {"path": "ü.png"}}, "images/default/ü.png"),
    ],
)
def test_where_images_are(write, write_images, tmp_path, name, media, image):
    picture = tmp_path / image
    write_images(picture.parent, {picture.name: (40, 60)})
    write(content(item(name, BOX, **media)), picture.relative_to(tmp_path / "images").parts[0])
    for path in (tmp_path, *tmp_path.glob("annotations/*.json")):
        data = DatumaroDataset(path)
        assert named_boxes(data) == [[FOUND]]
        assert picture.samefile(data[0]["image"])


def test_subsets_are_sets(write, write_images, tmp_path):
    for subset in ("train", "val", "part 2"):
        write_images(tmp_path / "images" / subset, {"a.jpg": (40, 60)})
        write(content(item("a", BOX)), subset)
    assert DatumaroDataset.default_sets(tmp_path) == ("train", "val")
    assert named_boxes(DatumaroDataset(tmp_path, "part 2")) == [[FOUND]]
    assert DatumaroDataset(tmp_path, "val").report.notes == []


def test_crowds_and_rotated_boxes(write, write_images, tmp_path):
    write_images(tmp_path / "images" / "train", {"a.jpg": (40, 60)})
    turned = {"id": 0, "type": "rotated_bbox", "label_id": 0, "points": [30, 20, 20, 10, -90]}
    write(content(item("a", {**BOX, "attributes": {"is_crowd": True}}, turned)))
    data = DatumaroDataset(tmp_path)
    assert named_boxes(data) == [[FOUND, ("dog", 25, 10, 35, 30)]]
    assert data[0]["ignore"].tolist() == [True, False]


def test_parts_of_skeletons_are_not_classes(write, write_images, tmp_path):
    write_images(tmp_path / "images" / "train", {"a.jpg": (40, 60)})
    given = content(item("a", BOX), labels=("dog", "cat", "paw"))
    given["categories"]["label"]["labels"][2]["parent"] = "dog"
    given["categories"]["label"]["labels"][0]["parent"] = "animals"  # a group, not a label
    write(given)
    assert DatumaroDataset(tmp_path).class_names == ("dog", "cat")


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ({**BOX, "label_id": 2}, "'label_id' is 2"),
        ({**BOX, "label_id": None}, "'label_id' is None"),
        ({**BOX, "bbox": [1, 2, 3]}, r"coordinates are \[1, 2, 3\]"),
        ({**BOX, "bbox": [1, 2, 3, None]}, "has no 3"),
        ({**BOX, "type": "polygon", "points": [1, 2, 3]}, "points are"),
        ({**BOX, "type": "mask", "rle": {"counts": "~", "size": [2, 2]}}, "'rle' is broken"),
        ({**BOX, "type": "blob"}, "'type' is 'blob'"),
        ([], r"is \[\]"),
    ],
)
def test_a_broken_annotation_is_left_out_and_counted(write, write_images, tmp_path, broken, message):
    write_images(tmp_path / "images" / "train", {"a.jpg": (40, 60)})
    file = write(content(item("a", broken, BOX)))
    data = DatumaroDataset(tmp_path)
    assert named_boxes(data) == [[FOUND]]
    (note,) = data.report.notes
    assert note.startswith(f"1 annotations left out: {file}, 'a.jpg', shape 1: ")
    with pytest.raises(DataError, match=f"shape 1: {message}"):
        DatumaroDataset(tmp_path, on_error="error")


def test_videos_and_broken_items_are_refused_by_name(write, write_images, tmp_path):
    write_images(tmp_path / "images" / "train", {"a.jpg": (40, 60)})
    frame = item("frame", BOX, video_frame={"video_path": "a.mp4", "frame_index": 3})
    write(content(frame))
    with pytest.raises(DataError, match=r"item 1: is a video_frame, not an image.*video_frames"):
        DatumaroDataset(tmp_path)
    file = write(content(frame, {"id": 3}, item("a", BOX)))
    data = DatumaroDataset(tmp_path)
    assert named_boxes(data) == [[FOUND]]
    assert data.report.notes[0].startswith(f"2 annotations left out: {file}, item 1: is a video_frame, not an image")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ('{"dm_format_version":"1.0","items":3}', "has no list 'items'"),
        ('{"dm_format_version":"1.0","items":[],"categories":{"label":{"labels":[3]}}}', "broken label categories"),
        ('{"dm_format_version":"1.0","items":[', "is not JSON"),
    ],
)
def test_broken_files(write, tmp_path, given, message):
    write(given)
    with pytest.raises(DataError, match=message):
        DatumaroDataset(tmp_path)
