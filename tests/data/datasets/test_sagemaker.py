"""Manifests of SageMaker Ground Truth and of Rekognition Custom Labels, as their documentation shows them."""

from __future__ import annotations

import json

import pytest

from keras_retinanet.data.datasets import SageMakerDataset, find_layouts
from keras_retinanet.data.errors import DataError


def line(name, boxes, job="bounding-box", classes=("Echo", "Echo Dot"), **more):
    annotations = [
        {"class_id": label, "top": y, "left": x, "width": width, "height": height}
        for label, x, y, width, height in boxes
    ]
    metadata = {
        "objects": [{"confidence": 1}] * len(boxes),
        "class-map": {str(number): name for number, name in enumerate(classes)},
        "type": "groundtruth/object-detection",
        "human-annotated": "yes",
        "creation-date": "2013-11-18T02:53:27",
        "job-name": "my job",
    }
    size = [{"width": 60, "height": 40, "depth": 3}]
    own = {job: {"image_size": size, "annotations": annotations}, f"{job}-metadata": metadata}
    return {"source-ref": f"s3://bucket/images/{name}", **own, **more}


FIRST = line("a.jpg", [(1, 1, 2, 10, 20), (0, 30, 5, 8, 6)])
EMPTY = line("ñ b.jpg", [], classes=())
FAILED = {
    "source-ref": "s3://bucket/images/c.jpg",
    "bounding-box-metadata": {"failure-reason": "ClientError", "type": "groundtruth/object-detection"},
}
SIZES = {"a.jpg": (40, 60), "ñ b.jpg": (60, 40), "c.jpg": (30, 30)}


def text(*lines):
    return "".join(json.dumps(content) + "\n" for content in lines)


def test_boxes_and_failed_images(make_set, contents_of):
    folder = make_set({"output.manifest": text(FIRST, EMPTY, FAILED)}, {"images": SIZES})
    data = SageMakerDataset(folder)
    assert contents_of(data) == {
        "s3://bucket/images/a.jpg": [("Echo Dot", [1, 2, 11, 22]), ("Echo", [30, 5, 38, 11])],
        "s3://bucket/images/ñ b.jpg": [],
    }
    assert data[1]["image"] == f"{folder}/images/ñ b.jpg"
    notes = [note.split(": ", 1)[1] for note in data.report.notes]
    assert notes[0] == "1 images have no boxes of a finished job and are left out"
    assert notes[1].startswith("2 image paths lead elsewhere, such as 's3://bucket/images/a.jpg'")
    (layout,) = find_layouts(folder / "output.manifest")
    assert (layout.format, layout.certainty, layout.tool) == ("sagemaker", 3, "SageMaker Ground Truth")


def test_the_last_of_several_jobs(make_set, contents_of):
    adjusted = line("a.jpg", [(0, 5, 5, 5, 5)], job="adjusted")
    folder = make_set({"output.manifest": text(FIRST | adjusted)}, {".": SIZES})
    data = SageMakerDataset(folder)
    assert contents_of(data) == {"s3://bucket/images/a.jpg": [("Echo", [5, 5, 10, 10])]}
    assert "1 images have boxes of several jobs: the last ones are used" in data.report.notes[0]


def test_splits(make_set):
    files = {"train.manifest": text(FIRST), "validation.manifest": text(FIRST)}
    folder = make_set(files, {"images": SIZES})
    assert SageMakerDataset.default_sets(folder) == ("train", "validation")
    assert len(SageMakerDataset(folder, "validation")) == 1


def test_broken_lines(make_set):
    broken = json.loads(json.dumps(FIRST))
    broken["bounding-box"]["annotations"] += [
        {"class_id": 9, "top": 1, "left": 1, "width": 1, "height": 1},
        {"class_id": 0, "top": 1, "left": None, "width": 1, "height": 1},
    ]
    folder = make_set({"output.manifest": text(broken, {**FIRST, "source-ref": 5}) + "{\n"}, {".": SIZES})
    data = SageMakerDataset(folder)
    assert len(data[0]["labels"]) == 2
    (note,) = [note for note in data.report.notes if "left out: " in note]
    assert note.startswith("4 annotations left out: ")
    assert "line 1, box 3: class_id '9' is not in the class-map; " in note
    assert "line 1, box 4: left is None; " in note
    assert "line 2: source-ref is 5; " in note
    with pytest.raises(DataError, match="line 1, box 3"):
        SageMakerDataset(folder, on_error="error")
