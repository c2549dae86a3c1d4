"""Intervals against the normal approximation, and where resampling shows no spread."""

from __future__ import annotations

import numpy as np
import pytest

from keras_retinanet.analysis.figure_intervals import Counts, Trial, estimate_figures
from keras_retinanet.analysis.goals import parse_goal

F1 = parse_goal("f1")


def repeat(right: int, found: int, boxes: int, size: int = 1) -> Counts:
    return Counts(*(np.full(size, count) for count in (right, found, boxes)))


def test_an_interval_has_the_spread_of_both_sets_of_images():
    """Of 400 boxes half are found: recall has a deviation of .025 on one set, .0354 between two."""
    random = np.random.default_rng(0)
    drawn = [random.binomial(400, 0.5, 4000) for _ in range(2)]
    sides = [Counts(right, right, np.full(4000, 400)) for right in drawn]
    value, (low, high) = estimate_figures(F1, Trial(repeat(200, 200, 400), *sides))["recall"]
    assert value == 0.5
    assert (value - low, high - value) == pytest.approx((1.96 * 0.0354, 1.96 * 0.0354), rel=0.06)


def test_what_fits_too_well_is_expected_to_fall():
    """On the sets they are chosen on thresholds have a precision of .9, on others of .8; here .85."""
    trial = Trial(repeat(8500, 10000, 20000), repeat(9000, 10000, 20000, 50), repeat(8000, 10000, 20000, 50))
    low, high = estimate_figures(F1, trial)["precision"].interval
    assert low == pytest.approx(0.75)
    assert high == pytest.approx(0.8599, abs=2e-3)  # chance alone: .85 ± 1.96 · √2 · .0036


def test_no_error_here_is_no_promise():
    """All 50 boxes are found and nothing else: resampling shows no spread; Jeffreys' rate of misses is about 1 %."""
    trial = Trial(*(repeat(50, 50, 50, size) for size in (1, 1000, 1000)))
    figures = estimate_figures(F1, trial)
    for name in ("precision", "recall"):
        assert figures[name].value == figures[name].interval.high == 1
        assert 0.92 <= figures[name].interval.low <= 0.96
    assert figures == estimate_figures(F1, trial)


def test_nothing_gives_no_figures():
    figures = estimate_figures(F1, Trial.of_nothing(9))
    assert np.isnan([[figure.value, *figure.interval] for figure in figures.values()]).all()
    both = Trial.of_nothing(2).plus(Trial(repeat(1, 2, 3), repeat(4, 5, 6, 2), repeat(7, 8, 9, 2)))
    assert [count.tolist() for side in both for count in side] == [
        [1], [2], [3], [4, 4], [5, 5], [6, 6], [7, 7], [8, 8], [9, 9],
    ]  # fmt: skip
