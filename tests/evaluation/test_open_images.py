import numpy as np
import pytest

from keras_retinanet.evaluation import open_images
from keras_retinanet.evaluation.metric import MetricSettings


def sample(image_id, boxes, labels, groups=None):
    groups = np.zeros(len(labels), bool) if groups is None else np.array(groups)
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    return {"image": "a.jpg", "image_id": image_id, "boxes": boxes, "labels": np.array(labels, int), "ignore": groups}


def found(image_id, boxes, scores, labels):
    arrays = {"scores": np.array(scores), "labels": np.array(labels, int)}
    return {"image_id": image_id, "boxes": np.array(boxes, np.float32).reshape(-1, 4), **arrays}


ONE, GROUP, AWAY = [0, 0, 10, 10], [20, 0, 60, 40], [80, 80, 90, 90]


def test_groups_by_hand():
    truth = [sample(1, [ONE, GROUP], [0, 0], [False, True]), sample(2, [GROUP], [0], [True])]
    detections = [
        # In the group: 3 detections, of which the best counts; away: wrong; the object.
        found(1, [[30, 10, 40, 20], AWAY, [40, 10, 50, 20], ONE, [15, 0, 26, 10]], [0.9, 0.8, 0.7, 0.6, 0.5], [0] * 5),
    ]
    result = open_images.evaluate(truth, detections, ["cat"])
    # Ranks: right (group), wrong, right (object); of 3 boxes to find. The last has 6/11 of its area in the group.
    assert result.stats["mAP"] == pytest.approx(1 / 3 + 1 / 3 * 2 / 3)
    assert result.num_boxes.tolist() == [3]
    # Without groups: wrong, right; of 1.
    assert result.stats["mAP_V2"] == pytest.approx(1 / 2)
    assert result.comparable_with["mAP"] == "own extension"  # without image-level labels
    assert result.comparable_with["mAP_V2"] == "Open Images V2 metric"
    stricter = open_images.evaluate(truth, detections, ["cat"], MetricSettings(iou_thresholds=(0.6,)))
    assert stricter.stats["mAP"] == pytest.approx(1 / 3 + 1 / 3 * 2 / 3)  # the last is wrong now, below the others
    assert stricter.comparable_with["mAP"] == "own extension"


def test_a_second_detection_of_an_object_may_lie_in_a_group():
    truth = [sample(1, [ONE, [0, 0, 20, 20]], [0, 0], [False, True])]
    result = open_images.evaluate(truth, [found(1, [ONE, ONE, ONE], [0.9, 0.8, 0.7], [0] * 3)], ["cat"])
    assert (result.stats["mAP"], result.stats["mAP_V2"]) == (1, 1)


def test_a_box_counts_for_all_classes_above_its_own():
    parents = {"cat": frozenset({"pet", "animal"}), "pet": frozenset({"animal"}), "dog": frozenset({"pet", "life"})}
    names = ["animal", "pet", "cat", "dog"]
    truth = [sample(1, [ONE, AWAY], [2, 1])]
    settings = MetricSettings(parents=parents)
    detections = [found(1, [ONE, AWAY, ONE], [0.9, 0.8, 0.7], [2, 1, 0])]
    result = open_images.evaluate(truth, detections, names, settings)
    assert result.num_boxes.tolist() == [2, 2, 1, 0]
    # animal: one of two; pet: one of two; cat: one of one
    assert result.per_class["AP"][:3].tolist() == [0.5, 0.5, 1]
    assert np.isnan(result.per_class["AP"][3])
    plain = open_images.evaluate(truth, detections, names)
    assert plain.num_boxes.tolist() == [0, 1, 1, 0]
    assert plain.stats["mAP"] == 1


def test_nothing_annotated_and_only_groups():
    assert set(open_images.evaluate([sample(1, [], [])], [], ["cat"]).stats.values()) == {-1}
    assert set(open_images.evaluate([], [], []).stats.values()) == {-1}
    only = open_images.evaluate([sample(1, [GROUP], [0], [True])], [found(1, [GROUP], [0.9], [0])], ["cat"])
    assert (only.stats["mAP"], only.stats["mAP_V2"]) == (1, -1)


def test_equals_the_object_detection_api():
    """The scenes of `object_detection_evaluation_test.py` of the TensorFlow Object Detection API, with its values.

    There the challenge's groups weigh 0.5 in place of 1, and a dog of score 0.5 in an image without verified dogs is
    left out: cat .5 / 3.5, elephant .5 / 1.5, dog 1/3. With weight 1 and all images completely annotated: .5 / 4, 1/2,
    1/4.
    """
    names = ["cat", "dog", "elephant"]
    second = [[10, 10, 11, 11], [500, 500, 510, 510], [10, 10, 12, 12]]
    truth = [sample(1, [[0, 0, 1, 1], [0, 0, 2, 2], [0, 0, 3, 3]], [0, 2, 0]), sample(3, [[0, 0, 1, 1]], [1])]
    away = [[100, 100, 120, 120], [100, 100, 220, 220]]
    v2 = open_images.evaluate(
        [*truth, sample(2, second, [0, 0, 2], [False, True, False])],
        [found(2, [[10, 10, 11, 11], *away], [0.7, 0.8, 0.9], [0, 0, 2])],
        names,
    )
    assert v2.per_class["AP_V2"].tolist() == pytest.approx([0.16666666, 0, 0])
    assert v2.stats["mAP_V2"] == pytest.approx(0.05555555)
    truth[0]["ignore"][2] = True
    challenge = open_images.evaluate(
        [truth[0], sample(2, second, [0, 0, 2], [False, False, True]), truth[1]],
        [
            found(1, [[10, 10, 11, 11], away[0]], [0.7, 0.8], [1, 1]),
            found(2, [[10, 10, 11, 11], *away, [10, 10, 11, 11]], [0.7, 0.8, 0.5, 0.9], [0, 0, 1, 2]),
            found(3, [[0, 0, 1, 1]], [0.5], [1]),
        ],
        names,
    )
    assert challenge.per_class["AP"].tolist() == pytest.approx([0.5 / 4, 1 / 4, 1 / 2])


def test_classes_that_nobody_looked_for_do_not_count():
    """In image 1 a person looked for animals and cars, in image 2 for nothing, but there is a box of a cat."""
    names, parents = ["cat", "animal", "car"], {"cat": frozenset({"animal"})}
    truth = [sample(1, [], []), sample(2, [ONE], [0])]
    detections = [found(1, [AWAY] * 3, [0.9, 0.8, 0.7], [0, 1, 2]), found(2, [ONE] * 3, [0.6, 0.5, 0.4], [0, 1, 2])]
    plain = open_images.evaluate(truth, detections, names, MetricSettings(parents=parents))
    assert plain.per_class["AP"].tolist()[:2] == pytest.approx([1 / 2, 1 / 2])  # the best of each is wrong
    assert plain.notes[0].startswith("no image-level labels: every image counts as completely annotated")
    verified = {"1": frozenset({"animal", "car", "unknown"})}
    result = open_images.evaluate(truth, detections, names, MetricSettings(parents=parents, verified=verified))
    assert result.per_class["AP"].tolist()[:2] == pytest.approx([1, 1 / 2])  # the cat of image 1 is ignored
    assert result.notes == ()
    assert (result.comparable_with["mAP"], result.comparable_with["mAP_V2"]) == (
        "Open Images Challenge", "own extension",
    )  # fmt: skip
    truth[0] = sample(1, [AWAY], [2])  # a car, which is a class of the image without being verified
    known = open_images.evaluate(truth, detections, names, MetricSettings(verified={}))
    assert known.per_class["AP"].tolist()[::2] == pytest.approx([1, 1])  # the car of image 2 is ignored
    assert known.num_detections == 6
