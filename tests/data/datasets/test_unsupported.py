"""Formats that are not read are refused by their names, with the way round."""

from __future__ import annotations

import json

import pytest

from keras_retinanet.data.datasets import find_layouts
from keras_retinanet.data.datasets.unsupported import UNSUPPORTED, find_unsupported
from keras_retinanet.data.errors import DataError
from keras_retinanet.data.recognition import recognise

LABELBOX = [{"ID": "x", "Labeled Data": "https://x/a.jpg", "Label": {"objects": []}, "External ID": "a.jpg"}]
POINTS = {"exterior": [[1, 2], [3, 4]], "interior": []}
SUPERVISELY = {"size": {"height": 1, "width": 1}, "objects": [{"classTitle": "dog", "points": POINTS}]}
DARWIN = {
    "version": "2.0",
    "schema_ref": "https://darwin-public.s3.amazonaws.com/darwin_json/2.0/schema.json",
    "item": {},
}
VOTT = {"name": "p", "securityToken": "t", "tags": [{"name": "dog"}], "assets": {"1": {"asset": {"name": "a.jpg"}}}}
FIFTYONE = {"classes": ["dog"], "labels": {"a": [{"label": 0, "bounding_box": [0.1, 0.2, 0.3, 0.4]}]}}
LABEL_STUDIO = "annotation_id,annotator,created_at,id,image,label,lead_time,updated_at\n1,1,2024,1,/a.jpg,[],3,2024\n"
FILES = {
    "FiftyOne's own JSON": ("labels.json", json.dumps(FIFTYONE)),
    "Label Studio's CSV or TSV": ("project-1.csv", LABEL_STUDIO),
    "Labelbox's export v1": ("export-2022.json", json.dumps(LABELBOX)),
    "MOT Challenge (tracks in videos)": ("train/MOT17-02/gt/gt.txt", "1,1,912,484,97,109,0,7,1\n"),
    "Roboflow's multi-label classification": ("train/_classes.csv", "filename, cat, dog\na.jpg, 1, 0\n"),
    "Supervisely": ("ds0/ann/a.jpg.json", json.dumps(SUPERVISELY)),
    "V7 Darwin JSON": ("annotations/a.json", json.dumps(DARWIN)),
    "VisDrone-VID (tracks in videos)": ("annotations/uav0001.txt", "1,0,593,43,174,190,0,0,0,0\n"),
    "VoTT's JSON": ("vott-json-export/p-export.json", json.dumps(VOTT)),
}


@pytest.mark.parametrize("name", FILES)
def test_refused_by_name_with_the_way_round(make_set, name):
    file, text = FILES[name]
    folder = make_set({file: text}, {"images": {"a.jpg": (40, 60)}})
    known, shown = find_unsupported(folder)
    assert (known.name, shown) == (name, folder / file)
    assert find_layouts(folder) == []
    with pytest.raises(DataError) as caught:
        recognise(folder, "retinanet-train")
    assert caught.value.found == f"is {name} ({file}), which is not read"
    assert caught.value.fix == known.way_round
    with pytest.raises(DataError, match="which is not read"):
        recognise(folder / file, "retinanet-train")


def test_every_format_has_a_case_and_the_table_is_sorted():
    names = [known.name for known in UNSUPPORTED]
    assert names == sorted(FILES, key=str.casefold)


def test_other_files(make_set):
    folder = make_set({"a.json": "{}", "notes.txt": "1,2\n", "b.vott": "x"}, {})
    assert find_unsupported(folder) is None
    assert find_unsupported(folder / "gone") is None
