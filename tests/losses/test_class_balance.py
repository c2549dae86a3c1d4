from __future__ import annotations

import numpy as np
import pytest

from keras_retinanet.config import LossConfig
from keras_retinanet.losses import CLASSIFICATION_LOSSES, ClassTargets, class_constants
from keras_retinanet.losses.class_balance import (
    check_class_numbers,
    effective_number_weights,
    frequency_alphas,
    with_balanced_classes,
)

LOGITS = np.random.default_rng(0).normal(0, 2, (2, 30, 3)).astype(np.float32)
LABELS = np.random.default_rng(1).integers(0, 3, (2, 30)).astype(np.int32)
STATE = np.random.default_rng(2).integers(-1, 2, (2, 30)).astype(np.int32)
TARGETS = ClassTargets(LABELS, STATE, np.random.default_rng(3).uniform(0, 1, (2, 30)).astype(np.float32))
CORNERS = np.random.default_rng(4).uniform(0, 100, (30, 2)).astype(np.float32)
TARGETS = TARGETS._replace(anchors=np.concatenate([CORNERS, CORNERS + 20], axis=1))


def test_effective_numbers_worked_by_hand() -> None:
    """β 0.5: effective numbers 1 and 1.5 of 1 and 2 boxes; weights in the ratio 1 : 2/3, with a mean of 1."""
    np.testing.assert_allclose(effective_number_weights([1, 2], 0.5), [1.2, 0.8])
    np.testing.assert_allclose(effective_number_weights([5, 500, 0], 0.0), [1, 1, 1])
    np.testing.assert_allclose(effective_number_weights([10, 30], 1 - 1e-9), [1.5, 0.5], rtol=1e-6)
    with pytest.raises(ValueError, match="without, 1; received 1"):
        effective_number_weights([1], 1)


def test_alphas_worked_by_hand() -> None:
    """Boxes 4, 16, 16 with a mean of 12; odds 1/3 · √3 and 1/3 · √0.75."""
    odds = np.array([3**0.5 / 3, 0.75**0.5 / 3, 0.75**0.5 / 3])
    np.testing.assert_allclose(frequency_alphas([4, 16, 16], 0.25), odds / (1 + odds))
    np.testing.assert_allclose(frequency_alphas([7, 7], 0.25), [0.25, 0.25])


def test_settings_get_the_numbers_they_ask_for() -> None:
    counts = [4, 16, 16]
    assert with_balanced_classes(LossConfig(), counts) == LossConfig()
    weighted = with_balanced_classes(LossConfig(class_balance="effective_number", balance_beta=0.9), counts)
    assert weighted.class_weights == effective_number_weights(counts, 0.9)
    assert with_balanced_classes(weighted, [1, 1, 1]) == weighted
    balanced = with_balanced_classes(LossConfig(class_balance="alpha_by_frequency", alpha=0.4), counts)
    assert balanced.class_alphas == frequency_alphas(counts, 0.4)


def test_wrong_numbers_of_classes_are_named() -> None:
    check_class_numbers(LossConfig(class_weights=(1, 2, 3)), 3)
    with pytest.raises(ValueError, match=r"loss\.class_weights .* 3 classes.*received 2: 1, 2"):
        check_class_numbers(LossConfig(class_weights=(1, 2)), 3)
    with pytest.raises(ValueError, match=r"loss\.class_alphas"):
        check_class_numbers(LossConfig(class_alphas=(0.5, 0.2, -1)), 3)


def test_a_loss_without_alphas_refuses_them() -> None:
    with pytest.raises(ValueError, match=r"--class-alphas .* does not apply to quality_focal"):
        class_constants(LossConfig("quality_focal", class_alphas=(0.1, 0.2)))


@pytest.mark.parametrize("name", CLASSIFICATION_LOSSES)
def test_weights_are_factors_on_the_terms_of_a_class(name: str) -> None:
    loss = CLASSIFICATION_LOSSES[name]
    constants = dict(loss.constants)
    logits = np.pad(LOGITS, ((0, 0), (0, 0), (0, int(loss.has_background))))

    def value(*weights: float) -> float:
        return float(loss.function(logits, TARGETS, **constants | {"class_weights": weights}))

    whole = float(loss.function(logits, TARGETS, **constants))
    background = value(0, 0, 0)  # a softmax over classes and background has terms that belong to no class
    assert (background > 0) == loss.has_background
    parts = [value(*weights) - background for weights in ((1, 0, 0), (0, 1, 0), (0, 0, 1))]
    assert min(parts) > 0
    np.testing.assert_allclose(sum(parts) + background, whole, rtol=1e-5)
    np.testing.assert_allclose(value(0.5, 2, 3), np.dot(parts, [0.5, 2, 3]) + background, rtol=1e-5)


@pytest.mark.parametrize("name", ["focal", "balanced_cross_entropy"])
def test_alphas_by_class(name: str) -> None:
    loss = CLASSIFICATION_LOSSES[name]
    same = loss.function(LOGITS, TARGETS, **loss.constants | {"class_alphas": (0.25,) * 3})
    np.testing.assert_allclose(same, loss.function(LOGITS, TARGETS, **loss.constants), rtol=1e-6)
    only = {"class_weights": (0, 1, 0)}
    mixed = loss.function(LOGITS, TARGETS, **loss.constants | only | {"class_alphas": (0.9, 0.6, 0.1)})
    alone = loss.function(LOGITS, TARGETS, **loss.constants | only | {"alpha": 0.6})
    np.testing.assert_allclose(mixed, alone, rtol=1e-6)
