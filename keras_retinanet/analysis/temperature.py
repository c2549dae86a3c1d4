"""Temperature scaling: scores that are probabilities of being right, by one number fitted on matched detections.

Reference: Guo et al., "On Calibration of Modern Neural Networks", https://arxiv.org/abs/1706.04599, §4.2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_retinanet.evaluation.matching import IGNORED, RIGHT, Matches

Array = NDArray[Any]

_LIMITS = 0.05, 20.0  # of the temperature, where right and wrong detections are separated by a score
_TINY = 1e-7
_STEPS = 100


@dataclass(frozen=True)
class TemperatureFit:
    """The map from scores to calibrated scores, `sigmoid(logit(score) / temperature + bias)`.

    Attributes:
        temperature: Above 1 where the detector is too certain of both.
        bias: Above 0 where more detections are right than their scores say.
        num_detections: Detections it was fitted on.
        share_right: Share of them that is right.
        mean_scores: Their mean score before and after.
        losses: Their mean negative log-likelihood before and after.
    """

    temperature: float
    bias: float
    num_detections: int
    share_right: float
    mean_scores: tuple[float, float]
    losses: tuple[float, float]

    def __call__(self, scores: Any) -> Array:
        """Calibrates scores.

        Args:
            scores: Floats in `0 … 1`, of any shape.

        Returns:
            float64 of the same shape.
        """
        return calibrated_scores(scores, self.temperature, self.bias)


def calibrated_scores(scores: Any, temperature: float, bias: float) -> Array:
    """The calibrated scores.

    Args:
        scores: Floats in `0 … 1`, of any shape.
        temperature: float above 0.
        bias: float.

    Returns:
        float64 of the same shape.
    """
    scores = np.asarray(scores, np.float64)
    with np.errstate(divide="ignore"):
        return _sigmoid((np.log(scores) - np.log1p(-scores)) / temperature + bias)


def fit_temperature(matches: Matches, *, use_bias: bool = False) -> TemperatureFit:
    """Fits the temperature by the likelihood of right and wrong detections.

    Args:
        matches: Detections of all images; ignored ones do not count.
        use_bias: Fit a bias, too (Platt scaling). Defaults to `False`.

    Returns:
        The temperature, and what it changes.

    Raises:
        ValueError: There are no right or no wrong detections, or right ones do not score higher.
    """
    counted = matches.verdict != IGNORED
    scores, is_right = matches.score[counted], matches.verdict[counted] == RIGHT
    if is_right.all() or not is_right.any():
        found = f"{int(is_right.sum())} of {len(is_right)} detections are right"
        raise ValueError(f"The temperature of scores needs right and wrong detections: {found}. Take more images.")
    clipped = np.clip(scores, _TINY, 1 - _TINY)
    logits = np.log(clipped) - np.log1p(-clipped)
    slope, bias = _fit(logits, is_right, use_bias)
    if slope <= 0:
        raise ValueError("Right detections do not score higher than wrong ones: no temperature makes scores right.")
    temperature = min(max(1 / slope, _LIMITS[0]), _LIMITS[1])
    after = logits / temperature + bias
    return TemperatureFit(
        temperature=temperature,
        bias=bias,
        num_detections=len(scores),
        share_right=float(is_right.mean()),
        mean_scores=(float(scores.mean()), float(_sigmoid(after).mean())),
        losses=(_loss(logits, is_right), _loss(after, is_right)),
    )


def _fit(logits: Array, is_right: Array, use_bias: bool) -> tuple[float, float]:
    """Slope (1 / temperature) and bias of least loss, by Newton's method with halved steps; the loss is convex."""
    features = np.stack([logits, np.ones_like(logits)]) if use_bias else logits[None]
    weights = np.array([1.0, 0.0])[: len(features)]
    loss = _loss(weights @ features, is_right)
    for _ in range(_STEPS):
        probability = _sigmoid(weights @ features)
        gradient = features @ (probability - is_right) / len(logits)
        curvature = features * (probability * (1 - probability)) @ features.T / len(logits)
        step = np.linalg.solve(curvature + 1e-12 * np.eye(len(weights)), gradient)
        while (new := _loss((weights - step) @ features, is_right)) > loss and np.abs(step).max() > 1e-12:
            step = step / 2
        if np.abs(step).max() <= 1e-10 or weights[0] > 1 / _LIMITS[0]:
            break
        weights, loss = weights - step, new
    return float(weights[0]), float(weights[1]) if use_bias else 0.0


def _loss(logits: Array, is_right: Array) -> float:
    """Mean negative log-likelihood."""
    return float(np.logaddexp(0, np.where(is_right, -logits, logits)).mean())


def _sigmoid(logits: Array) -> Array:
    small = np.exp(-np.abs(logits))
    result: Array = np.where(logits >= 0, 1, small) / (1 + small)
    return result
