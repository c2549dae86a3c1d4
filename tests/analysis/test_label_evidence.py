"""Reliability of contradictions."""

import numpy as np
import pytest

from keras_retinanet.analysis.label_evidence import claim_misplaced, claim_missing, find_duplicates, reliability_of
from keras_retinanet.analysis.matches import match


def test_reliability_rises_with_the_evidence():
    evidence = np.linspace(0, 1, 100)
    confirmed = (np.arange(100) % 5 > 0) & (evidence > 0.5)  # none of the weaker half, four of five of the stronger
    reliability = reliability_of(evidence, confirmed)
    assert np.all(np.diff(reliability) >= 0)
    assert reliability[0] == 0
    assert reliability[-1] == pytest.approx(16 / 21)  # of the last 20 confirmed, with one contradiction added
    assert len(reliability_of(np.zeros(0), np.zeros(0, bool))) == 0


def test_duplicates_of_any_class(sample, found):
    boxes = (0, 0, 10, 10), (0, 0, 10, 9), (50, 50, 60, 60)
    matches = match(
        [sample(), sample(image_id=1)], [found(*boxes, scores=[0.9, 0.8, 0.7], labels=[0, 1, 1], image_id=1)], "ab"
    )
    assert find_duplicates(matches).tolist() == [False, True, False]


def test_a_missing_box_is_free_of_others(sample, found):
    box = (0, 0, 100, 100)
    boxes = (90, 0, 190, 100), (0, 60, 100, 160)  # overlap 1/19 and 1/4 of the union
    matches = match([sample(box)], [found(*boxes, scores=[0.9, 0.8])], "a")
    assert claim_missing(matches).found.tolist() == [0, 1]
    close = match([sample(box)], [found((0, 50, 100, 150), scores=[0.8])], "a")  # 1/3
    assert claim_missing(close).found.tolist() == []
    assert claim_misplaced(close).truth.tolist() == [0]


def test_a_box_that_another_detection_fits_is_not_misplaced(sample, found):
    box = (0, 0, 100, 100)
    boxes = (0, 60, 100, 160), box
    claims = claim_misplaced(match([sample(box)], [found(*boxes, scores=[0.9, 0.8])], "a"))
    assert claims.truth.tolist() == [0]
    assert claims.reliability[0] == 0  # 0 of 1 confirmed
