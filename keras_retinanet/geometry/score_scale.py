"""The scale of scores: logits or probabilities, calibrated by a temperature and a bias.

Calibration keeps the order of scores. Thresholds are therefore converted to the scale of the network's output, and
only the scores of the final detections are calibrated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from keras import ops

from keras_retinanet.schema import Tensor


class ScoreScale(NamedTuple):
    """How the network's output becomes a score: `sigmoid(logit / temperature + bias)`.

    Attributes:
        from_logits: Whether the output is logits, not probabilities.
        temperature: float above 0; 1 with a bias of 0 leaves probabilities as they are.
        bias: float.

    Reference: Guo et al., "On Calibration of Modern Neural Networks", https://arxiv.org/abs/1706.04599, §4.2; with a
        bias it is Platt scaling.
    """

    from_logits: bool
    temperature: float = 1.0
    bias: float = 0.0

    @property
    def is_calibrated(self) -> bool:
        """Whether scores differ from the network's probabilities."""
        return (self.temperature, self.bias) != (1, 0)

    def thresholds(self, score: float, by_class: Sequence[float], num_classes: int) -> Any:
        """Converts score thresholds to the scale of the network's output.

        Args:
            score: The threshold of all classes.
            by_class: One threshold per class in its place, or none.
            num_classes: int, `K`.

        Returns:
            float, or `(K,)` float32.

        Raises:
            ValueError: `by_class` has neither 0 nor `K` values.
        """
        if by_class and len(by_class) != num_classes:
            found = f"class_thresholds needs one value for each of {num_classes} classes, not {len(by_class)}."
            raise ValueError(found)
        thresholds = list(by_class or [score])
        if self.from_logits or self.is_calibrated:
            thresholds = [(_logit(value) - self.bias) * self.temperature for value in thresholds]
            thresholds = thresholds if self.from_logits else [_sigmoid(value) for value in thresholds]
        return np.array(thresholds, np.float32) if by_class else thresholds[0]

    def final_scores(self, output: Tensor) -> Tensor:
        """Converts the network's output to scores.

        Args:
            output: Logits or probabilities of any shape.

        Returns:
            Scores of the same shape.
        """
        if not self.is_calibrated:
            return ops.sigmoid(output) if self.from_logits else output
        logits = output if self.from_logits else ops.log(output) - ops.log1p(-output)
        return ops.sigmoid(logits / self.temperature + self.bias)


def _logit(probability: float) -> float:
    if probability <= 0:
        return -math.inf
    return math.inf if probability >= 1 else math.log(probability / (1 - probability))


def _sigmoid(logit: float) -> float:
    return math.exp(min(logit, 0)) / (1 + math.exp(-abs(logit)))
