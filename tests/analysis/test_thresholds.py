"""Thresholds by hand, and what the intervals promise."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from keras_retinanet.analysis.goals import parse_goal
from keras_retinanet.analysis.threshold_report import describe_thresholds
from keras_retinanet.analysis.thresholds import choose_thresholds
from keras_retinanet.evaluation.matching import Matches


def matches(*rows: tuple[int, int, float, int]) -> Matches:
    """From rows of image, label, score and verdict."""
    image, label, score, verdict = (np.array(column) for column in zip(*rows, strict=True))
    return Matches(image, label, score, verdict, np.zeros(len(rows)))


TWO_CLASSES = matches(
    (0, 0, 0.9, 1), (0, 0, 0.6, 0), (1, 0, 0.8, 1), (1, 0, 0.7, -1), (1, 0, 0.3, 0),
    (0, 1, 0.51, 0), (0, 1, 0.5, 1), (1, 1, 0.4, 1),
)  # fmt: skip
NUM_BOXES = np.array([[1, 1, 0], [1, 2, 0]])
NAMES = ("ant", "bee", "wasp")


def test_best_f1_of_each_class():
    choice = choose_thresholds(TWO_CLASSES, NUM_BOXES, NAMES, parse_goal("f1"), floor=0.05, replicates=50)
    ant, bee, wasp = choice.classes
    assert (ant.threshold, ant.found, ant.right, ant.boxes) == (0.7, 2, 2, 2)  # the shortest between .6 and .8
    assert [ant.figures[name].value for name in ("precision", "recall", "F1")] == [1, 1, 1]
    assert (bee.threshold, bee.found, bee.right, bee.boxes) == (0.05, 3, 2, 3)  # all: lower scores were not seen
    assert [bee.figures[name].value for name in ("precision", "recall", "F1")] == pytest.approx([2 / 3] * 3)
    assert (wasp.threshold, wasp.boxes) == (0.05, 0)
    assert np.isnan(wasp.figures["F1"].value)
    assert (choice.together.found, choice.together.right, choice.together.boxes) == (5, 4, 5)
    assert choice.together.figures["F1"].value == pytest.approx(8 / 10)
    assert choice.notes == ("there are no boxes of wasp: the threshold stays",)
    many = dataclasses.replace(choice, classes=choice.classes[-1:] * 7)
    assert many.notes == (f"there are no boxes of {'wasp, ' * 4}wasp and 2 more: the threshold stays",)


def test_goals_that_are_not_reached_are_named():
    choice = choose_thresholds(TWO_CLASSES, NUM_BOXES, NAMES, parse_goal("precision=0.9"), replicates=50)
    assert [each.is_reached for each in choice.classes] == [True, False, True]
    assert choice.classes[1].right == 2
    assert choice.notes[0] == "precision=0.9 is not reached by bee: the nearest threshold stands"
    recall = choose_thresholds(TWO_CLASSES, NUM_BOXES, NAMES, parse_goal("recall=0.5"), replicates=50)
    assert [each.threshold for each in recall.classes[:2]] == [0.85, 0.0]
    nothing = choose_thresholds(TWO_CLASSES, NUM_BOXES, NAMES, parse_goal("cost=9:1"), replicates=50)
    assert (nothing.classes[1].threshold, nothing.classes[1].found) == (1.0, 0)


@pytest.mark.parametrize(("wrong", "is_useless"), [(18, False), (19, True)])
def test_thresholds_of_a_class_that_is_hardly_found_are_of_no_use(wrong, is_useless):
    """F1 of one right detection of one box is 2 / (1 + 1 + wrong): 0.1, and less."""
    rows = [(0, 0, 0.1, 1), *[(0, 0, 0.9, 0)] * wrong, (0, 1, 0.8, 1)]
    choice = choose_thresholds(matches(*rows), np.array([[1, 1]]), ("ant", "bee"), parse_goal("f1"), replicates=9)
    assert (choice.classes[0].found, choice.classes[0].right) == (wrong + 1, 1)
    note = "F1 of ant is below 0.1: these thresholds are of no use; train further before they are stored"
    assert choice.notes == (note,) * is_useless


def test_costs_are_whole_numbers_in_the_table():
    """The first class costs nothing on these images, but more on others."""
    choice = choose_thresholds(TWO_CLASSES, NUM_BOXES, NAMES, parse_goal("cost=1:5"), replicates=50)
    figures = [each.figures["cost"] for each in choice.classes if each.boxes]
    assert max(figure.interval.high for figure in figures) > 1
    lines = [line.split("  ") for line in describe_thresholds(choice, 0.5).splitlines()[2:-1]]
    shown = [line[-1].strip() for line, figure in zip(lines, figures, strict=False) if figure.interval.high > 1]
    assert shown
    assert all("." not in text for text in shown)


def test_what_the_intervals_promise():
    """Thresholds that are chosen on 60 images hold on 60 others within the interval, in about 95 % of cases."""
    random = np.random.default_rng(5)

    def images(count: int) -> tuple[Matches, np.ndarray]:
        """Three boxes an image, of which 80 % are found, and four wrong detections of lower scores."""
        right, wrong = random.binomial(3, 0.8, count), random.poisson(4, count)
        image = np.concatenate([np.repeat(np.arange(count), number) for number in (right, wrong)])
        score = np.concatenate([random.beta(5, 2, right.sum()), random.beta(2, 4, wrong.sum())])
        verdict = np.repeat([1, 0], [right.sum(), wrong.sum()])
        zeros = np.zeros(len(image), int)
        return Matches(image, zeros, score, verdict, zeros), np.full((count, 1), 3)

    held, total = 0, 0
    for goal in ("f1", "precision=0.9", "recall=0.7"):
        for _ in range(40):
            (ant,) = choose_thresholds(*images(60), ["ant"], parse_goal(goal), replicates=200).classes
            others, boxes = images(60)
            kept = others.score > ant.threshold
            figures = parse_goal(goal).figures(others.verdict[kept].sum(), kept.sum(), boxes.sum())
            for name in ("precision", "recall", "F1"):
                low, high = ant.figures[name].interval
                held, total = held + (low <= figures[name] <= high), total + 1
    assert 0.92 < held / total < 0.99
