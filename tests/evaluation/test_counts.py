import numpy as np
import pytest

from keras_retinanet.evaluation import counts
from keras_retinanet.evaluation.metric import MetricSettings


def sample(image_id, labels, ignore=None):
    boxes = np.array([[20 * k, 0, 20 * k + 10, 10] for k in range(len(labels))], np.float32).reshape(-1, 4)
    ignore = np.zeros(len(labels), bool) if ignore is None else np.array(ignore)
    return {"image": "a.jpg", "image_id": image_id, "boxes": boxes, "labels": np.array(labels, int), "ignore": ignore}


def found(image_id, labels, scores):
    boxes = np.array([[20 * k, 0, 20 * k + 10, 10] for k in range(len(labels))], np.float32).reshape(-1, 4)
    return {"image_id": image_id, "boxes": boxes, "scores": np.array(scores), "labels": np.array(labels, int)}


TRUTH = [sample(1, [0, 0, 1]), sample(2, [0]), sample(3, []), sample(4, [1, 1])]
FOUND = [
    found(1, [0, 1, 1], [0.9, 0.8, 0.7]),  # three of three, but not of the right classes
    found(2, [0, 0, 0], [0.9, 0.5, 0.3]),  # one too many: the third is not above 0.3
    found(4, [1, 1], [0.9, 0.8]),
]


def test_a_worked_case():
    result = counts.evaluate(TRUTH, FOUND, ["cat", "dog", "cow"])
    assert result.stats == pytest.approx({"MAE": 1 / 4, "RMSE": 0.5, "relative": 1 / 6, "exact": 2 / 4})
    assert result.per_class["MAE"][:2].tolist() == [2 / 4, 1 / 4]
    assert result.per_class["exact"][:2].tolist() == [2 / 4, 3 / 4]
    assert np.isnan(result.per_class["MAE"][2])
    assert result.notes == ("counted are detections that score above 0.3: too many in 1 images, too few in 0",)
    assert result.num_boxes.tolist() == [3, 3, 0]


def test_settings_reach_it():
    assert counts.evaluate(TRUTH, FOUND, ["cat", "dog"], MetricSettings(score_threshold=0.2)).stats["MAE"] == 2 / 4
    few = counts.evaluate(TRUTH, FOUND, ["cat", "dog"], MetricSettings(max_detections=1))
    assert few.stats["MAE"] == (2 + 0 + 0 + 1) / 4


def test_detections_on_regions_do_not_count():
    crowd = [sample(1, [0, 0], [False, True])]
    assert counts.evaluate(crowd, [found(1, [0, 0], [0.9, 0.8])], ["cat"]).stats["exact"] == 1


def test_nothing_annotated():
    assert set(counts.evaluate([sample(1, [])], [], ["cat"]).stats.values()) == {-1}
    assert set(counts.evaluate([], [], []).stats.values()) == {-1}
