"""How the loss of a trained model is distributed over its anchors (paper §5.1, figure 4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops

from keras_retinanet.data.pipeline import TrainingBatches
from keras_retinanet.model.detection_loss import DetectionLoss
from keras_retinanet.model.retinanet import RetinaNet
from keras_retinanet.schema import Sample

MAX_NEGATIVES = 10_000_000
"""Negatives are sampled down to this number, as in the paper."""


@dataclass(frozen=True)
class LossSamples:
    """Signed logits `x_t`: above 0 where the model is right.

    Attributes:
        positives: Of the own class of each anchor that is assigned to a box.
        negatives: Of all classes of the anchors that are background.
    """

    positives: np.ndarray
    negatives: np.ndarray


def sample_losses(
    model: RetinaNet,
    samples: Sequence[Sample],
    *,
    batch_size: int = 4,
    seed: int = 0,
    progress: Callable[[int], object] | None = None,
) -> LossSamples:
    """Runs a model on images and collects the logits of its positive and negative anchors.

    Args:
        model: The model.
        samples: Annotated images, labels as those of the model.
        batch_size: Images per batch. Defaults to 4.
        seed: Seed of the choice among many negatives. Defaults to 0.
        progress: Receives the number of images of each batch. Defaults to `None`.

    Returns:
        The signed logits.
    """
    batches = TrainingBatches(
        samples,
        resize=model.resize_config,
        pad_value=model.pad_value,
        batch_size=min(batch_size, len(samples)),
        seed=seed,
        augmentations=(),
    )
    rng, share = np.random.default_rng(seed), MAX_NEGATIVES // batches.steps_per_epoch
    positives, negatives = [], []
    for images, targets in batches.dataset().take(batches.steps_per_epoch):
        own, others = signed_logits_of(model, images, targets)
        positives.append(own)
        negatives.append(others if len(others) <= share else rng.choice(others, share, replace=False))
        if progress is not None:
            progress(len(images))
    return LossSamples(np.concatenate(positives), np.concatenate(negatives))


def signed_logits_of(model: RetinaNet, images: Any, targets: Any) -> tuple[np.ndarray, np.ndarray]:
    """Signed logits of the positives and negatives of one batch.

    Args:
        model: The model.
        images: `(B, H, W, 3)`.
        targets: `schema.Targets`.

    Returns:
        Of positives `(P,)` and of negatives `(Q,)`, float32.
    """
    predictions = model(images, training=False)
    objective = DetectionLoss(model.box_coder, model.anchors.num_anchors, model.assigner_config, model.loss_config)
    decoded = None
    if objective.uses_predictions:
        anchors = ops.concatenate(list(predictions["anchors"].values()), axis=1)
        decoded = model.box_coder(ops.cast(predictions["deltas"], "float32"), anchors)
    assignment = objective.assign(targets, predictions, decoded)
    logits = ops.convert_to_numpy(ops.cast(model.class_logits(predictions["logits"]), "float32"))  # (B, A, K)
    anchor_labels, index = map(ops.convert_to_numpy, (assignment.anchor_labels, assignment.matched_idxs))
    image, anchor = np.nonzero(anchor_labels == 1)
    labels = ops.convert_to_numpy(targets["labels"])[image, index[image, anchor]]
    return logits[image, anchor, labels], -logits[anchor_labels == 0].reshape(-1)


def focal_values(signed: np.ndarray, gamma: float) -> np.ndarray:
    """Focal loss without α of signed logits.

    Args:
        signed: `(N,)` signed logits `x_t`.
        gamma: Exponent of the modulating factor.

    Returns:
        `(N,)` float64.
    """
    x = np.asarray(signed, np.float64)
    cross_entropy = np.logaddexp(0.0, -x)
    return cross_entropy * np.exp(gamma * (-x - cross_entropy))


def cumulative_loss(signed: np.ndarray, gamma: float, points: int = 201) -> tuple[np.ndarray, np.ndarray]:
    """Share of the whole loss that the easiest examples have.

    Args:
        signed: `(N,)` signed logits.
        gamma: Exponent of the modulating factor.
        points: Points of the curve. Defaults to 201.

    Returns:
        Fractions of the examples, from the lowest loss to the highest, and their shares of the loss; `(points,)` each.
    """
    losses = np.sort(focal_values(signed, gamma))
    total = np.concatenate([[0.0], np.cumsum(losses)])
    fractions = np.linspace(0, 1, points)
    return fractions, np.interp(fractions, np.linspace(0, 1, len(total)), total / max(total[-1], 1e-300))
