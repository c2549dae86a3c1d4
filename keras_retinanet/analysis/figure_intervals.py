"""What to expect on other images of a threshold that was chosen on these."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from keras_retinanet.analysis.bootstrap import Interval, interval
from keras_retinanet.analysis.goals import Goal

Array = NDArray[Any]


class Figure(NamedTuple):
    """A number on the given images, and on others.

    Attributes:
        value: On the images that the threshold was chosen on; nan where there is none.
        interval: In which it lies in 95 % of the cases on as many other images of the kind.
    """

    value: float
    interval: Interval


class Counts(NamedTuple):
    """Right detections, all detections and boxes to find of `R` sets of images.

    Attributes:
        right: `(R,)`, or `(C, R)` at each of `C` thresholds.
        found: The same shape.
        boxes: `(R,)`.
    """

    right: Array
    found: Array
    boxes: Array


class Trial(NamedTuple):
    """The counts of a threshold, and those of thresholds chosen in the same way on resampled images.

    Attributes:
        here: `(1,)` counts on the images as they are.
        chosen_on: `(R,)` counts on the sets that the thresholds were chosen on.
        measured_on: `(R,)` counts of the same thresholds on other sets.
    """

    here: Counts
    chosen_on: Counts
    measured_on: Counts

    @classmethod
    def of_nothing(cls, replicates: int) -> Trial:
        """A trial without boxes and detections, to which others can be added."""
        return cls(*(Counts(*np.zeros((3, size), np.int64)) for size in (1, replicates, replicates)))

    def plus(self, other: Trial) -> Trial:
        """The counts of both."""
        sides = zip(self, other, strict=True)
        return Trial(*(Counts(*(a + b for a, b in zip(one, two, strict=True))) for one, two in sides))


def estimate_figures(goal: Goal, trial: Trial, seed: int = 0) -> dict[str, Figure]:
    """The figures of a threshold, with what to expect of them.

    The interval is that of the value plus the change from the sets that thresholds were chosen on to others. It is at
    least as wide as chance alone makes it with independent boxes: where no image has an error, resampling shows none.

    Args:
        goal: What the threshold should achieve.
        trial: The counts.
        seed: Seed of the draw.

    Returns:
        `"precision"`, `"recall"`, `"F1"`, and the number of the goal.
    """
    here, chosen_on, measured_on = (goal.figures(*counts) for counts in trial)
    by_chance = goal.figures(*_draw_by_chance(trial, seed))
    figures = {}
    for name in here:
        value, most = float(here[name][0]), np.inf if name == "cost" else 1.0
        ends = [interval(value + measured_on[name] - chosen_on[name]), interval(by_chance[name])]
        present = np.array([each for each in ends if not np.isnan(each.low)]).reshape(-1, 2)
        if np.isnan(value) or not len(present):
            figures[name] = Figure(value, Interval(np.nan, np.nan))
        else:
            low, high = max(0.0, present[:, 0].min()), min(most, present[:, 1].max())
            figures[name] = Figure(value, Interval(float(low), float(high)))
    return figures


def _draw_by_chance(trial: Trial, seed: int) -> Counts:
    """`(R,)` counts on other images if every box is found, and every wrong detection arises, independently.

    Rates are drawn from Jeffreys' posterior, counts from these rates.
    """
    random, size = np.random.default_rng(seed), len(trial.chosen_on.boxes)
    right, found, boxes = (int(count[0]) for count in trial.here)
    hits = random.binomial(boxes, random.beta(right + 0.5, max(boxes - right, 0) + 0.5, size))
    wrong = random.poisson(random.gamma(found - right + 0.5, size=size))
    return Counts(hits, hits + wrong, np.full(size, boxes))
