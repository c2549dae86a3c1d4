"""Weights of classes: rare ones learn more from each of their boxes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from keras_retinanet.config import LossConfig


def effective_number_weights(counts: Sequence[int], beta: float) -> tuple[float, ...]:
    """Weights `(1 - β) / (1 - β^n)` of classes with `n` boxes, scaled to a mean of 1.

    Args:
        counts: Boxes of each class; a class without any weighs as one with a single box.
        beta: 0 gives equal weights; towards 1 they approach `1 / n`.

    Returns:
        One weight per class.

    Reference:
        Cui et al., Class-Balanced Loss Based on Effective Number of Samples, 2019, equation 2 and §4.
    """
    boxes = np.maximum(np.asarray(counts, np.float64), 1)
    if not 0 <= beta < 1:
        raise ValueError(f"β of the effective number lies from 0 up to, but without, 1; received {beta!r}.")
    weights = (1 - beta) / (1 - beta**boxes)
    return tuple(float(weight) for weight in weights * len(boxes) / weights.sum())


def frequency_alphas(counts: Sequence[int], alpha: float) -> tuple[float, ...]:
    """Focal-loss alphas of classes: α for one of average frequency, more for rarer and less for more frequent ones.

    The odds `α / (1 - α)` are multiplied by the square root of the average over the class's own number of boxes, as
    repeat-factor sampling repeats rare classes (Gupta et al., LVIS, 2019, §5).

    Args:
        counts: Boxes of each class; a class without any counts as one with a single box.
        alpha: In `0 … 1`, ends excluded.

    Returns:
        One alpha per class.
    """
    boxes = np.maximum(np.asarray(counts, np.float64), 1)
    odds = alpha / (1 - alpha) * np.sqrt(boxes.mean() / boxes)
    return tuple(float(value) for value in odds / (1 + odds))


def with_balanced_classes(config: LossConfig, counts: Sequence[int]) -> LossConfig:
    """Fill in the numbers of the classes that `class_balance` asks for.

    Args:
        config: Settings; numbers that they give already are kept.
        counts: Training boxes of each class.

    Returns:
        Settings with `class_weights` or `class_alphas`.
    """
    if config.class_balance == "effective_number" and not config.class_weights:
        return dataclasses.replace(config, class_weights=effective_number_weights(counts, config.balance_beta))
    if config.class_balance == "alpha_by_frequency" and not config.class_alphas:
        alpha = 0.25 if config.alpha is None else config.alpha
        return dataclasses.replace(config, class_alphas=frequency_alphas(counts, alpha))
    return config


def check_class_numbers(config: LossConfig, num_classes: int) -> None:
    """Check that numbers given per class are as many as the classes.

    Args:
        config: Settings.
        num_classes: `K`.

    Raises:
        ValueError: They are not, or one is negative; names the setting.
    """
    for name in ("class_weights", "class_alphas"):
        values = getattr(config, name)
        if values and (len(values) != num_classes or min(values) < 0):
            raise ValueError(
                f"loss.{name} needs one number of at least 0 for each of {num_classes} classes, in the order of the "
                f"labels; received {len(values)}: {', '.join(f'{value:g}' for value in values)}."
            )
