"""Lists of label errors, and files that readers of labelling tools open again."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from keras_retinanet.analysis.label_error_files import LabelReview, write_label_errors
from keras_retinanet.analysis.label_errors import find_label_errors
from keras_retinanet.analysis.matches import match
from keras_retinanet.data.datasets import DATASETS

RIGHT, RENAMED, MOVED, MISSING = (0, 0, 50, 50), (100, 0, 150, 50), (200, 0, 250, 50), (0, 200, 50, 250)
FOUND = (200, 20, 250, 70)


@pytest.fixture(scope="module")
def write(sample, found):
    """Writes the errors of two images, the second without any, and returns the path."""
    truth = [
        sample(RIGHT, RENAMED, MOVED, labels=[0, 1, 0]) | {"image": "pictures/a.png"},
        sample((0, 0, 9, 9), image_id=7) | {"image": "pictures/b.png"},
    ]
    detections = [found(RIGHT, RENAMED, FOUND, MISSING, scores=[0.9, 0.8, 0.7, 0.6])]
    errors = find_label_errors(match(truth, detections, ["cat", "dog"]))

    def write_to(path):
        write_label_errors(path, LabelReview(errors, truth, ["cat", "dog"], [4, 5]))
        for name in "ab":
            Image.fromarray(np.zeros((300, 300, 3), np.uint8)).save(path.parent / f"{name}.png")
        return path

    return write_to


def test_lists(write, tmp_path):
    rows = list(csv.DictReader(write(tmp_path / "errors.csv").read_text(encoding="utf-8").splitlines()))
    assert [row["kind"] for row in rows] == ["wrong_class", "missing", "misplaced"]
    assert (rows[0]["label"], rows[0]["suggested_label"], rows[0]["row"], rows[0]["x1"]) == (
        "dog",
        "cat",
        "1",
        "100.00",
    )
    assert (rows[1]["label"], rows[1]["row"], rows[1]["x1"], rows[1]["suggested_y2"]) == ("", "", "", "250.00")
    entries = json.loads(write(tmp_path / "errors.json").read_text(encoding="utf-8"))
    assert entries[2]["kind"] == "misplaced"
    assert entries[2]["suggested_box"] == list(FOUND)
    assert (entries[1]["label"], entries[1]["box"]) == (None, None)


def test_coco_file_opens_again(write, tmp_path):
    path = write(tmp_path / "errors.coco.json")
    records = json.loads(path.read_text(encoding="utf-8"))["annotations"]
    attributes = [record.get("attributes", {}).get("suspect") for record in records]
    assert attributes == [None, "wrong_class", "misplaced", "missing", None]
    assert records[1]["attributes"]["suggested_label"] == "cat"
    assert records[2]["attributes"]["suggested_box"] == "200.0, 20.0, 250.0, 70.0"
    first, second = DATASETS["coco"](path, DATASETS["coco"].default_sets(str(path))[0])
    np.testing.assert_array_equal(first["boxes"], [RIGHT, RENAMED, MOVED, MISSING])
    assert first["labels"].tolist() == [0, 1, 0, 0]
    assert (second["image_id"], len(second["boxes"])) == (7, 1)


def test_label_studio_file_opens_again(write, tmp_path):
    path = write(tmp_path / "errors.labelstudio.json")
    (task,) = json.loads(path.read_text(encoding="utf-8"))  # images without suggestions need no review
    (prediction,) = task["predictions"]
    assert [region["value"]["rectanglelabels"] for region in prediction["result"]] == [["cat"]] * 3
    assert prediction["result"][1]["value"] == {
        "x": 0, "y": 200 / 3, "width": 50 / 3, "height": 50 / 3, "rotation": 0, "rectanglelabels": ["cat"],
    }  # fmt: skip
    layout = DATASETS["labelstudio"].find_layout(str(path))
    assert layout is not None
    (entry,) = DATASETS["labelstudio"](str(path), DATASETS["labelstudio"].default_sets(str(path))[0])
    np.testing.assert_allclose(entry["boxes"], [RIGHT, RENAMED, MOVED], atol=1e-3)


def test_the_end_of_the_name_decides(write, tmp_path):
    with pytest.raises(ValueError, match=r"errors.txt ends with none of .csv, .coco.json, .labelstudio.json, .json"):
        write(tmp_path / "errors.txt")
