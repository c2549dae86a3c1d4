"""Labelbox's export v2 (NDJSON), as its documentation shows it."""

from __future__ import annotations

import json

import pytest

from keras_retinanet.data.datasets import LabelboxDataset, find_layouts
from keras_retinanet.data.errors import DataError


def row(objects, labels=1, **names):
    label = {
        "label_kind": "Default",
        "version": "1.0.0",
        "id": "cm1",
        "label_details": {"is_benchmark_reference": False},
        "annotations": {"objects": objects, "classifications": [], "relationships": []},
    }
    return {
        "data_row": {"id": "clx7v1", "row_data": "https://storage.labelbox.com/x%2Fy?token=1", **names},
        "media_attributes": {"height": 40, "width": 60, "asset_type": "image", "mime_type": "image/jpeg"},
        "projects": {"clp1": {"name": "p", "labels": [label] * labels, "project_details": {}}},
    }


def item(name, kind, **shape):
    return {
        "feature_id": "f",
        "feature_schema_id": "s",
        "name": name,
        "value": name.lower(),
        "annotation_kind": kind,
    } | shape


BOX = item("Dog", "ImageBoundingBox", bounding_box={"top": 2.0, "left": 1.5, "height": 20.0, "width": 10.0})
POLYGON = item("Cat", "ImagePolygon", polygon=[{"x": 30.0, "y": 5.0}, {"x": 38.5, "y": 9.0}, {"x": 31.0, "y": 11.0}])
OTHERS = [
    item("Cat", "ImagePoint", point={"x": 1.0, "y": 1.0}),
    item("Cat", "ImagePolyline", line=[{"x": 1.0, "y": 1.0}, {"x": 2.0, "y": 2.0}]),
    item("Cat", "ImageSegmentationMask", mask={"url": "https://api.labelbox.com/mask"}),
]
ROWS = [
    row([BOX, POLYGON, *OTHERS], external_id="a.jpg", global_key="key-a"),
    row([], external_id="upload.tmp", global_key="é b.jpg"),
    row([BOX], labels=0, external_id="c.jpg"),
    row([BOX], labels=2, row_data="https://storage.googleapis.com/bucket/d.jpg"),
]
SIZES = {"a.jpg": (40, 60), "é b.jpg": (60, 40), "c.jpg": (30, 30), "d.jpg": (40, 60)}


def text(*rows):
    return "".join(json.dumps(content) + "\n" for content in rows)


def test_shapes_names_and_notes(make_set, contents_of):
    folder = make_set({"Export v2 project - p.ndjson": text(*ROWS)}, {"images": SIZES})
    data = LabelboxDataset(folder)
    assert contents_of(data) == {
        "a.jpg": [("Dog", [1.5, 2, 11.5, 22]), ("Cat", [30, 5, 38.5, 11])],
        "upload.tmp": [],
        "https://storage.googleapis.com/bucket/d.jpg": [("Dog", [1.5, 2, 11.5, 22])],
    }
    assert data[1]["image"] == f"{folder}/images/é b.jpg"
    notes = {note.split(": ", 1)[1] for note in data.report.notes}
    assert notes >= {
        "1 polygons: their enclosing boxes are used",
        "2 points or lines are left out",
        "1 masks are left out: the export only links to them; export the project as COCO instead",
        "1 images have no label and are left out",
        "1 images have several labels: the first is used",
    }
    (layout,) = find_layouts(folder)
    assert (layout.format, layout.certainty, layout.tool) == ("labelbox", 3, "Labelbox")


def test_broken_objects_and_videos(make_set):
    video = row([], external_id="a.jpg")
    video["projects"]["clp1"]["labels"][0]["annotations"] = {"frames": {"1": {"objects": {}}}}
    bad = [{**BOX, "bounding_box": {"top": 1}}, {"annotation_kind": "ImageBoundingBox"}, item("Dog", "Cuboid")]
    folder = make_set(
        {"export.ndjson": text(row([BOX, *bad], external_id="a.jpg"), video, {"data_row": 1})}, {".": SIZES}
    )
    data = LabelboxDataset(folder)
    assert len(data[0]["labels"]) == 1
    (note,) = [note for note in data.report.notes if "left out: " in note]
    assert note.startswith("5 annotations left out: ")
    assert "line 1, object 2: has no 'left'; " in note
    assert "line 1, object 4: is 'Cuboid'; " in note
    assert "line 2: is a video with labels per frame" in note
    with pytest.raises(DataError, match="line 1, object 2: has no 'left'"):
        LabelboxDataset(folder, on_error="error")
