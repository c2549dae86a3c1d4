from __future__ import annotations

import functools
import math
from typing import get_args

import keras
import numpy as np
import pytest
from keras import ops

from keras_retinanet import losses
from keras_retinanet.config import BoxLossName, ClassificationLossName, LossConfig
from keras_retinanet.losses import BOX_LOSSES, CLASSIFICATION_LOSSES, ClassTargets, class_constants


def test_names_of_the_flags_are_those_of_the_tables():
    assert get_args(ClassificationLossName) == tuple(CLASSIFICATION_LOSSES)
    assert get_args(BoxLossName) == tuple(BOX_LOSSES)


def default_loss(name):
    """A classification loss with its own constants."""
    return functools.partial(CLASSIFICATION_LOSSES[name].function, **class_constants(LossConfig(name)))


TWO_ANCHORS = np.array([[0, 0, 10, 10], [20, 0, 30, 10]], np.float32)


def with_background(name, logits, background=0.0):
    """The logits `(B, A, K)`, with those of the background where the loss has a softmax over both."""
    if not CLASSIFICATION_LOSSES[name].has_background:
        return logits
    column = np.broadcast_to(np.asarray(background, logits.dtype), logits.shape[:2])[..., None]
    return np.concatenate([logits, column], axis=-1)


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_focal_worked_by_hand():
    logits = np.array([[[1.0, -2.0], [0.5, 0.0], [3.0, 3.0]]], np.float32)
    targets = ClassTargets(np.array([[1, 0, 0]], np.int32), np.array([[1, 0, -1]], np.int32))
    background = sum(0.75 * sigmoid(x) ** 2 * -math.log(1 - sigmoid(x)) for x in (1.0, 0.5, 0.0))
    own = 0.25 * (1 - sigmoid(-2)) ** 2 * -math.log(sigmoid(-2))
    np.testing.assert_allclose(losses.focal(logits, targets, alpha=0.25, gamma=2.0), background + own, rtol=1e-6)


def test_cross_entropies_worked_by_hand():
    logits = np.array([[[1.0, -2.0], [0.5, 0.0]]], np.float32)
    targets = ClassTargets(np.array([[1, 0]], np.int32), np.array([[1, 0]], np.int32))
    background, own = sum(-math.log(1 - sigmoid(x)) for x in (1.0, 0.5, 0.0)), -math.log(sigmoid(-2))
    np.testing.assert_allclose(losses.cross_entropy(logits, targets), background + own, rtol=1e-6)
    balanced = losses.balanced_cross_entropy(logits, targets, alpha=0.9)
    np.testing.assert_allclose(balanced, 0.1 * background + 0.9 * own, rtol=1e-6)


@pytest.mark.parametrize("name", CLASSIFICATION_LOSSES)
def test_perfect_logits_cost_nothing(name):
    logits = np.array([[[60.0, -60.0], [-60.0, -60.0]]], np.float32)
    targets = ClassTargets(np.array([[0, -1]], np.int32), np.array([[1, 0]], np.int32), anchors=TWO_ANCHORS)
    logits = with_background(name, logits, [-60.0, 60.0])
    np.testing.assert_allclose(
        default_loss(name)(logits, targets._replace(quality=targets.anchor_labels)), 0, atol=1e-6
    )


@pytest.mark.parametrize("name", CLASSIFICATION_LOSSES)
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_extreme_logits_stay_finite_and_keep_their_gradient(name, dtype, gradient):
    logits = with_background(name, np.array([[[100.0, -100.0], [100.0, -100.0]]], dtype))
    targets = ClassTargets(np.array([[1, 0]], np.int32), np.array([[1, 0]], np.int32), anchors=TWO_ANCHORS)
    targets, loss = targets._replace(quality=targets.anchor_labels), default_loss(name)
    value = float(loss(logits, targets))
    slope = gradient(lambda x: loss(x, targets), logits.astype(np.float32))
    assert np.isfinite(value)
    assert value > 30  # two wrong answers of 100 each, weighted by at least 0.25 and 0.1
    assert np.all(np.isfinite(slope))
    assert slope[0, 0, 1] < -0.05  # the object that is denied pulls its logit up…
    assert slope[0, 1, 0] > 0.05  # …and the background that is affirmed pushes down


def test_ignored_anchors_carry_no_gradient(gradient):
    logits = np.zeros((1, 3, 2), np.float32)
    targets = ClassTargets(np.array([[0, 1, 1]], np.int32), np.array([[1, -1, 0]], np.int32))
    slope = gradient(lambda x: losses.focal(x, targets, alpha=0.25, gamma=2.0), logits)
    assert np.all(slope[0, 1] == 0)
    assert np.all(slope[0, [0, 2]] != 0)


PROBLEM = ClassTargets(
    np.array([[1, 0, -1, -1, 1, -1]], np.int32),
    np.array([[1, 1, 0, 0, -1, 0]], np.int32),
    np.array([[0.7, 0.4, 0, 0, 0, 0]], np.float32),
    np.stack([np.arange(6) * 20, np.zeros(6), np.arange(6) * 20 + 10, np.full(6, 10)], axis=1).astype(np.float32),
)
"""Two objects, background, an ignored anchor; no two anchors overlap."""


@pytest.mark.parametrize("name", CLASSIFICATION_LOSSES)
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_gradients_are_the_numerical_derivative(name, smoothing, gradient):
    """Differences of values at four places, whose error is of fourth order."""
    constants = class_constants(LossConfig(name, label_smoothing=smoothing))
    constants |= {
        "ohem": {"mined_examples": 3},
        "hard_negative": {"negative_ratio": 1.0},
        "multibox": {"negative_ratio": 1.0},
    }.get(name, {})
    loss = functools.partial(CLASSIFICATION_LOSSES[name].function, **constants)
    logits = np.random.default_rng(10).normal(0, 2, (1, 6, 2)).astype(np.float32)  # losses of anchors differ by 0.3
    logits = with_background(name, logits, 0.5)
    if name == "ghm":  # in the middle of their bins: the weights do not change
        share = (np.random.default_rng(10).integers(3, 27, (1, 6, 2)) + 0.5) / 30
        logits = np.log(share / (1 - share)).astype(np.float32)
    step, expected = 0.03, np.zeros_like(logits)
    for place in np.ndindex(logits.shape):
        for offset, weight in ((1, 8), (-1, -8), (2, -1), (-2, 1)):
            moved = logits.copy()
            moved[place] += offset * step
            expected[place] += weight * float(loss(moved, PROBLEM)) / (12 * step)
    slope = gradient(lambda x: loss(x, PROBLEM), logits)
    assert np.all(slope[0, 4] == 0)
    assert np.abs(slope).max() > 0.01
    np.testing.assert_allclose(slope, expected, atol=2e-4 * max(1, np.abs(slope).max()))


@pytest.mark.parametrize("name", ["focal", "cross_entropy", "focal_star", "ghm", "ohem", "hard_negative"])
def test_label_smoothing_worked_by_hand(name):
    """One anchor, an object, of one class and logit 1: the cross entropy has the target 0.9, factors keep the label."""
    targets = ClassTargets(np.array([[0]]), np.array([[1]]), anchors=TWO_ANCHORS[:1])
    constants = class_constants(LossConfig(name, label_smoothing=0.2))
    found = CLASSIFICATION_LOSSES[name].function(np.ones((1, 1, 1), np.float32), targets, **constants)
    p = sigmoid(1.0)
    cross_entropy = -0.9 * math.log(p) - 0.1 * math.log(1 - p)
    steep = sigmoid(2 * 1.0 + 1)
    expected = {
        "focal": 0.25 * (1 - p) ** 2 * cross_entropy,
        "focal_star": 0.25 * (-0.9 * math.log(steep) - 0.1 * math.log(1 - steep)) / 2,
    }
    np.testing.assert_allclose(found, expected.get(name, cross_entropy), rtol=1e-5)


def test_label_smoothing_of_qualities_worked_by_hand():
    """Quality 0.5 stays, quality 1 becomes 0.9; the weight of the varifocal loss and the factors keep the quality."""
    targets = ClassTargets(np.array([[0, 0]]), np.array([[1, 1]]), np.array([[0.5, 1.0]], np.float32))
    logits, p = np.ones((1, 2, 1), np.float32), sigmoid(1.0)
    half = -0.5 * math.log(p) - 0.5 * math.log(1 - p)
    whole = -0.9 * math.log(p) - 0.1 * math.log(1 - p)
    expected = {
        "varifocal": 0.5 * half + whole,
        "quality_focal": (p - 0.5) ** 2 * half + (1 - p) ** 2 * whole,
    }
    for name, value in expected.items():
        constants = class_constants(LossConfig(name, label_smoothing=0.2))
        found = CLASSIFICATION_LOSSES[name].function(logits, targets, **constants)
        np.testing.assert_allclose(found, value, rtol=1e-5)


def test_smooth_l1_worked_by_hand():
    predicted, target = np.array([[0.05, -0.2, 1.0, 0.0]], np.float32), np.zeros((1, 4), np.float32)
    expected = 4.5 * 0.05**2 + (0.2 - 1 / 18) + (1 - 1 / 18)
    np.testing.assert_allclose(losses.smooth_l1(predicted, target), [expected], rtol=1e-6)
    np.testing.assert_allclose(losses.l1(predicted, target), [1.25], rtol=1e-6)
    two = np.array([[0.05, -0.2, 1.0, 0.0], [0.0, 3.0, 0.0, -4.0]], np.float32)
    np.testing.assert_allclose(losses.l1(two, np.zeros((2, 4), np.float32)), [1.25, 7.0], rtol=1e-6)


def test_giou_loss_worked_by_hand():
    predicted, target = np.array([[0, 0, 10, 10]], np.float32), np.array([[20, 20, 30, 30]], np.float32)
    np.testing.assert_allclose(losses.giou_loss(predicted, target), [1 + 700 / 900], rtol=1e-6)


@pytest.mark.parametrize("name", BOX_LOSSES)
def test_box_losses_vanish_at_the_target_and_stay_finite(name, gradient):
    loss = BOX_LOSSES[name].function
    box = np.array([[3, 4, 30, 50]], np.float32)
    np.testing.assert_allclose(loss(box, box), [0], atol=1e-6)
    far = np.array([[1e4, 1e4, 1e4, 1e4]], np.float32)
    assert np.all(np.isfinite(loss(far, box)))
    assert np.all(np.isfinite(gradient(lambda x: ops.sum(loss(x, box)), far)))


@pytest.mark.parametrize("name", BOX_LOSSES)
def test_box_losses_compute_in_float32_whatever_they_are_given(name):
    """Areas of 600,000 square pixels are infinite in float16."""
    predicted, target = np.array([[0, 0, 1000, 600]]), np.array([[0, 0, 500, 600]])
    loss = BOX_LOSSES[name].function
    expected = loss(predicted.astype("float32"), target.astype("float32"))
    for kinds in (("float16", "float64"), ("float64", "float16")):
        found = loss(*(ops.convert_to_tensor(x, kind) for x, kind in zip((predicted, target), kinds, strict=True)))
        assert keras.backend.standardize_dtype(found.dtype) == "float32"
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", CLASSIFICATION_LOSSES)
def test_class_losses_compute_in_float32_whatever_they_are_given(name):
    logits, labels, state = np.array([[[1.5, -2.0], [0.5, 0.0]]]), np.array([[1, -1]]), np.array([[1, 0]])
    quality, logits = np.array([[0.75, 0.0]]), with_background(name, logits)

    def loss(floats, whole, signs):
        kinds = ((labels, whole), (state, signs), (quality, floats))
        targets = ClassTargets(*(ops.convert_to_tensor(values, kind) for values, kind in kinds), TWO_ANCHORS)
        return default_loss(name)(logits.astype(floats), targets)

    for kinds in (("float16", "int64", "int8"), ("float64", "int8", "int64")):
        found = loss(*kinds)
        assert keras.backend.standardize_dtype(found.dtype) == "float32"
        np.testing.assert_array_equal(found, loss("float32", "int32", "int32"))


@pytest.mark.parametrize("name", CLASSIFICATION_LOSSES)
def test_targets_may_be_arrays_or_tensors(name, gradient):
    logits = with_background(name, np.array([[[1.5, -2.0], [0.5, 0.0], [3.0, 1.0]]], np.float32))
    arrays = ClassTargets(
        np.array([[1, -1, 0]], np.int32),
        np.array([[1, 0, -1]], np.int32),
        np.array([[0.75, 0, 0]], np.float32),
        np.array([[0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10]], np.float32),
    )
    tensors, loss = ClassTargets(*map(ops.convert_to_tensor, arrays)), default_loss(name)
    np.testing.assert_allclose(loss(ops.convert_to_tensor(logits), tensors), loss(logits, arrays), rtol=1e-6)
    slopes = [gradient(lambda x, targets=targets: loss(x, targets), logits) for targets in (tensors, arrays)]
    np.testing.assert_allclose(slopes[0], slopes[1], rtol=1e-6)
    assert np.all(slopes[0][0, :2] != 0)


def golden_batch(shared):
    golden = np.load(shared("reference/fizyr_golden/targets_losses_golden.npz"))
    state = golden["labels_batch"][..., -1].astype(np.int32)
    labels = golden["labels_batch"][..., :-1].argmax(axis=-1).astype(np.int32)
    return golden, ClassTargets(labels, state), max(1, int((state == 1).sum()))


@pytest.mark.parametrize(("alpha", "gamma"), [(0.25, 2.0), (0.5, 1.0), (0.25, 0.0)])
def test_focal_equals_fizyr(shared, alpha, gamma):
    golden, targets, positives = golden_batch(shared)
    p = golden["pred_classification"].astype(np.float64)
    logits = np.log(p / (1 - p)).astype(np.float32)
    got = float(losses.focal(logits, targets, alpha=alpha, gamma=gamma)) / positives
    np.testing.assert_allclose(got, golden[f"focal_a{alpha}_g{gamma}"], rtol=1e-5)


def test_focal_gradient_equals_fizyr(shared, gradient):
    golden, targets, positives = golden_batch(shared)
    p = golden["pred_classification"].astype(np.float64)
    logits = np.log(p / (1 - p)).astype(np.float32)
    slope = gradient(lambda x: losses.focal(x, targets, alpha=0.25, gamma=2.0) / positives, logits)
    expected = golden["focal_grad_default"] * p * (1 - p)  # chain rule from probabilities to logits
    np.testing.assert_allclose(slope, expected, atol=1e-6)


@pytest.mark.parametrize("sigma", [1.0, 3.0])
def test_smooth_l1_equals_fizyr(shared, sigma):
    golden, targets, positives = golden_batch(shared)
    values = losses.smooth_l1(golden["pred_regression"], golden["regression_batch"][..., :4], 1 / sigma**2)
    got = float(ops.sum(ops.where(targets.anchor_labels == 1, values, 0.0))) / positives
    np.testing.assert_allclose(got, golden[f"smooth_l1_sigma{sigma}"], rtol=1e-5)


@pytest.mark.parametrize("case", ["simple", "multi", "3d"])
@pytest.mark.parametrize(("alpha", "gamma"), [(0.25, 2.0), (0.5, 1.0), (0.25, 0.0), (0.75, 5.0)])
def test_focal_equals_tensorflow_addons(shared, case, alpha, gamma):
    golden = np.load(shared("reference/fizyr_golden/tfa_focal_golden.npz"))
    target, logits = golden[f"{case}/y_true"], golden[f"{case}/y_logit"].astype(np.float32)
    expected = float(golden[f"{case}/a{alpha}_g{gamma}_logits1_sum"])
    # addons' labels are several-hot: each number is an anchor of one class here
    state = target.reshape(1, -1).astype(np.int32)
    targets = ClassTargets(np.zeros_like(state), state)
    got = losses.focal(logits.reshape(1, -1, 1), targets, alpha=alpha, gamma=gamma)
    np.testing.assert_allclose(float(got), expected, rtol=1e-5)


def test_constants_are_those_of_the_loss_unless_they_are_given() -> None:
    on_any = {"class_weights": (), "label_smoothing": 0.0}
    by_class = {"class_alphas": (), **on_any}
    assert class_constants(LossConfig("focal")) == {"alpha": 0.25, "gamma": 2.0, **by_class}
    assert class_constants(LossConfig("focal", alpha=0.5, gamma=0.0)) == {"alpha": 0.5, "gamma": 0.0, **by_class}
    assert class_constants(LossConfig("cross_entropy", class_weights=(1.0, 2.0))) == {
        "class_weights": (1.0, 2.0),
        "label_smoothing": 0.0,
    }
    varifocal = {"background_weight": 0.75, "gamma": 1.0, **on_any}
    assert class_constants(LossConfig("varifocal", gamma=1.0)) == varifocal


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            LossConfig("varifocal", alpha=0.25),
            r"--focal-alpha 0\.25 .* varifocal.*: --background-weight, ",
        ),
        (LossConfig("quality_focal", alpha=0.25), r"--focal-alpha .* quality_focal"),
        (LossConfig("cross_entropy", gamma=2.0), r"--focal-gamma 2\.0 .* cross_entropy, which has: --class-weights"),
        (LossConfig("focal", background_weight=0.5), "--background-weight .* focal"),
        (LossConfig("hard_negative", mining_nms=0.7), r"--mining-nms 0\.7 .* hard_negative, .*--negative-ratio"),
        (LossConfig("focal", shift=1.0), r"--focal-shift 1\.0 .* focal"),
    ],
)
def test_a_constant_of_another_loss_is_refused_by_name(config: LossConfig, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        class_constants(config)
