"""Averages and rate factors worked by hand, on every optimizer, and through float16's loss scaling."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from keras_retinanet.config import OptimizerConfig
from keras_retinanet.inference import SNAPSHOT_CLASSES
from keras_retinanet.optimizers.averaging import averaged, averages_of, ema_momentum, swa_momentum
from keras_retinanet.optimizers.build import OPTIMIZERS, VariableRates, build_optimizer
from keras_retinanet.optimizers.schedules import WarmupSchedule


def two_kernels() -> keras.Model:
    """Two 1 × 1 dense kernels of one, without biases."""
    inputs = keras.Input((1,))
    first = keras.layers.Dense(1, use_bias=False, kernel_initializer="ones", name="first")(inputs)
    return keras.Model(inputs, keras.layers.Dense(1, use_bias=False, kernel_initializer="ones", name="last")(first))


def stepped(
    config: OptimizerConfig, factors: tuple[float, ...] = (), *, updates: int = 1, gradient: float = 1.0, **more: Any
) -> tuple[keras.Model, list[list[float]]]:
    """A compiled model after updates, and its two kernels after each."""
    model = two_kernels()
    schedule = WarmupSchedule(0.1, more.pop("total", 100), decay="constant")
    optimizer = build_optimizer(config, model, schedule, rates=VariableRates(factors, more.pop("every", 1)), **more)
    model.compile(optimizer)
    values = []
    for _ in range(updates):
        optimizer.apply([ops.full((1, 1), gradient)] * 2, model.trainable_variables)
        values.append([float(ops.convert_to_numpy(v)[0, 0]) for v in model.trainable_variables])
    return model, values


PLAIN = OptimizerConfig(clip_norm=0.0, weight_decay=0.0, momentum=0.0)


def test_ema_momentum_is_that_of_tensorflow() -> None:
    """`min(decay, (1 + n) / (10 + n))` for n updates before: 2/11, 3/12, …; the first update replaces the average."""
    kept = [float(ema_momentum(ops.convert_to_tensor(float(t)), 0.9)) for t in (1, 2, 3, 81, 1000)]
    assert kept == pytest.approx([0.0, 2 / 11, 3 / 12, 0.9, 0.9])


def test_swa_momentum_makes_the_mean_of_the_ends_of_epochs() -> None:
    """Averaging begins after 4 updates, and an epoch has 3: 5 and 6 are inside the first, 7, 10 and 13 are ends."""
    kept = [float(swa_momentum(ops.convert_to_tensor(float(t)), 4, 3)) for t in (3, 4, 5, 6, 7, 8, 10, 12, 13)]
    assert kept == pytest.approx([0, 0, 0, 0, 0, 1, 1 / 2, 1, 2 / 3])
    config = OptimizerConfig(swa_epochs=3, **vars_of(PLAIN))
    model, values = stepped(config, updates=13, every=3, total=13, gradient=0.3)
    average = [float(ops.convert_to_numpy(v)[0, 0]) for v in averages_of(model.optimizer)]
    np.testing.assert_allclose(average, np.mean([values[6], values[9], values[12]], axis=0), rtol=1e-6)


def vars_of(config: OptimizerConfig) -> dict[str, Any]:
    """The fields that `PLAIN` sets."""
    return {name: getattr(config, name) for name in ("clip_norm", "weight_decay", "momentum")}


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_an_average_follows_the_weights(kind: Any) -> None:
    """The weights themselves after one update, then 2/11 of the former average."""
    config = OptimizerConfig(optimizer=kind, ema_decay=0.999, **vars_of(PLAIN))
    model, values = stepped(config, updates=2)
    average = [float(ops.convert_to_numpy(v)[0, 0]) for v in averages_of(model.optimizer)]
    np.testing.assert_allclose(average, 2 / 11 * np.array(values[0]) + 9 / 11 * np.array(values[1]), rtol=1e-6)
    unchanged, same = stepped(OptimizerConfig(optimizer=kind, **vars_of(PLAIN)), updates=2)
    assert same == values  # averaging changes no update
    assert averages_of(unchanged.optimizer) == []
    assert type(unchanged.optimizer) is OPTIMIZERS["adam" if kind == "adamw" else kind][0]


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_a_factor_scales_update_and_decay(kind: Any) -> None:
    """The second kernel moves by a quarter of what the first does, and decays by a quarter."""
    config = OptimizerConfig(optimizer=kind, **vars_of(PLAIN))
    moved = 1 - np.array(stepped(config, (1.0, 0.25))[1][0])
    assert moved[1] == pytest.approx(moved[0] / 4, rel=1e-5)
    assert moved[0] == pytest.approx(0.1, rel=1e-4)
    if kind != "adam":  # which has no decay
        still = OptimizerConfig(optimizer=kind, clip_norm=0.0, weight_decay=0.2, momentum=0.0)
        assert 1 - np.array(stepped(still, (1.0, 0.25), gradient=0.0)[1][0]) == pytest.approx([0.02, 0.005], rel=1e-4)


def test_averages_are_exchanged_and_given_back() -> None:
    model, values = stepped(OptimizerConfig(ema_decay=0.999, **vars_of(PLAIN)), updates=3)
    average = float(ops.convert_to_numpy(averages_of(model.optimizer)[0])[0, 0])
    assert average != values[-1][0]
    with averaged(model) as has_averages:
        assert has_averages
        assert float(ops.convert_to_numpy(model.trainable_variables[0])[0, 0]) == average
    assert float(ops.convert_to_numpy(model.trainable_variables[0])[0, 0]) == values[-1][0]
    with averaged(stepped(PLAIN)[0]) as has_averages:
        assert not has_averages


def test_fit_leaves_the_weights_that_it_trained() -> None:
    """Keras would put the averages in their place at the end of `fit`."""
    model, _ = stepped(OptimizerConfig(ema_decay=0.999, **vars_of(PLAIN)))
    model.compile(model.optimizer, loss="mse")
    model.fit(np.ones((2, 1)), np.zeros((2, 1)), epochs=2, verbose=0)
    average = averages_of(model.optimizer)[0]
    assert float(ops.convert_to_numpy(model.trainable_variables[0])[0, 0]) != float(ops.convert_to_numpy(average)[0, 0])


def test_float16_averages_the_updates_that_are_made() -> None:
    """An update that overflows changes neither weights nor averages."""
    config = OptimizerConfig(ema_decay=0.999, **vars_of(PLAIN))
    model, values = stepped(config, updates=1, gradient=2.0**15, mixed_precision="float16")
    assert values[0] == pytest.approx([0.9, 0.9])
    model.optimizer.apply([ops.full((1, 1), np.inf)] * 2, model.trainable_variables)
    for variable in (*averages_of(model.optimizer), *model.trainable_variables):
        assert float(ops.convert_to_numpy(variable)[0, 0]) == pytest.approx(0.9)
    assert int(model.optimizer.iterations) == 1


def test_opening_a_snapshot_finds_every_optimizer() -> None:
    assert {extended for _, extended in OPTIMIZERS.values()} < set(SNAPSHOT_CLASSES)


def test_survives_serialisation() -> None:
    config = OptimizerConfig(optimizer="muon", ema_decay=0.99)
    optimizer = stepped(config, (1.0, 0.5))[0].optimizer
    restored = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(optimizer))
    assert type(restored) is type(optimizer)
    assert (restored.ema_decay, restored.rate_factors, restored.use_ema) == (0.99, (1.0, 0.5), True)
