"""The numbers of the classes that `--class-balance` asks for, from the training boxes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from keras_retinanet.config import LossConfig
from keras_retinanet.losses import with_balanced_classes
from keras_retinanet.schema import Sample


def balance_classes(
    config: LossConfig, samples: Sequence[Sample], class_names: Sequence[str], log: Callable[[str], object]
) -> LossConfig:
    """Fill in class weights or alphas, which the snapshot then holds.

    Args:
        config: Settings of the loss.
        samples: The training images.
        class_names: Names of the labels `0 … K-1`.
        log: Receives one line with the numbers, if any are computed.

    Returns:
        The settings; the same without `class_balance`.
    """
    if config.class_balance == "none":
        return config
    counts = np.zeros(len(class_names), np.int64)
    for sample in samples:
        labels = np.asarray(sample["labels"])[~np.asarray(sample["ignore"], bool)]
        counts += np.bincount(labels, minlength=len(counts))
    balanced = with_balanced_classes(config, counts.tolist())
    values = balanced.class_weights or balanced.class_alphas
    named = ", ".join(f"{name} {value:.3g}" for name, value in zip(class_names, values, strict=True))
    log(f"class balance by {config.class_balance.replace('_', ' ')}: {named}")
    return balanced
