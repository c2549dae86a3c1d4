import dataclasses
import json

import numpy as np
import pytest

from keras_retinanet.evaluation import coco, report, voc
from keras_retinanet.evaluation.metric import MetricSettings

SAMPLES = [
    {
        "image": "7.jpg", "image_id": 7, "boxes": np.array([[0, 0, 40, 40], [50, 50, 60, 70]], np.float32),
        "labels": np.array([0, 2], np.int32), "ignore": np.zeros(2, bool),
    }
]  # fmt: skip
DETECTIONS = [
    {
        "image_id": 7, "boxes": np.array([[0, 0, 40, 40.125], [1.5, 2.25, 3, 4]], np.float32),
        "scores": np.array([0.9, 0.1], np.float32), "labels": np.array([0, 1], np.int32),
    }
]  # fmt: skip
NAMES = ["red blood cell", "dog", "ant"]


def test_stats_stand_in_coco_order_and_aligned():
    lines = report.stats_table(coco.evaluate(SAMPLES, DETECTIONS, NAMES)).splitlines()
    assert [line.split()[0] for line in lines] == ["number", *coco.STATS]
    assert lines[0] == "number  value  meaning                               comparable with"
    assert lines[1] == "AP      0.500  mean AP of IoU 0.50 … 0.95            COCO leaderboard"
    assert lines[5] == "APm     1.000  AP of medium objects                  COCO leaderboard"
    assert lines[6] == "APl         -  AP of large objects, above 96² px     COCO leaderboard"
    assert lines[9] == "AR100   0.500  recall with 100 detections per image  COCO leaderboard"


def test_classes_stand_in_label_order_and_aligned():
    assert report.class_table(coco.evaluate(SAMPLES, DETECTIONS, NAMES)).splitlines() == [
        "class           boxes     AP   AP50",
        "red blood cell      1  1.000  1.000",
        "dog                 0      -      -",
        "ant                 1  0.000  0.000",
    ]
    assert report.class_table(voc.evaluate_2010([], [], ["a"])).splitlines() == ["class  boxes  AP", "a          0   -"]
    assert report.class_table(coco.evaluate([], [], [])) == "class  boxes  AP  AP50"


def test_notes_follow_the_numbers():
    result = dataclasses.replace(voc.evaluate_2010(SAMPLES, DETECTIONS, NAMES), notes=("one", "two"))
    lines = report.stats_table(result).splitlines()
    assert lines[1].endswith("Pascal VOC 2010-2012")
    assert lines[-2:] == ["note: one", "note: two"]
    assert report.to_dict(result)["notes"] == ["one", "two"]
    own = coco.evaluate(SAMPLES, DETECTIONS, NAMES, MetricSettings(max_detections=7))
    assert set(report.to_dict(own)["comparable_with"].values()) == {"own extension"}


def test_json_is_strict(tmp_path):
    result = coco.evaluate(SAMPLES, DETECTIONS, NAMES)
    path = tmp_path / "new folder" / "result.json"
    report.write_json(path, report.to_dict(result))

    def refuse(constant):
        raise AssertionError(constant)

    content = json.loads(path.read_text(), parse_constant=refuse)
    assert content["stats"] == result.stats
    assert content["comparable_with"] == dict.fromkeys(coco.STATS, "COCO leaderboard")
    assert content["classes"]["dog"] == {"boxes": 0, "AP": None, "AP50": None}
    assert content["classes"]["ant"] == {"boxes": 1, "AP": 0.0, "AP50": 0.0}
    assert (content["images"], content["detections"]) == (1, 2)
    with pytest.raises(ValueError, match="JSON"):
        report.write_json(path, {"AP": float("nan")})


def test_detections_in_coco_format():
    records = list(report.coco_results(DETECTIONS, category_ids=[1, 18, 90]))
    assert records == [
        {"image_id": 7, "category_id": 1, "bbox": [0, 0, 40, 40.125], "score": 0.9},
        {"image_id": 7, "category_id": 18, "bbox": [1.5, 2.25, 1.5, 1.75], "score": 0.1},
    ]
    assert list(report.coco_results([], [])) == []


def test_detections_are_written_one_per_line(tmp_path):
    report.write_coco_results(tmp_path / "new" / "found.json", DETECTIONS, [1, 18, 90])
    text = (tmp_path / "new" / "found.json").read_text()
    assert json.loads(text) == list(report.coco_results(DETECTIONS, [1, 18, 90]))
    assert len(text.splitlines()) == 2 + 2
    report.write_coco_results(tmp_path / "none.json", [], [])
    assert json.loads((tmp_path / "none.json").read_text()) == []
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["none.json"]
