"""Temperature and bias: known ones are found again."""

from __future__ import annotations

import math

import numpy as np
import pytest

from keras_retinanet.analysis.temperature import calibrated_scores, fit_temperature
from keras_retinanet.evaluation.matching import Matches


def matches(scores: np.ndarray, verdict: np.ndarray) -> Matches:
    zeros = np.zeros(len(scores), int)
    return Matches(zeros, zeros, scores, verdict, zeros)


def test_odds_are_a_root_of_odds():
    """By hand: odds 9, 4, 1/4 at temperature 2 are 3, 2, 1/2; with bias ln 2 they double. 0 and 1 stay."""
    found = calibrated_scores([0.9, 0.8, 0.2], 2, 0)
    np.testing.assert_allclose(found, [3 / 4, 2 / 3, 1 / 3])
    np.testing.assert_allclose(calibrated_scores([0.9, 0.8, 0.2], 2, math.log(2)), [6 / 7, 4 / 5, 1 / 2])
    assert calibrated_scores([0.0, 1.0], 2, 0.5).tolist() == [0, 1]


def test_a_known_temperature_is_found():
    """Of 100 detections of score .9, three of four are right: odds 3 = √9; of score .1, one of four."""
    scores = np.repeat([0.9, 0.1], 100)
    verdict = np.concatenate([np.repeat([1, 0], [75, 25]), np.repeat([1, 0], [25, 75])])
    fit = fit_temperature(matches(scores, verdict))
    assert fit.temperature == pytest.approx(2)
    assert fit.bias == 0
    np.testing.assert_allclose(fit([0.9, 0.1]), [0.75, 0.25])
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert fit.losses == pytest.approx((-(0.75 * math.log(0.9) + 0.25 * math.log(0.1)), entropy))
    assert (fit.share_right, fit.num_detections, *fit.mean_scores) == pytest.approx((0.5, 200, 0.5, 0.5))


def test_a_bias_makes_the_mean_right():
    """Of score .9 (odds 9) half are right, of .1 one in ten: slope ½ ln 9 / ln 9, bias ½ ln(1/9)."""
    scores = np.repeat([0.9, 0.1, 0.5], [100, 100, 7])
    verdict = np.concatenate([np.repeat([1, 0], [50, 50]), np.repeat([1, 0], [10, 90]), np.full(7, -1)])
    fit = fit_temperature(matches(scores, verdict), use_bias=True)
    assert fit.temperature == pytest.approx(2)
    assert fit.bias == pytest.approx(-math.log(3))
    assert fit.mean_scores == pytest.approx((0.5, 0.3))
    assert fit.share_right == pytest.approx(0.3)
    assert fit.num_detections == 200  # ignored ones do not count


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        ([1, 1, 1], "3 of 3 detections are right"),
        ([0, 0, -1], "0 of 2 detections are right"),
        ([0, 0, 1], "Right detections do not score higher"),
    ],
)
def test_what_cannot_be_fitted(verdict, said):
    with pytest.raises(ValueError, match=said):
        fit_temperature(matches(np.array([0.9, 0.8, 0.2]), np.array(verdict)))


def test_scores_that_separate_have_the_lowest_temperature():
    fit = fit_temperature(matches(np.array([0.9, 0.8, 0.2]), np.array([1, 1, 0])))
    assert fit.temperature == pytest.approx(0.05, rel=0.2)
    assert fit.losses[1] < 1e-6
