"""Records of the worst errors."""

import math

from keras_retinanet.analysis.matches import match
from keras_retinanet.analysis.tide import find_errors
from keras_retinanet.analysis.worst_images import ImageErrors, find_worst


def test_records(sample, found):
    small, large, lost = (0, 0, 10, 10), (100, 100, 200, 200), (0, 200, 50, 250)
    truth = [sample(small, large, image_id="a"), sample(large, image_id="b", labels=[1])]
    detections = [
        found(lost, (0, 0, 10, 4), scores=[0.6, 0.2], labels=[0, 1], image_id="a"),
        found(large, scores=[0.9], image_id="b"),
    ]
    matches = match(truth, detections, "xy")
    worst = find_worst(matches, find_errors(matches))
    assert [(entry.image_id, entry.box) for entry in worst.misses] == [("a", large), ("a", small)]
    miss = worst.misses[1]
    assert (miss.overlap, miss.other_box, miss.other_label, miss.other_score) == (0.4, (0, 0, 10, 4), 1, 0.2)
    assert math.isnan(miss.score)
    assert worst.misses[0].other_box is None
    assert [(entry.kind, entry.score) for entry in worst.false_positives] == [("Cls", 0.9), ("Bkg", 0.6), ("Both", 0.2)]
    wrong = worst.false_positives[0]
    assert (wrong.image, wrong.label, wrong.other_label, wrong.overlap) == ("b.jpg", 0, 1, 1)
    assert worst.images == (ImageErrors("a.jpg", "a", 2, 2, 1), ImageErrors("b.jpg", "b", 1, 1, 1))
    assert [len(part) for part in (find_worst(matches, find_errors(matches), most=1).misses, worst.misses)] == [1, 2]
