"""Goals by hand: ten boxes, thresholds that keep 0, 2, 5, 10 and 20 detections, of which 0, 2, 4, 6 and 8 are right."""

from __future__ import annotations

import numpy as np
import pytest

from keras_retinanet.analysis.goals import parse_goal

RIGHT, FOUND = np.array([[0], [2], [4], [6], [8]]), np.array([[0], [2], [5], [10], [20]])


@pytest.mark.parametrize(
    ("text", "position", "is_reached"),
    [
        ("f1", 3, True),  # F1: 0, 4/12, 8/15, 12/20, 16/30
        ("f2", 4, True),  # 5 TP / (found + 4 · 10): 10/42, 20/45, 30/50, 40/60
        ("f0.5", 2, True),  # 1.25 TP / (found + 2.5): 2.5/4.5, 5/7.5, 7.5/12.5
        ("precision=0.8", 2, True),  # the lowest threshold of them
        ("precision=.99", 1, True),
        ("recall=0.6", 3, True),  # the highest threshold of them
        ("recall=0.9", 4, False),
        ("cost=1:1", 2, True),  # wrong + missed: 10, 8, 7, 8, 14
        ("cost=1:10", 4, True),  # 100, 80, 61, 44, 32
    ],
)
def test_choices(text, position, is_reached):
    goal = parse_goal(text)
    chosen, reached = goal.choose(RIGHT, FOUND, np.array([10]))
    assert (chosen.tolist(), reached.tolist()) == ([position], [is_reached])
    assert parse_goal(str(goal)) == goal


def test_each_set_of_images_has_its_own_choice():
    right = np.array([[0, 0, 0], [1, 1, 0], [2, 1, 0]])
    found = np.array([[0, 0, 0], [1, 1, 1], [3, 5, 5]])
    assert parse_goal("f1").choose(right, found, np.array([2, 2, 0]))[0].tolist() == [2, 1, 0]
    position, is_reached = parse_goal("precision=0.9").choose(right[1:], found[1:] + 1, np.array([2, 2, 0]))
    assert (position.tolist(), is_reached.tolist()) == ([1, 0, 0], [False] * 3)  # 1/2 = 2/4; 1/2, 1/6; none


def test_figures():
    figures = parse_goal("f2").figures([4, 0, 0], [5, 0, 3], [10, 10, 0])
    assert list(figures) == ["precision", "recall", "F1", "F2"]
    np.testing.assert_allclose(figures["precision"], [0.8, np.nan, 0])
    np.testing.assert_allclose(figures["recall"], [0.4, 0, np.nan])
    np.testing.assert_allclose(figures["F1"], [8 / 15, 0, np.nan])
    np.testing.assert_allclose(figures["F2"], [20 / 45, 0, np.nan])
    assert parse_goal("cost=2:5").figures(4, 5, 10)["cost"] == 2 * 1 + 5 * 6


@pytest.mark.parametrize("text", ["", "f", "f0", "F1", "precision", "precision=0", "recall=1.1", "cost=0:0", "x"])
def test_what_is_no_goal(text):
    with pytest.raises(ValueError, match="is not a goal of thresholds; allowed are f1"):
        parse_goal(text)
