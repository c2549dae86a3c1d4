import numpy as np
import pytest

from keras_retinanet.evaluation import voc


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


def test_average_precision_by_hand():
    # Envelope: 1 up to recall 0.2, then 0.8 up to 0.5, then 0.6 up to 0.7.
    recall, precision = np.array([0.1, 0.2, 0.2, 0.5, 0.7]), np.array([1.0, 1.0, 0.67, 0.8, 0.6])
    assert voc.average_precision(recall, precision) == pytest.approx(0.2 + 0.3 * 0.8 + 0.2 * 0.6)
    assert voc.average_precision(np.zeros(0), np.zeros(0)) == 0
    assert voc.average_precision(np.array([0.5, 1.0]), np.array([1.0, 1.0])) == 1


def test_average_precision_equals_fizyr(shared):
    golden = np.load(shared("reference/fizyr_golden/ap_golden.npz"))
    for index in range(3):
        ap = voc.average_precision(golden[f"r{index}"], golden[f"p{index}"])
        assert ap == pytest.approx(float(golden[f"ap{index}"]), abs=1e-12)


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
        result = voc.evaluate(
            samples, detections, list("abcde"), iou_threshold=iou, score_threshold=score, max_detections=int(limit)
        )
        assert np.isnan(result.per_class["AP"]).tolist() == [False] * 4 + [True]  # fizyr writes 0 for it
        np.testing.assert_allclose(np.nan_to_num(result.per_class["AP"]), golden["ap"][row], rtol=0, atol=1e-12)
        np.testing.assert_array_equal(result.num_boxes, golden["num_annotations"][row])
        assert result.stats["mAP"] == pytest.approx(golden["mean_ap"][row], abs=1e-12)
        assert result.stats["weighted_mAP"] == pytest.approx(golden["weighted_ap"][row], abs=1e-12)


def test_a_worked_case():
    samples = [sample(1, [[0, 0, 10, 10], [20, 20, 30, 30]], [0, 0]), sample(2, [[0, 0, 10, 10]], [1])]
    detections = [
        # right; the same box again: wrong; class 1 where only class 0 is: wrong; below the threshold: not counted
        found(1, [[0, 0, 10, 10], [0, 0, 10, 9], [20, 20, 30, 30], [20, 20, 30, 30]], [0.9, 0.8, 0.7, 0.05],
              [0, 0, 1, 0]),
        found(2, [[0, 0, 10, 10]], [0.6], [1]),
    ]  # fmt: skip
    result = voc.evaluate(samples, detections, ["cat", "dog", "cow"])
    assert result.per_class["AP"][:2].tolist() == [0.5, 0.5]
    assert np.isnan(result.per_class["AP"][2])
    assert result.stats == {"mAP": 0.5, "weighted_mAP": 0.5}
    assert result.num_boxes.tolist() == [2, 1, 0]


def test_ignore_boxes_count_neither_way():
    samples = [sample(1, [[0, 0, 10, 10], [20, 20, 30, 30]], [0, 0], [False, True])]
    detections = [found(1, [[20, 20, 30, 30], [0, 0, 10, 10]], [0.9, 0.8], [0, 0])]
    result = voc.evaluate(samples, detections, ["cat"])
    assert result.stats["mAP"] == 1
    assert result.num_boxes.tolist() == [1]


def test_nothing_found_is_zero_and_nothing_annotated_is_minus_one():
    assert voc.evaluate([sample(1, [[0, 0, 10, 10]], [0])], [], ["cat"]).stats == {"mAP": 0, "weighted_mAP": 0}
    stray = [found(1, [[0, 0, 10, 10]], [0.9], [0])]
    assert voc.evaluate([sample(1, [], [])], stray, ["cat"]).stats == {"mAP": -1, "weighted_mAP": -1}
    assert voc.evaluate([], [], []).stats == {"mAP": -1, "weighted_mAP": -1}


@pytest.mark.parametrize(("threshold", "right"), [(0.5, 1.0), (0.500001, 0.0)])
def test_an_iou_equal_to_the_threshold_is_right(threshold, right):
    """The upper half of a box has IoU 50 / 100 with it."""
    pair = [sample(1, [[0, 0, 10, 10]], [0])], [found(1, [[0, 0, 10, 5]], [0.9], [0])]
    assert voc.evaluate(*pair, ["cat"], iou_threshold=threshold).stats["mAP"] == right
