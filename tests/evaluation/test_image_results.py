"""Numbers of resampled sets against the metric itself on the images of the set, copies included."""

import numpy as np
import pytest

from keras_retinanet.evaluation import METRICS
from keras_retinanet.evaluation.image_results import gather_results, list_boxes
from keras_retinanet.evaluation.matching import Matches
from keras_retinanet.evaluation.metric import MetricSettings

NAMES = ["ant", "bee", "cow"]
PARENTS = {"ant": frozenset({"cow"})}


def random_set(seed):
    """Ten images with crowds, boxes found twice and scores that images share; nobody annotates the third class."""
    rng = np.random.default_rng(seed)
    samples, detections = [], []
    for k in range(10):
        corners = rng.uniform(0, 80, (int(rng.integers(0, 7)) * bool(k), 2))
        boxes = np.concatenate([corners, corners + rng.uniform(10, 40, corners.shape)], axis=1)
        labels, crowd = rng.integers(0, 2, len(boxes)), rng.uniform(size=len(boxes)) < 0.2
        samples.append({"image": f"{k}.png", "image_id": k, "boxes": boxes, "labels": labels, "ignore": crowd})
        stray = rng.uniform(0, 40, (3, 4))
        stray[:, 2:] += 41
        found = np.concatenate([boxes, boxes[::2], stray])
        found = found + rng.normal(0, 3, found.shape)
        scores = rng.permutation(40)[: len(found)] / 40
        guesses = np.concatenate([labels, labels[::2], rng.integers(0, 3, 3)])
        detections.append({"image_id": k, "boxes": found, "scores": scores, "labels": guesses})
    return samples, detections


@pytest.mark.parametrize("thresholds", [None, (0.5, 0.7)])
@pytest.mark.parametrize("name", [name for name in METRICS if METRICS[name].match_once])
def test_resampled_numbers_are_those_of_the_resampled_set(name, thresholds):
    metric, (samples, detections) = METRICS[name], random_set(3)
    settings = MetricSettings(iou_thresholds=thresholds, parents=PARENTS)
    numbers = metric.match_once(samples, detections, NAMES, settings)
    stats = metric(samples, detections, NAMES, settings).stats
    assert numbers(np.ones(10, np.int64)) == pytest.approx(stats, rel=1e-12)
    for counts in (np.array([2, 0, 1, 3, 0, 0, 1, 1, 2, 0]), np.random.default_rng(0).integers(0, 3, 10)):
        copies = [(row, 100 * copy + row) for row, count in enumerate(counts.tolist()) for copy in range(count)]
        drawn = [{**samples[row], "image_id": image_id} for row, image_id in copies]
        found = [{**detections[row], "image_id": image_id} for row, image_id in copies]
        expected = metric(drawn, found, NAMES, settings).stats
        assert numbers(counts) == pytest.approx(expected, rel=1e-12)
        assert expected != pytest.approx(stats)
    only_empty = np.eye(10, dtype=np.int64)[0]
    assert set(numbers(only_empty).values()) == {-1}


def test_copies_follow_each_other():
    columns = [0, 1, 2], [0, 0, 1], [0.5, 0.9, 0.7], [1, -1, 0], [0.8, 0, 0]
    matches = Matches(*(np.array(column) for column in columns))
    images = ([0, 1], [False, True]), ([], []), ([1], [False])
    boxes = list_boxes([{"labels": labels, "ignore": ignore} for labels, ignore in images], 2)
    assert boxes.by_class().tolist() == [1, 1]
    results = gather_results({0.5: matches}, boxes).resample(np.array([3, 5, 2]))
    assert results.num_boxes.tolist() == [3, 2]
    assert [part.image.tolist() for part in results.classes[0.5]] == [[0, 0, 0], [2, 2]]
    assert list_boxes([{"labels": [0, 1], "ignore": [False, True]}], 2, with_ignored=True).by_class().tolist() == [1, 1]
