"""Import files of AutoML Vision and Vertex AI, as their documentation shows them."""

from __future__ import annotations

import json

import pytest

from keras_retinanet.data.datasets import CsvDataset, VertexDataset, find_layouts
from keras_retinanet.data.errors import DataError

CSV = """TRAIN,gs://folder/a.png,car,0.1,0.25,,,0.5,0.75,,
TRAIN,gs://folder/a.png,bike,.7,.6,,,.8,.9,,
VALIDATION,gs://folder/b.png,car,0.1,0.1,0.2,0.1,0.2,0.3,0.1,0.3
TEST,gs://folder/c.png,,,,,,,,,
UNASSIGNED,gs://folder/d.png,car,0,0,,,1,1,,
"""
USE = "aiplatform.googleapis.com/ml_use"


def line(name, boxes, use):
    return {
        "imageGcsUri": f"gs://folder/{name}",
        "boundingBoxAnnotations": [
            {"displayName": label, "annotationResourceLabels": {"k": "v"}} | sides for label, sides in boxes
        ],
        "dataItemResourceLabels": {USE: use} if use else {},
    }


JSONL = [
    line(
        "a.png",
        [
            ("car", {"xMin": "0.1", "yMin": "0.25", "xMax": "0.5", "yMax": "0.75"}),
            ("bike", {"xMin": 0.7, "yMin": 0.6, "xMax": 0.8, "yMax": 0.9}),
        ],
        "training",
    ),
    line("b.png", [("car", {"xMin": 0.1, "yMin": 0.1, "xMax": 0.2, "yMax": 0.3})], "validation"),
    line("c.png", [], "test"),
    line("d.png", [("car", {"xMax": 1, "yMax": 1})], ""),  # zeros are left out
]
SIZES = dict.fromkeys(("a.png", "b.png", "c.png", "d.png"), (40, 60))
FILES = {"import.csv": CSV, "import.jsonl": "".join(json.dumps(content) + "\n" for content in JSONL)}
A = [("car", [6, 10, 30, 30]), ("bike", [42, 24, 48, 36])]


@pytest.mark.parametrize("name", FILES)
def test_splits_of_one_file(make_set, contents_of, name):
    folder = make_set({name: FILES[name]}, {"images": SIZES})
    for path in (folder, folder / name):
        (layout,) = find_layouts(path)
        assert (layout.format, layout.certainty, layout.tool) == ("vertex", 3, "Vertex AI")
        assert VertexDataset.default_sets(path) == ("train", "validation")
        train = VertexDataset(path)
        assert contents_of(train) == {"gs://folder/a.png": A, "gs://folder/d.png": [("car", [0, 0, 60, 40])]}
        assert "1 images have no split and are used for training" in train.report.notes[0]
        assert contents_of(VertexDataset(path, "validation")) == {"gs://folder/b.png": [("car", [6, 4, 12, 12])]}
        assert contents_of(VertexDataset(path, ".")) == {
            "gs://folder/a.png": A,
            "gs://folder/b.png": [("car", [6, 4, 12, 12])],
            "gs://folder/c.png": [],
            "gs://folder/d.png": [("car", [0, 0, 60, 40])],
        }
    assert CsvDataset.find_layout(folder) is None


def test_lines_without_a_split(make_set, contents_of):
    text = "gs://folder/a.png,car,0.1,0.25,,,0.5,0.75,,\n"
    folder = make_set({"import.csv": text}, {".": SIZES})
    assert find_layouts(folder)[0].format == "vertex"
    assert VertexDataset.default_sets(folder) == (".", None)
    assert contents_of(VertexDataset(folder)) == {"gs://folder/a.png": [("car", [6, 10, 30, 30])]}


def test_broken_lines(make_set):
    lines = ["TRAIN,,car,0,0,,,1,1,,", "TRAIN,gs://x/a.png,,0,0,,,1,1,,", "TRAIN,gs://x/a.png,car,0,q,,,1,1,,"]
    lines += ["TRAIN,gs://x/a.png,car,0,0,,,,,,", "TRAIN,gs://x/a.png,car"]
    folder = make_set({"import.csv": CSV + "\n".join(lines)}, {".": SIZES})
    (note,) = [note for note in VertexDataset(folder).report.notes if "left out: " in note]
    assert note.startswith("5 annotations left out: ")
    for found in ("line 6: names no image", "line 7: names no class", "line 8: a corner is 'q'", "line 9: corners"):
        assert found in note
    with pytest.raises(DataError, match="line 6: names no image"):
        VertexDataset(folder, on_error="error")


def test_broken_json_lines(make_set):
    bad = line("a.png", [("", {"xMin": 0}), ("car", {"xMin": "x"})], "training")
    text = FILES["import.jsonl"] + json.dumps(bad) + '\n[]\n{"imageGcsUri": 3}\n'
    folder = make_set({"import.jsonl": text}, {".": SIZES})
    (note,) = [note for note in VertexDataset(folder, ".").report.notes if "left out: " in note]
    assert note.startswith("4 annotations left out: ")
    assert "line 5, box 2: xMin is 'x'; " in note
    assert "line 6: is []; " in note
