import numpy as np
import pytest

from keras_retinanet.evaluation import voc
from keras_retinanet.evaluation.metric import MetricSettings

YEARS = [voc.evaluate_2007, voc.evaluate_2010]


def sample(image_id, boxes, labels=None, ignore=None):
    boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
    labels = np.zeros(len(boxes), np.int32) if labels is None else np.asarray(labels, np.int32)
    ignore = np.zeros(len(boxes), bool) if ignore is None else np.asarray(ignore)
    return {"image": f"{image_id}.jpg", "image_id": image_id, "boxes": boxes, "labels": labels, "ignore": ignore}


def found(image_id, boxes, scores, labels=None):
    boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
    labels = np.zeros(len(boxes), int) if labels is None else np.asarray(labels, int)
    return {"image_id": image_id, "boxes": boxes, "scores": np.asarray(scores), "labels": labels}


def test_both_years_by_hand():
    # Two of three boxes found, at ranks 1 and 3: precision 1 to recall 1/3, 2/3 to recall 2/3.
    truth = [sample(1, [[0, 0, 10, 10], [20, 20, 30, 30]]), sample(2, [[0, 0, 10, 10]])]
    detections = [
        found(1, [[0, 0, 10, 10], [0, 0, 10, 9], [20, 20, 30, 30]], [0.9, 0.8, 0.7]),
    ]
    assert voc.evaluate_2010(truth, detections, ["cat"]).stats["mAP"] == pytest.approx(1 / 3 + 1 / 3 * 2 / 3)
    # Of the 11 recalls, 0 … .3 reach 1 and .4 … .6 reach 2/3.
    result = voc.evaluate_2007(truth, detections, ["cat"])
    assert result.stats["mAP"] == pytest.approx((4 + 3 * 2 / 3) / 11)
    assert result.comparable_with == {"mAP": "Pascal VOC 2007", "weighted_mAP": "Pascal VOC 2007"}


def test_no_detection_is_too_many_and_no_score_too_low():
    corners = np.array([[20 * x, 20 * y] for y in range(15) for x in range(20)])
    boxes = np.concatenate([corners, corners + 15], axis=1)
    for evaluate in YEARS:
        pair = [sample(1, boxes)], [found(1, boxes, np.linspace(1, 0.001, 300))]
        assert evaluate(*pair, ["tree"]).stats["mAP"] == pytest.approx(1)
    half = voc.evaluate_2010(*pair, ["tree"], MetricSettings(max_detections=150))
    assert half.stats["mAP"] == pytest.approx(0.5)
    assert half.comparable_with["mAP"] == "own extension"
    scored = voc.evaluate_2010(*pair, ["tree"], MetricSettings(score_threshold=1.0))
    assert scored.stats["mAP"] == 0


def test_several_iou_thresholds():
    pair = [sample(1, [[0, 0, 10, 10]])], [found(1, [[0, 0, 10, 6]], [0.9])]  # IoU 0.6
    result = voc.evaluate_2010(*pair, ["cat"], MetricSettings(iou_thresholds=(0.3, 0.6, 0.7, 0.9)))
    assert result.stats["mAP"] == result.per_class["AP"][0] == 0.5
    assert [result.stats[f"mAP@{name}"] for name in ("0.30", "0.60", "0.70", "0.90")] == [1, 1, 0, 0]
    assert result.comparable_with["mAP"] == "own extension"


@pytest.mark.parametrize("evaluate", YEARS)
def test_difficult_boxes_count_neither_way(evaluate):
    samples = [sample(1, [[0, 0, 10, 10], [20, 20, 30, 30]], ignore=[False, True])]
    detections = [found(1, [[20, 20, 30, 30], [20, 20, 30, 30], [0, 0, 10, 10]], [0.9, 0.85, 0.8])]
    result = evaluate(samples, detections, ["cat"])
    assert result.stats["mAP"] == pytest.approx(1)
    assert result.num_boxes.tolist() == [1]


@pytest.mark.parametrize("evaluate", YEARS)
def test_nothing_found_is_zero_and_nothing_annotated_is_minus_one(evaluate):
    assert evaluate([sample(1, [[0, 0, 10, 10]])], [], ["cat"]).stats == {"mAP": 0, "weighted_mAP": 0}
    stray = [found(1, [[0, 0, 10, 10]], [0.9])]
    assert evaluate([sample(1, [])], stray, ["cat"]).stats == {"mAP": -1, "weighted_mAP": -1}
    assert evaluate([], [], []).stats == {"mAP": -1, "weighted_mAP": -1}


@pytest.mark.parametrize(("threshold", "right"), [(0.5, 1.0), (0.500001, 0.0)])
def test_an_iou_equal_to_the_threshold_is_right(threshold, right):
    """The upper half of a box has IoU 50 / 100 with it."""
    pair = [sample(1, [[0, 0, 10, 10]])], [found(1, [[0, 0, 10, 5]], [0.9])]
    assert voc.evaluate_2010(*pair, ["cat"], MetricSettings(iou_thresholds=(threshold,))).stats["mAP"] == right
