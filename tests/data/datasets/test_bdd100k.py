"""BDD100K's releases of 2018 and 2020, and Scalabel's own layout."""

from __future__ import annotations

import json

import pytest

from keras_retinanet.data.datasets import Bdd100kDataset, find_layouts
from keras_retinanet.data.errors import DataError


def box(category, x1, y1, x2, y2, **attributes):
    attributes = {"occluded": False, "truncated": False, "trafficLightColor": "NA"} | attributes
    sides = {"x1": x1, "y1": y1, "x2": x2, "y2": y2}
    return {"id": "1", "attributes": attributes, "category": category, "box2d": sides}


LANE = {"category": "lane", "poly2d": [{"vertices": [[1, 2], [3, 4]], "types": "LL", "closed": False}]}
AREA = {
    "category": "drivable area",
    "poly2d": [{"vertices": [[1, 2], [30, 4], [9, 9]], "types": "LLL", "closed": True}],
}
FRAMES = [
    {
        "name": "b1c66a42-6f7d68ca.jpg",
        "attributes": {"weather": "overcast", "scene": "city street", "timeofday": "daytime"},
        "timestamp": 10000,
        "labels": [box("traffic light", 1.25, 2.5, 11, 22), box("person", 3, 3, 9, 9, crowd=True), LANE, AREA],
    },
    {"name": "b1c9c847-3bda4659.jpg", "timestamp": 10000},
    {"name": "b1ca2e5d-84cf9134.jpg", "timestamp": 10000, "labels": None},
]
SIZES = {"b1c66a42-6f7d68ca.jpg": (40, 60), "b1c9c847-3bda4659.jpg": (60, 40), "b1ca2e5d-84cf9134.jpg": (30, 30)}


@pytest.mark.parametrize(
    ("file", "images"),
    [
        ("labels/det_20/det_{}.json", "images/100k/{}"),
        ("bdd100k/labels/bdd100k_labels_images_{}.json", "bdd100k/images/100k/{}"),
        ("{}.json", "images/{}"),
    ],
)
def test_releases(make_set, contents_of, file, images):
    files = {file.format(split): json.dumps(FRAMES) for split in ("train", "val")}
    folder = make_set(files, {images.format(split): SIZES for split in ("train", "val")})
    (layout,) = find_layouts(folder)
    assert (layout.format, layout.certainty) == ("bdd100k", 3)
    assert Bdd100kDataset.default_sets(folder) == ("train", "val")
    data = Bdd100kDataset(folder, "val")
    assert contents_of(data) == {
        "b1c66a42-6f7d68ca.jpg": [("traffic light", [1.25, 2.5, 11, 22]), ("!person", [3, 3, 9, 9])],
        "b1c9c847-3bda4659.jpg": [],
        "b1ca2e5d-84cf9134.jpg": [],
    }
    assert data[0]["image"] == f"{folder}/{images.format('val')}/b1c66a42-6f7d68ca.jpg"
    assert any("2 labels have no box and are left out" in note for note in data.report.notes)
    assert [sample["image"] for sample in Bdd100kDataset(folder / file.format("val"))] == [s["image"] for s in data]


def test_scalabel_with_frames_and_tracks(make_set, contents_of):
    frames = [
        {"name": f"v1-{n}.jpg", "videoName": "v1", "frameIndex": n, "labels": [box("car", n, 0, 9, 9)]} for n in (1, 2)
    ]
    content = {"config": {"imageSize": {"height": 40, "width": 60}, "categories": [{"name": "car"}]}, "frames": frames}
    folder = make_set({"box_track_20/train.json": json.dumps(content, indent=2)}, {"images/track/train/v1": TRACK})
    assert contents_of(Bdd100kDataset(folder)) == {
        "v1/v1-1.jpg": [("car", [1, 0, 9, 9])],
        "v1/v1-2.jpg": [("car", [2, 0, 9, 9])],
    }


TRACK = {"v1-1.jpg": (40, 60), "v1-2.jpg": (40, 60)}


def test_masks_alone_become_boxes(make_set, contents_of):
    labels = [AREA, {"category": "car", "rle": {"size": [4, 5], "counts": [5, 2, 13]}}, LANE]  # rows 1, 2 of column 1
    folder = make_set(
        {"ins_seg_train.json": json.dumps([{"name": "a.jpg", "labels": labels}])}, {"images": {"a.jpg": (40, 60)}}
    )
    data = Bdd100kDataset(folder)
    assert contents_of(data) == {"a.jpg": [("drivable area", [1, 2, 30, 9]), ("car", [1, 1, 2, 3])]}
    assert [note.split(": ", 1)[1] for note in data.report.notes] == [
        "2 polygons or masks: their enclosing boxes are used",
        "1 labels have no box and are left out (lanes, areas, 3D boxes, key points)",
    ]


def test_broken_labels(make_set):
    bad = [{"category": "car", "box2d": {"x1": 1, "y1": "q", "x2": 3, "y2": 4}}, {"box2d": {}}, "x"]
    frames = [{**FRAMES[0], "labels": [box("car", 1, 2, 3, 4), *bad]}, {"labels": []}]
    folder = make_set({"train.json": json.dumps(frames)}, {".": SIZES})
    (note,) = [note for note in Bdd100kDataset(folder).report.notes if "left out: " in note]
    assert note.startswith("4 annotations left out: ")
    assert "train.json, frame 1, label 2: y1 is 'q'; " in note
    assert "train.json, frame 2: name is None" in note
    with pytest.raises(DataError, match="frame 1, label 2: y1 is 'q'"):
        Bdd100kDataset(folder, on_error="error")


@pytest.mark.parametrize(
    "content",
    [
        [],
        {},
        {"images": [], "annotations": [], "categories": []},
        [{"image": "a.jpg", "annotations": [{"label": "x", "coordinates": {"x": 1}}]}],
        [{"name": "a", "value": 3}],
    ],
)
def test_other_json_files(make_set, content):
    assert Bdd100kDataset.find_layout(make_set({"a.json": json.dumps(content)}, {})) is None


def test_one_file_per_image(tmp_path, write_images):
    """The labels of 2018 before they were joined: the name has no suffix, and objects are those of the only frame."""
    write_images(tmp_path / "images" / "100k" / "train", {"a-1.jpg": (40, 60), "b-2.jpg": (40, 60)})
    home = tmp_path / "labels" / "100k" / "train"
    home.mkdir(parents=True)
    for name, objects in (("a-1", [box("car", 1, 2, 11, 22), LANE]), ("b-2", [box("bus", 0, 0, 5, 5)])):
        page = {"name": name, "frames": [{"timestamp": 10000, "objects": objects}], "attributes": {"scene": "tunnel"}}
        (home / f"{name}.json").write_text(json.dumps(page))
    assert find_layouts(tmp_path)[0].format == "bdd100k"
    assert Bdd100kDataset.default_sets(tmp_path) == ("train", None)
    data = Bdd100kDataset(tmp_path)
    assert data.class_names == ("bus", "car")
    assert [sample["boxes"].tolist() for sample in data] == [[[1, 2, 11, 22]], [[0, 0, 5, 5]]]
    assert str(home / "b-2.json") in data.contents.sources
    (home / "c-3.json").write_text('{"name": ')
    assert "c-3.json: is not JSON" in "\n".join(Bdd100kDataset(tmp_path).report.notes)


def test_one_file_per_video(tmp_path, write_images):
    """Tracks: each file has the frames of a video, each file of a split belongs to one set."""
    for video in ("v1", "v2"):
        sizes = {f"{video}-1.jpg": (40, 60), f"{video}-2.jpg": (40, 60)}
        write_images(tmp_path / "images" / "track" / "val" / video, sizes)
        home = tmp_path / "labels" / "box_track_20" / "val"
        home.mkdir(parents=True, exist_ok=True)
        frames = [
            {"name": f"{video}-{number}.jpg", "videoName": video, "frameIndex": number,
             "labels": [box("car", 1, 2, 11, 20 + number)]}
            for number in (1, 2)
        ]  # fmt: skip
        (home / f"{video}.json").write_text(json.dumps(frames))
    data = Bdd100kDataset(tmp_path, "val")
    assert [sample["boxes"].tolist() for sample in data] == [[[1, 2, 11, 21]], [[1, 2, 11, 22]]] * 2
