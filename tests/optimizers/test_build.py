"""The linear rule, and one update worked by hand for each kind of decay."""

import keras
import numpy as np
import pytest

from keras_retinanet.config import OptimizerConfig
from keras_retinanet.optimizers.build import build_optimizer, build_schedule, keras_decay, peak_rate
from keras_retinanet.optimizers.schedules import WarmupSchedule


def small_model() -> keras.Model:
    """A kernel, a bias, a scale and a shift, all of ones."""
    inputs = keras.Input((2,))
    outputs = keras.layers.BatchNormalization(gamma_initializer="ones", beta_initializer="ones")(
        keras.layers.Dense(1, kernel_initializer="ones", bias_initializer="ones")(inputs)
    )
    return keras.Model(inputs, outputs)


def after_updates(config: OptimizerConfig, rate: float, gradient: float, updates: int = 1) -> dict[str, float]:
    """Values of the variables after updates with the same gradient everywhere."""
    model = small_model()
    optimizer = build_optimizer(config, model, WarmupSchedule(rate, 100, decay="constant"))
    for _ in range(updates):
        optimizer.apply([keras.ops.full(v.shape, gradient) for v in model.trainable_variables])
    return {v.name: float(np.ravel(v.numpy())[0]) for v in model.trainable_variables}


@pytest.mark.parametrize(
    ("name", "batch_size", "expected"),
    [("sgd", 16, 0.01), ("sgd", 2, 0.00125), ("adam", 2, 1.25e-5), ("adamw", 32, 2e-4), ("muon", 8, 5e-4)],
)
def test_linear_rule(name: str, batch_size: int, expected: float) -> None:
    rate = peak_rate(OptimizerConfig(optimizer=name), batch_size)  # type: ignore[arg-type]
    assert rate.value == pytest.approx(expected)
    assert "linear rule" in rate.reason
    assert str(batch_size) in rate.reason


def test_a_given_rate_is_not_scaled() -> None:
    assert peak_rate(OptimizerConfig(learning_rate=0.5), 2).value == 0.5


@pytest.mark.parametrize(
    ("total", "given", "expected"), [(90_000, None, 500), (70, None, 7), (5, None, 0), (70, 30, 30)]
)
def test_warm_up_takes_at_most_a_tenth_of_the_run(total: int, given: int | None, expected: int) -> None:
    schedule = build_schedule(OptimizerConfig(warmup_steps=given), batch_size=16, total_steps=total)
    assert schedule.warmup_steps == expected
    assert schedule.peak == 0.01


def test_only_kernels_decay() -> None:
    """Gradient zero: what moves, moves by decay alone: lr · λ / (1 - momentum) = 0.1 · 0.01 / 0.5."""
    values = after_updates(OptimizerConfig(weight_decay=0.01, momentum=0.5), rate=0.1, gradient=0.0)
    assert values == pytest.approx({"kernel": 1 - 0.002, "bias": 1.0, "gamma": 1.0, "beta": 1.0})


def test_sgd_decay_equals_l2_in_the_loss_once_momentum_has_built_up() -> None:
    """PyTorch's SGD, by hand: v ← m v + g + λ w; w ← w - lr v; compared where 0.9 ** n has died away."""
    config = OptimizerConfig(clip_norm=0.0)
    lr, decay, momentum = 0.01, 1e-4, config.momentum
    weight, velocity = 1.0, 0.0
    for _ in range(300):
        velocity = momentum * velocity + decay * weight
        weight -= lr * velocity
    ours = after_updates(config, rate=lr, gradient=0.0, updates=300)["kernel"]
    assert 1 - ours == pytest.approx(1 - weight, rel=0.04)
    assert keras_decay(config) == pytest.approx(1e-3)


def test_adamw_decays_by_lr_times_decay() -> None:
    values = after_updates(OptimizerConfig(optimizer="adamw", weight_decay=0.1), rate=0.01, gradient=0.0)
    assert values == pytest.approx({"kernel": 1 - 0.001, "bias": 1.0, "gamma": 1.0, "beta": 1.0})


def test_muon_decays_kernels_of_either_kind_and_no_shift() -> None:
    inputs = keras.Input((4, 4, 8))
    ones = {"kernel_initializer": "ones", "bias_initializer": "ones"}
    model = keras.Model(inputs, keras.layers.Conv2D(1, 1, **ones)(keras.layers.Conv2D(8, 3, **ones)(inputs)))
    config = OptimizerConfig(optimizer="muon", weight_decay=0.1)
    optimizer = build_optimizer(config, model, WarmupSchedule(0.5, 100, decay="constant"))
    optimizer.apply([keras.ops.zeros(v.shape) for v in model.trainable_variables])
    values = [float(np.ravel(v.numpy())[0]) for v in model.trainable_variables]
    assert values == pytest.approx([0.95, 1.0, 0.95, 1.0])


def test_muon_may_leave_the_backbone_to_adamw() -> None:
    """The first update of AdamW is the rate times the sign of the gradient; that of Muon has singular values near 1."""
    inputs = keras.Input((4, 4, 8))
    backbone = keras.Model(inputs, keras.layers.Conv2D(8, 1, name="conv_pw_1", kernel_initializer="zeros")(inputs))
    outputs = keras.layers.Conv2D(8, 1, name="conv", kernel_initializer="zeros")(backbone(inputs))
    model = keras.Model(inputs, outputs)
    model.backbone = backbone
    config = OptimizerConfig(optimizer="muon", weight_decay=0.0, use_muon_in_backbone=False, clip_norm=0.0)
    optimizer = build_optimizer(config, model, WarmupSchedule(0.5, 100, decay="constant"))
    gradients = [np.random.default_rng(0).choice([-3.0, -1.0, 1.0, 2.0], v.shape) for v in model.trainable_variables]
    optimizer.apply([keras.ops.convert_to_tensor(gradient, "float32") for gradient in gradients])
    kernels = {v.path: (np.asarray(v), g) for v, g in zip(model.trainable_variables, gradients, strict=True)}
    moved, gradient = kernels["conv_pw_1/kernel"]
    np.testing.assert_allclose(moved, -0.5 * np.sign(gradient), rtol=1e-3)
    moved = kernels["conv/kernel"][0].reshape(8, 8)
    values = np.linalg.svd(moved, compute_uv=False) / (0.5 * 0.2 * 8**0.5)
    assert values.min() > 0.6
    assert values.max() < 1.3


def test_gradients_are_clipped_by_their_global_norm() -> None:
    """Five elements of 3: norm 3 √5; clipped to 1 each is 1/√5; SGD without momentum moves by lr of that."""
    config = OptimizerConfig(clip_norm=1.0, weight_decay=0.0, momentum=0.0)
    values = after_updates(config, rate=1.0, gradient=3.0)
    assert values["bias"] == pytest.approx(1 - 1 / np.sqrt(5))


def test_zero_turns_clipping_off() -> None:
    config = OptimizerConfig(clip_norm=0.0, weight_decay=0.0, momentum=0.0)
    assert after_updates(config, rate=1.0, gradient=3.0)["bias"] == pytest.approx(-2.0)


def test_float16_scales_the_loss_and_keeps_the_schedule() -> None:
    optimizer = build_optimizer(OptimizerConfig(), small_model(), WarmupSchedule(0.5, 10), "float16")
    assert isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    assert float(keras.ops.convert_to_numpy(optimizer.learning_rate)) == pytest.approx(0.5)


def test_adam_with_weight_decay_is_refused() -> None:
    with pytest.raises(ValueError, match="adamw"):
        build_optimizer(OptimizerConfig(optimizer="adam", weight_decay=0.1), small_model(), WarmupSchedule(1.0, 1))
