"""Which class is taken for which."""

from keras_retinanet.analysis.confusion_matrix import count_confusions
from keras_retinanet.analysis.matches import match


def test_counts_by_hand(sample, found):
    cat, dog, bird = (0, 0, 100, 100), (200, 0, 300, 100), (0, 200, 100, 300)
    truth = sample(cat, dog, bird, labels=[0, 1, 2])
    boxes = cat, (200, 0, 300, 90), (150, 150, 190, 190), bird
    detections = found(*boxes, scores=[0.9, 0.8, 0.7, 0.2], labels=[0, 0, 2, 2])
    matrix = count_confusions(match([truth], [detections], ["cat", "dog", "bird"]), 0.3)
    assert matrix.counts.tolist() == [[1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]]
    low = count_confusions(match([truth], [detections], ["cat", "dog", "bird"]), 0.1)
    assert low.counts[2].tolist() == [0, 0, 1, 0]


def test_the_best_detection_takes_the_box_whatever_its_class(sample, found):
    box = (0, 0, 100, 100)
    detections = found(box, box, scores=[0.9, 0.8], labels=[1, 0])
    counts = count_confusions(match([sample(box)], [detections], "ab")).counts
    assert counts.tolist() == [[0, 1, 0], [0, 0, 0], [1, 0, 0]]


def test_ignore_regions_take_detections_of_their_class_only(sample, found):
    region = (0, 0, 100, 100)
    truth = sample(region, ignore=[True])
    detections = found((0, 0, 50, 50), (50, 50, 90, 90), (0, 50, 40, 90), scores=[0.9, 0.8, 0.7], labels=[0, 0, 1])
    counts = count_confusions(match([truth], [detections], "ab")).counts
    assert counts.tolist() == [[0, 0, 0], [0, 0, 0], [0, 1, 0]]
