"""What a new class head answers before its first step, with the prior π and without (paper §3.3 and §4.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops

from keras_retinanet.experiments.loss_samples import focal_values, signed_logits_of
from keras_retinanet.model.heads import PriorProbability
from keras_retinanet.model.retinanet import RetinaNet

PRIORS = {"π = 0.01": 0.01, "biases of 0": 0.5}
"""Name of an initialisation → its prior."""


@dataclass(frozen=True)
class FirstScores:
    """The answers of a new class head.

    Attributes:
        scores: Of all anchors and classes.
        positive_loss: Cross entropy of the positives, per object.
        negative_loss: Cross entropy of the negatives, per object.
    """

    scores: np.ndarray
    positive_loss: float
    negative_loss: float


def first_scores(model: RetinaNet, images: Any, targets: Any, prior: float) -> FirstScores:
    """The answers of a model whose last layer of class scores is new; the model gets its weights back.

    Args:
        model: A model whose class head has a sigmoid for each class.
        images: `(B, H, W, 3)`.
        targets: `schema.Targets`.
        prior: Probability of objects with which the class head starts.

    Returns:
        The scores, and the cross entropy.
    """
    rng = np.random.default_rng(0)
    kept = [(weight, np.asarray(weight.value)) for final in model.class_head.predictors for weight in final.weights]
    try:
        for weight, value in kept:
            is_bias = "bias" in weight.name
            weight.assign(PriorProbability(prior)(value.shape) if is_bias else rng.normal(0, 0.01, value.shape))
        positives, negatives = signed_logits_of(model, images, targets)
    finally:
        for weight, value in kept:
            weight.assign(value)
    scores = ops.convert_to_numpy(ops.sigmoid(np.concatenate([positives, -negatives])))
    per_object = 1 / max(len(positives), 1)
    losses = (float(focal_values(signed, 0.0).sum()) * per_object for signed in (positives, negatives))
    return FirstScores(scores, *losses)
