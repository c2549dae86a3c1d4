"""What a score threshold should achieve: the best F-score, a precision, a recall, or the least cost."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

ALLOWED = "f1 (or f0.5, f2, …), precision=X, recall=X, cost=FP:FN"
"""The goals as they are written."""


@dataclass(frozen=True)
class Goal:
    """What is wanted.

    Attributes:
        kind: Best F-score, most boxes found with a precision, highest threshold with a recall, or least cost.
        value: β of the F-score, above 1 where recall matters more; the wanted precision or recall; cost of a miss.
        wrong_cost: Cost of a wrong detection.
    """

    kind: Literal["f", "precision", "recall", "cost"]
    value: float
    wrong_cost: float = 1.0

    def __str__(self) -> str:
        """The goal as `parse_goal` reads it."""
        if self.kind == "cost":
            return f"cost={self.wrong_cost:g}:{self.value:g}"
        return f"f{self.value:g}" if self.kind == "f" else f"{self.kind}={self.value:g}"

    def figures(self, right: Array, found: Array, boxes: Array) -> dict[str, Array]:
        """Precision, recall, F1 and the number that the goal is about.

        Args:
            right: Right detections, any shape.
            found: All detections.
            boxes: Boxes to find.

        Returns:
            Name → float64; nan without detections (precision) or boxes.
        """
        right, found, boxes = (np.asarray(values, np.float64) for values in (right, found, boxes))
        with np.errstate(invalid="ignore", divide="ignore"):
            figures = {"precision": right / found, "recall": right / boxes}
            figures["F1"] = np.where(boxes > 0, 2 * right / (found + boxes), np.nan)
        if self.kind == "f" and self.value != 1:
            figures[f"F{self.value:g}"] = np.where(boxes > 0, self._f_score(right, found, boxes), np.nan)
        if self.kind == "cost":
            figures["cost"] = self._cost(right, found, boxes)
        return figures

    def choose(self, right: Array, found: Array, boxes: Array) -> tuple[Array, Array]:
        """Chooses among the thresholds.

        Args:
            right: `(C, R)` right detections from each of `C` falling thresholds on, of `R` sets of images.
            found: `(C, R)` all detections.
            boxes: `(R,)` boxes to find.

        Returns:
            `(R,)` positions of the thresholds, and `(R,)` bool whether the goal is reached. Where it is not, that of
            the highest precision or recall.
        """
        if self.kind == "f":
            return self._f_score(right, found, boxes).argmax(axis=0), np.ones(len(boxes), bool)
        if self.kind == "cost":
            return self._cost(right, found, boxes).argmin(axis=0), np.ones(len(boxes), bool)
        if self.kind == "recall":
            is_reached = np.asarray(right >= self.value * boxes - 1e-9)
            reached = np.asarray(is_reached.any(axis=0))
            return np.where(reached, is_reached.argmax(axis=0), right.argmax(axis=0)), reached
        precision = right / np.maximum(found, 1)
        is_reached = (precision >= self.value) & (right > 0)
        reached = np.asarray(is_reached.any(axis=0))
        candidates = np.where(reached, is_reached, precision == precision.max(axis=0))
        return np.where(candidates, right, -1).argmax(axis=0), reached

    def _f_score(self, right: Array, found: Array, boxes: Array) -> Array:
        square = self.value**2
        score: Array = (1 + square) * right / np.maximum(found + square * boxes, 1e-12)
        return score

    def _cost(self, right: Array, found: Array, boxes: Array) -> Array:
        cost: Array = self.wrong_cost * (found - right) + self.value * (boxes - right)
        return cost


def parse_goal(text: str) -> Goal:
    """Reads a goal.

    Args:
        text: One of `ALLOWED`.

    Returns:
        The goal.

    Raises:
        ValueError: It is none of these, or a number is out of range.
    """
    number = r"(\d+\.?\d*|\.\d+)"
    if (found := re.fullmatch(f"f{number}", text)) and float(found[1]) > 0:
        return Goal("f", float(found[1]))
    if (found := re.fullmatch(f"(precision|recall)={number}", text)) and 0 < float(found[2]) <= 1:
        return Goal("precision" if found[1] == "precision" else "recall", float(found[2]))
    if (found := re.fullmatch(f"cost={number}:{number}", text)) and float(found[1]) + float(found[2]) > 0:
        return Goal("cost", float(found[2]), float(found[1]))
    raise ValueError(f"{text!r} is not a goal of thresholds; allowed are {ALLOWED} with X above 0 and at most 1.")
