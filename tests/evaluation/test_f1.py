import numpy as np
import pytest

from keras_retinanet.evaluation import f1
from keras_retinanet.evaluation.metric import MetricSettings


def sample(image_id, boxes, labels, ignore=None):
    ignore = np.zeros(len(labels), bool) if ignore is None else np.array(ignore)
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    return {"image": "a.jpg", "image_id": image_id, "boxes": boxes, "labels": np.array(labels, int), "ignore": ignore}


def found(image_id, boxes, scores, labels):
    arrays = {"scores": np.array(scores), "labels": np.array(labels, int)}
    return {"image_id": image_id, "boxes": np.array(boxes, np.float32).reshape(-1, 4), **arrays}


FIRST, SECOND, THIRD, AWAY = [0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10], [90, 90, 99, 99]
TRUTH = [sample(1, [FIRST, SECOND, THIRD], [0, 0, 1])]
FOUND = [found(1, [FIRST, AWAY, SECOND, THIRD, AWAY], [0.9, 0.8, 0.7, 0.2, 0.1], [0, 1, 0, 1, 1])]


def test_a_worked_case():
    result = f1.evaluate(TRUTH, FOUND, ["cat", "dog", "cow"])
    # F1 after 1 … 5 detections: 2/4, 2/5, 4/6, 6/7, 6/8.
    assert result.stats == pytest.approx({"F1": 6 / 7, "precision": 3 / 4, "recall": 1, "mean_F1": (1 + 2 / 3) / 2})
    assert result.per_class["F1"][:2].tolist() == pytest.approx([1, 2 / 3])
    assert result.per_class["precision"][:2].tolist() == pytest.approx([1, 1 / 2])
    assert np.isnan(result.per_class["recall"][2])
    assert result.notes == ("F1 is best where detections of score 0.200 and above count",)
    assert result.comparable_with == {}


def test_settings_reach_it():
    scored = f1.evaluate(TRUTH, FOUND, ["cat", "dog"], MetricSettings(score_threshold=0.2))
    assert scored.stats["F1"] == pytest.approx(4 / 6)
    assert f1.evaluate(TRUTH, FOUND, ["cat", "dog"], MetricSettings(max_detections=1)).stats["F1"] == 0.5
    loose = [found(1, [[0, 0, 10, 6]], [0.9], [0])]  # IoU .6: right at one of two thresholds
    both = f1.evaluate([sample(1, [FIRST], [0])], loose, ["cat"], MetricSettings(iou_thresholds=(0.5, 0.7)))
    assert both.stats["F1"] == 0.5


def test_detections_on_regions_do_not_count():
    truth = [sample(1, [FIRST, SECOND], [0, 0], [False, True])]
    assert f1.evaluate(truth, [found(1, [SECOND, FIRST], [0.9, 0.8], [0, 0])], ["cat"]).stats["F1"] == 1


def test_equal_scores_are_kept_together():
    pair = [sample(1, [FIRST], [0])], [found(1, [FIRST, AWAY], [0.5, 0.5], [0, 0])]
    assert f1.evaluate(*pair, ["cat"]).stats["F1"] == pytest.approx(2 / 3)


def test_nothing_right_and_nothing_annotated():
    wrong = f1.evaluate(TRUTH, [found(1, [AWAY], [0.5], [0])], ["cat", "dog"])
    assert (wrong.stats["F1"], wrong.stats["precision"], wrong.stats["recall"], wrong.notes) == (0, 0, 0, ())
    assert np.isnan(f1.evaluate(TRUTH, [], ["cat", "dog"]).stats["precision"])
    assert set(f1.evaluate([sample(1, [], [])], FOUND, ["cat", "dog"]).stats.values()) == {-1}
