"""From the optimizer settings to a Keras optimizer: linear rule, decay that spares biases, clipping, loss scaling."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

from keras_retinanet.config import MixedPrecision, OptimizerConfig, OptimizerName
from keras_retinanet.optimizers.averaging import AveragedAdam, AveragedAdamW, AveragedMuon, AveragedSGD
from keras_retinanet.optimizers.muon import PREDICTORS, ConvolutionMuon
from keras_retinanet.optimizers.schedules import WarmupSchedule

REFERENCE_BATCH = 16
REFERENCE_RATES: dict[OptimizerName, float] = {"sgd": 0.01, "adam": 1e-4, "adamw": 1e-4, "muon": 1e-3}
DEFAULT_DECAY: dict[OptimizerName, float] = {"sgd": 1e-4, "adam": 0.0, "adamw": 0.05, "muon": 0.05}
WARMUP_STEPS = 500
OPTIMIZERS: dict[OptimizerName, tuple[Callable[..., keras.optimizers.Optimizer], ...]] = {
    "sgd": (keras.optimizers.SGD, AveragedSGD),
    "adam": (keras.optimizers.Adam, AveragedAdam),
    "adamw": (keras.optimizers.AdamW, AveragedAdamW),
    "muon": (ConvolutionMuon, AveragedMuon),
}
"""Name → the optimizer, and the same with rate factors and averages."""


@dataclass(frozen=True)
class LearningRate:
    """A peak learning rate and the reason for it.

    Attributes:
        value: The rate after the warm-up.
        reason: Where it comes from, for the log.
    """

    value: float
    reason: str


def peak_rate(config: OptimizerConfig, batch_size: int) -> LearningRate:
    """The given rate, or else the reference rate scaled with the batch (linear rule).

    Args:
        config: Optimizer and, where given, its rate.
        batch_size: Images per step.

    Returns:
        The rate and why it is that.

    Reference:
        Focal Loss for Dense Object Detection, §4.1: 0.01 for 16 images; Goyal et al. 2017, §2.1: the linear rule.
    """
    if config.learning_rate is not None:
        return LearningRate(config.learning_rate, "as given")
    reference = REFERENCE_RATES[config.optimizer]
    value = reference * batch_size / REFERENCE_BATCH
    return LearningRate(
        value, f"linear rule: {reference:g} for {REFERENCE_BATCH} images ({config.optimizer}) × {batch_size}/16"
    )


def build_schedule(config: OptimizerConfig, *, batch_size: int, total_steps: int, scale: float = 1.0) -> WarmupSchedule:
    """The learning rate of every step of a run.

    Args:
        config: Rate, warm-up and decay.
        batch_size: Images per step, for the linear rule.
        total_steps: Steps of the whole run.
        scale: Factor on all rates. Defaults to 1.

    Returns:
        The schedule; a warm-up that is not given takes 500 steps, but at most a tenth of the run.
    """
    warmup = config.warmup_steps
    if warmup is None:
        warmup = min(WARMUP_STEPS, total_steps // 10)
    peak = scale * peak_rate(config, batch_size).value
    return WarmupSchedule(peak, total_steps, warmup, config.schedule, flat_share=config.flat_share)


def keras_decay(config: OptimizerConfig) -> float | None:
    """The `weight_decay` argument that makes a Keras optimizer decay as the setting says.

    For SGD the setting is the paper's L2 coefficient λ: the loss gains `λ/2 · ‖w‖²`, whose gradient passes through the
    momentum, so that a weight shrinks by `lr · λ / (1 - momentum)` per step once the momentum has built up. Keras
    subtracts `lr · weight_decay · w` outside of the momentum instead: the same decay needs `λ / (1 - momentum)`.

    Args:
        config: Optimizer, momentum and decay.

    Returns:
        The argument, or `None` for no decay.
    """
    decay = DEFAULT_DECAY[config.optimizer] if config.weight_decay is None else config.weight_decay
    if config.optimizer == "sgd":
        decay /= 1.0 - config.momentum
    return decay or None


@dataclass(frozen=True)
class VariableRates:
    """What an optimizer does beyond one rate for all variables.

    Attributes:
        rate_factors: Factor on the learning rate of each trainable variable; empty for 1 everywhere.
        steps_per_epoch: Updates of an epoch, for the average of the last epochs.
    """

    rate_factors: tuple[float, ...] = ()
    steps_per_epoch: int = 1


def build_optimizer(
    config: OptimizerConfig,
    model: keras.Model,
    schedule: WarmupSchedule,
    mixed_precision: MixedPrecision = "none",
    rates: VariableRates | None = None,
    *,
    skips_non_finite: bool = False,
) -> keras.optimizers.Optimizer:
    """A built optimizer for a model's trainable variables.

    Biases and the scales and shifts of normalisation (every variable with fewer than two axes) do not decay.

    Args:
        config: Kind of optimizer, decay, clipping, momentum, averages.
        model: keras.Model. Built, with `trainable` set as it will be trained.
        schedule: The learning rate.
        mixed_precision: `"float16"` wraps the optimizer in Keras' dynamic loss scaling. Defaults to `"none"`.
        rates: Rate factors of the variables, and the length of an epoch. Defaults to one rate for all.
        skips_non_finite: Leave out updates whose gradient is not finite, as loss scaling does. Defaults to `False`.

    Returns:
        The optimizer, with its variables created, ready to be restored or used.

    Raises:
        ValueError: If Adam is asked to decay weights.
    """
    if config.optimizer == "adam" and config.weight_decay:
        raise ValueError("adam has no weight decay here; use adamw, which is Adam with weight decay.")
    rates = rates or VariableRates()
    decay = keras_decay(config)
    arguments: dict[str, Any] = {"weight_decay": decay, "global_clipnorm": config.clip_norm or None}
    if config.optimizer == "sgd":
        arguments["momentum"] = config.momentum
    elif config.optimizer == "muon":
        arguments |= {"adam_weight_decay": decay, "exclude_layers": _spared_by_muon(config, model)}
    kind: OptimizerName = "adam" if config.optimizer == "adamw" and decay is None else config.optimizer
    extra = _extra_arguments(config, rates, schedule.total_steps)
    plain, extended = OPTIMIZERS[kind]
    optimizer: keras.optimizers.Optimizer = (extended if extra else plain)(schedule, **arguments, **extra)
    spared = [variable for variable in model.trainable_variables if len(variable.shape) < 2]
    optimizer.exclude_from_weight_decay(var_list=spared)
    if mixed_precision == "float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    elif skips_non_finite:  # a scale of 1 that never grows: each skipped step halves it, which is exact in float32
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=1.0, dynamic_growth_steps=2**31 - 1)
    optimizer.build(model.trainable_variables)
    return optimizer


def _spared_by_muon(config: OptimizerConfig, model: keras.Model) -> list[str]:
    """Parts of the paths of variables that AdamW updates: the heads' predictors and, if so set, the backbone."""
    if config.use_muon_in_backbone:
        return [PREDICTORS]
    return [PREDICTORS, *(f"/{variable.path}/" for variable in model.backbone.trainable_variables)]


def _extra_arguments(config: OptimizerConfig, rates: VariableRates, total_steps: int) -> dict[str, Any]:
    """Arguments of `WithAverages`; empty if Keras' own optimizer does all that is asked."""
    extra: dict[str, Any] = {}
    if any(factor != 1 for factor in rates.rate_factors):
        extra["rate_factors"] = rates.rate_factors
    if config.ema_decay:
        extra["ema_decay"] = config.ema_decay
    if config.swa_epochs:
        every = rates.steps_per_epoch
        extra |= {"swa_every": every, "swa_first": max(total_steps - config.swa_epochs * every, 0)}
    return extra
