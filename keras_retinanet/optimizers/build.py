"""From the optimizer settings to a Keras optimizer: linear rule, decay that spares biases, clipping, loss scaling."""

from __future__ import annotations

from dataclasses import dataclass

import keras

from keras_retinanet.config import MixedPrecision, OptimizerConfig, OptimizerName
from keras_retinanet.optimizers.muon import ConvolutionMuon
from keras_retinanet.optimizers.schedules import WarmupSchedule

REFERENCE_BATCH = 16
REFERENCE_RATES: dict[OptimizerName, float] = {"sgd": 0.01, "adam": 1e-4, "adamw": 1e-4, "muon": 1e-3}
DEFAULT_DECAY: dict[OptimizerName, float] = {"sgd": 1e-4, "adam": 0.0, "adamw": 0.05, "muon": 0.05}
WARMUP_STEPS = 500


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


def build_schedule(config: OptimizerConfig, *, batch_size: int, total_steps: int) -> WarmupSchedule:
    """The learning rate of every step of a run.

    Args:
        config: Rate, warm-up and decay.
        batch_size: Images per step, for the linear rule.
        total_steps: Steps of the whole run.

    Returns:
        The schedule; a warm-up that is not given takes 500 steps, but at most a tenth of the run.
    """
    warmup = config.warmup_steps
    if warmup is None:
        warmup = min(WARMUP_STEPS, total_steps // 10)
    return WarmupSchedule(peak_rate(config, batch_size).value, total_steps, warmup, config.schedule)


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


def build_optimizer(
    config: OptimizerConfig,
    model: keras.Model,
    schedule: WarmupSchedule,
    mixed_precision: MixedPrecision = "none",
) -> keras.optimizers.Optimizer:
    """A built optimizer for a model's trainable variables.

    Biases and the scales and shifts of normalisation (every variable with fewer than two axes) do not decay.

    Args:
        config: Kind of optimizer, decay, clipping, momentum.
        model: keras.Model. Built, with `trainable` set as it will be trained.
        schedule: The learning rate.
        mixed_precision: `"float16"` wraps the optimizer in Keras' dynamic loss scaling. Defaults to `"none"`.

    Returns:
        The optimizer, with its variables created, ready to be restored or used.

    Raises:
        ValueError: If Adam is asked to decay weights.
    """
    if config.optimizer == "adam" and config.weight_decay:
        raise ValueError("adam has no weight decay here; use adamw, which is Adam with weight decay.")
    decay, clip_norm = keras_decay(config), config.clip_norm or None
    optimizer: keras.optimizers.Optimizer
    if config.optimizer == "sgd":
        optimizer = keras.optimizers.SGD(
            schedule, momentum=config.momentum, weight_decay=decay, global_clipnorm=clip_norm
        )
    elif config.optimizer == "muon":
        optimizer = ConvolutionMuon(schedule, weight_decay=decay, adam_weight_decay=decay, global_clipnorm=clip_norm)
    elif decay is None:
        optimizer = keras.optimizers.Adam(schedule, global_clipnorm=clip_norm)
    else:
        optimizer = keras.optimizers.AdamW(schedule, weight_decay=decay, global_clipnorm=clip_norm)
    spared = [variable for variable in model.trainable_variables if len(variable.shape) < 2]
    optimizer.exclude_from_weight_decay(var_list=spared)
    if mixed_precision == "float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    optimizer.build(model.trainable_variables)
    return optimizer
