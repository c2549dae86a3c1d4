import numpy as np
import pytest

from keras_retinanet.evaluation import fizyr
from keras_retinanet.evaluation.metric import MetricSettings


def sample(image_id, boxes, labels, ignore=None):
    boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
    ignore = np.zeros(len(boxes), bool) if ignore is None else np.asarray(ignore)
    return {
        "image": f"{image_id}.jpg", "image_id": image_id, "boxes": boxes,
        "labels": np.asarray(labels, np.int32), "ignore": ignore,
    }  # fmt: skip


def found(image_id, boxes, scores, labels):
    boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
    return {"image_id": image_id, "boxes": boxes, "scores": np.asarray(scores), "labels": np.asarray(labels, int)}


def test_evaluate_equals_fizyr(shared):
    golden = np.load(shared("reference/fizyr_golden/eval_golden.npz"))
    samples, detections = [], []
    for image in range(8):
        mine = golden["gt_image"] == image
        samples.append(sample(image, golden["gt_boxes"][mine], golden["gt_labels"][mine]))
        mine = golden["det_image"] == image
        detections.append(
            found(image, golden["det_boxes"][mine], golden["det_scores"][mine], golden["det_labels"][mine])
        )
    for row, (iou, score, limit) in enumerate(golden["settings"]):
        settings = MetricSettings(iou_thresholds=(float(iou),), score_threshold=score, max_detections=int(limit))
        result = fizyr.evaluate(samples, detections, list("abcde"), settings)
        assert np.isnan(result.per_class["AP"]).tolist() == [False] * 4 + [True]  # fizyr writes 0 for it
        np.testing.assert_allclose(np.nan_to_num(result.per_class["AP"]), golden["ap"][row], rtol=0, atol=1e-12)
        np.testing.assert_array_equal(result.num_boxes, golden["num_annotations"][row])
        assert result.stats["mAP"] == pytest.approx(golden["mean_ap"][row], abs=1e-12)
        assert result.stats["weighted_mAP"] == pytest.approx(golden["weighted_ap"][row], abs=1e-12)
        is_default = (iou, score, limit) == (0.5, 0.05, 100)
        assert result.comparable_with["mAP"] == ("fizyr/keras-retinanet" if is_default else "own extension")


def test_a_worked_case():
    samples = [sample(1, [[0, 0, 10, 10], [20, 20, 30, 30]], [0, 0]), sample(2, [[0, 0, 10, 10]], [1])]
    detections = [
        # right; the same box again: wrong; class 1 where only class 0 is: wrong; at the threshold: not counted
        found(1, [[0, 0, 10, 10], [0, 0, 10, 9], [20, 20, 30, 30], [20, 20, 30, 30]], [0.9, 0.8, 0.7, 0.05],
              [0, 0, 1, 0]),
        found(2, [[0, 0, 10, 10]], [0.6], [1]),
    ]  # fmt: skip
    result = fizyr.evaluate(samples, detections, ["cat", "dog", "cow"])
    assert result.per_class["AP"][:2].tolist() == [0.5, 0.5]
    assert np.isnan(result.per_class["AP"][2])
    assert result.stats == {"mAP": 0.5, "weighted_mAP": 0.5}
    assert result.num_boxes.tolist() == [2, 1, 0]
    all_scores = fizyr.evaluate(samples, detections, ["cat", "dog", "cow"], MetricSettings(score_threshold=0.0))
    assert all_scores.per_class["AP"][0] == pytest.approx(0.5 + 0.5 * 2 / 3)


def test_more_boxes_than_fizyr_counts():
    corners = np.array([[20 * x, 20 * y] for y in range(15) for x in range(20)])
    boxes, labels = np.concatenate([corners, corners + 15], axis=1), np.zeros(300, int)
    pair = [sample(1, boxes, labels)], [found(1, boxes, np.linspace(1, 0.5, 300), labels)]
    settings = MetricSettings(detector_limit=250)
    result = fizyr.evaluate(*pair, ["tree"], settings)
    assert result.stats["mAP"] == pytest.approx(1 / 3)
    assert result.stats["mAP maxDets=250"] == pytest.approx(250 / 300)
    assert result.comparable_with["mAP"] == "fizyr/keras-retinanet"
    assert result.notes == (
        "an image has 300 boxes, and mAP counts 100 detections of an image; mAP maxDets=250 counts 250",
    )
    assert fizyr.choose_monitor(pair[0], settings) == "mAP maxDets=250"
    assert fizyr.choose_monitor([sample(1, boxes[:100], labels[:100])], settings) == "mAP"
    assert fizyr.evaluate(*pair, ["tree"], MetricSettings(max_detections=300)).stats["mAP"] == pytest.approx(1)
