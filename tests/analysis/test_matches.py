"""Columns, overlaps and COCO's matching of all images at once."""

import numpy as np
import pytest

from keras_retinanet.analysis.matches import match
from keras_retinanet.evaluation.matching import match_by_coco, match_images


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.75])
def test_equals_the_matching_of_single_images(make_set, threshold):
    samples, detections = make_set(7, 30, share_of_regions=0.2)
    expected = match_images(list(zip(samples, detections, strict=True)), match_by_coco, threshold)
    matches = match(samples, detections, "abc", threshold)
    np.testing.assert_array_equal(matches.verdict, expected.verdict)
    np.testing.assert_array_equal(matches.found.score, expected.score)
    assert matches.is_found.sum() >= (expected.verdict == 1).sum() > 0


def test_columns(sample, found):
    truth = [sample((0, 0, 10, 10), image_id="a"), sample((0, 0, 10, 10), (5, 5, 25, 15), image_id="b", labels=[1, 0])]
    boxes = (0, 0, 10, 5), (0, 0, 10, 10), (200, 0, 210, 10)
    matches = match(truth, [found(*boxes, scores=[0.2, 0.9, 0.5], labels=[1, 1, 0], image_id="b")], "xy")
    assert matches.found.image.tolist() == [1, 1, 1]
    assert matches.found.score.tolist() == [0.9, 0.5, 0.2]
    assert matches.found.rank.tolist() == [0, 0, 1]  # within the class
    assert matches.truth.row.tolist() == [0, 0, 1]
    assert matches.truth.area.tolist() == [100, 100, 200]
    assert matches.overlaps.found.tolist() == [0, 2]
    assert matches.overlaps.truth.tolist() == [1, 1]
    assert matches.overlaps.iou.tolist() == [1, 0.5]
    assert matches.overlaps.is_class.tolist() == [True, True]
    assert matches.taken.tolist() == [1, -1, -1]
    assert matches.is_found.tolist() == [False, True, False]


def test_areas_of_the_source(sample):
    entry = sample((0, 0, 10, 10)) | {"areas": np.array([42.0])}
    assert match([entry], [], "a").truth.area.tolist() == [42]
