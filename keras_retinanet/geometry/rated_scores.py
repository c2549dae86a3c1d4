"""Scores of classes, combined with the predicted IoU of the box."""

from __future__ import annotations

from typing import get_args

from keras import ops

from keras_retinanet.config import QualityScore
from keras_retinanet.geometry.nms import take_rows
from keras_retinanet.geometry.score_scale import ScoreScale
from keras_retinanet.schema import Tensor


class RatedScores:
    """Scores of anchors and classes that are combined only where they are read: few of millions are.

    Args:
        scores: `(B, A, K)`. Probabilities, or logits if the scale says so.
        quality: `(B, A)`. Predicted IoU in the form of the scores; `None` if the network does not predict it.
        rule: The score becomes the square root of score times IoU, their product, or `"none"`, stays as it is.
        scale: How the network's output becomes a score.

    Raises:
        ValueError: The rule is unknown.

    Attributes:
        scores: `(B, A, K)` float32, not combined.
        scale: How the values that are read become scores; combined ones are scores already.

    Reference:
        Kim and Lee, Probabilistic Anchor Assignment with IoU Prediction, 2020, §3.3, for the square root; Tian et al.,
        FCOS, 2019, §3.3, for the product.
    """

    def __init__(self, scores: Tensor, quality: Tensor | None, rule: QualityScore, scale: ScoreScale) -> None:
        if rule not in get_args(QualityScore):
            raise ValueError(f"quality_score must be one of {', '.join(get_args(QualityScore))}; received {rule!r}.")
        self.scores = ops.stop_gradient(ops.cast(scores, "float32"))
        self.scale, self._given, self._rule, self._quality = scale, scale, rule, None
        if quality is not None and rule != "none":
            quality = ops.stop_gradient(ops.cast(quality, "float32"))
            self._quality = ops.sigmoid(quality) if scale.from_logits else quality
            self.scale = ScoreScale(from_logits=False)

    def all(self) -> Tensor:
        """Values `(B, A, K)`."""
        return self._combine(self.scores, None if self._quality is None else self._quality[..., None])

    def best(self) -> Tensor:
        """Value of the best class of each anchor, `(B, A)`."""
        return self._combine(ops.max(self.scores, axis=-1), self._quality)

    def rows(self, anchors: Tensor) -> Tensor:
        """Values `(B, k, K)` of some anchors `(B, k)`."""
        quality = None if self._quality is None else take_rows(self._quality, anchors)[..., None]
        return self._combine(take_rows(self.scores, anchors), quality)

    def above(self, thresholds: Tensor) -> RatedScores:
        """The same, with -inf for each value at or below its threshold.

        Args:
            thresholds: `(K,)`, on the scale of the values.
        """
        values = self.all()
        return RatedScores(ops.where(ops.greater(values, thresholds), values, -float("inf")), None, "none", self.scale)

    def _combine(self, scores: Tensor, quality: Tensor | None) -> Tensor:
        if quality is None:
            return scores
        product = self._given.final_scores(scores) * quality
        return ops.sqrt(product) if self._rule == "sqrt" else product
