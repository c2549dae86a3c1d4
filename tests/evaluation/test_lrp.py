import numpy as np
import pytest

from keras_retinanet.evaluation import lrp
from keras_retinanet.evaluation.metric import MetricSettings


def sample(image_id, boxes, labels):
    arrays = {"labels": np.array(labels, int), "ignore": np.zeros(len(labels), bool)}
    return {"image": "a.jpg", "image_id": image_id, "boxes": np.array(boxes, np.float32).reshape(-1, 4), **arrays}


def found(image_id, boxes, scores, labels):
    arrays = {"scores": np.array(scores), "labels": np.array(labels, int)}
    return {"image_id": image_id, "boxes": np.array(boxes, np.float32).reshape(-1, 4), **arrays}


TRUTH = [sample(1, [[0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10]], [0, 0, 1])]
FOUND = [
    # class 0: IoU .9, a miss, IoU .8; class 1: nothing
    found(1, [[0, 0, 10, 9], [90, 90, 99, 99], [20, 0, 30, 8]], [0.9, 0.6, 0.5], [0, 0, 0])
]  # fmt: skip


def test_a_worked_case():
    result = lrp.evaluate(TRUTH, FOUND, ["cat", "dog", "cow"])
    # After 1 detection: (.1/.5 + 1) / 2 = .6; after 2: (.2 + 1 + 1) / 3 = .733; after 3: (.2 + .4 + 1) / 3 = .533.
    cat = {name: column[0] for name, column in result.per_class.items()}
    assert cat == pytest.approx(
        {"oLRP": 1.6 / 3, "oLRP_box": 0.15, "oLRP_fp": 1 / 3, "oLRP_fn": 0, "LRP": 1.6 / 3}, abs=1e-6
    )
    dog = {name: column[1] for name, column in result.per_class.items()}
    assert (dog["oLRP"], dog["oLRP_fn"], dog["LRP"]) == (1, 1, 1)
    assert np.isnan([dog["oLRP_box"], dog["oLRP_fp"]]).all()  # nothing is found
    assert np.isnan([column[2] for column in result.per_class.values()]).all()  # no boxes
    assert result.stats == pytest.approx(
        {"oLRP": (1.6 / 3 + 1) / 2, "oLRP_box": 0.15, "oLRP_fp": 1 / 3, "oLRP_fn": 0.5, "LRP": (1.6 / 3 + 1) / 2},
        abs=1e-6,
    )
    assert set(result.comparable_with.values()) == {"LRP paper"}


def test_the_best_threshold_leaves_wrong_detections_out():
    wrong = found(1, [[0, 0, 10, 10], *[[90, 90, 99, 99]] * 3], [0.9, 0.2, 0.2, 0.1], [0] * 4)
    result = lrp.evaluate([sample(1, [[0, 0, 10, 10]], [0])], [wrong], ["cat"])
    assert (result.stats["oLRP"], result.stats["oLRP_fp"], result.stats["LRP"]) == (0, 0, 0.75)
    scored = lrp.evaluate([sample(1, [[0, 0, 10, 10]], [0])], [wrong], ["cat"], MetricSettings(score_threshold=0.1))
    assert scored.stats["LRP"] == pytest.approx(2 / 3)
    assert scored.comparable_with["LRP"] == "own extension"


def test_iou_thresholds_change_the_weight_of_loose_boxes():
    result = lrp.evaluate(TRUTH, FOUND, ["cat"] * 2, MetricSettings(iou_thresholds=(0.5, 0.75, 0.85)))
    # .75: (.1/.25 + .2/.25 + 1) / 3 = .733, or the first alone (.4 + 1) / 2 = .7; .85: (.1/.15 + 1) / 2 = .833.
    assert result.per_class["oLRP"][0] == pytest.approx((1.6 / 3 + 0.7 + (0.1 / 0.15 + 1) / 2) / 3, abs=1e-6)


def test_nothing_annotated():
    assert set(lrp.evaluate([sample(1, [], [])], FOUND, ["cat"]).stats.values()) == {-1}
    assert set(lrp.evaluate([], [], []).stats.values()) == {-1}
