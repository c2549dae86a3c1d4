"""The batches of a run, the learning rate of each of its steps, and what builds its optimizer."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import keras

from keras_retinanet.config import TrainConfig
from keras_retinanet.data.augment import augmentation_names
from keras_retinanet.data.batch_share import WHOLE, BatchShare
from keras_retinanet.data.epoch_order import repeat_factors
from keras_retinanet.data.pipeline import TrainingBatches
from keras_retinanet.model.retinanet import RetinaNet
from keras_retinanet.optimizers.build import VariableRates, build_optimizer, build_schedule
from keras_retinanet.optimizers.schedules import WarmupSchedule
from keras_retinanet.training.devices import num_replicas
from keras_retinanet.training.freezing import rate_factors
from keras_retinanet.training.run_data import RunData

UpdatePlan = tuple[WarmupSchedule, Callable[[], keras.optimizers.Optimizer]]
"""The learning rate of each step, and what builds an optimizer for the variables that are trainable when called."""


def build_batches(config: TrainConfig, data: RunData, model: RetinaNet, share: BatchShare = WHOLE) -> TrainingBatches:
    """The training batches of a run.

    Args:
        config: All settings.
        data: The images.
        model: The network, whose resize rule is followed.
        share: The part of each batch that is read here. Defaults to the whole.

    Returns:
        The batches.
    """
    threshold = config.data.repeat_threshold
    return TrainingBatches(
        data.samples,
        resize=model.resize_config,
        pad_value=model.pad_value,
        batch_size=config.batch_size,
        seed=config.seed,
        augmentations=augmentation_names(config.data.augment),
        workers=config.data.workers,
        cache=config.data.use_cache,
        steps=config.steps,
        bad_images=data.bad_images,
        cut_off=data.cut_off,
        thumbnails=data.thumbnails[0],
        close_epoch=config.epochs - config.data.close_mosaic if config.data.close_mosaic else None,
        repeat_factors=repeat_factors(data.samples, threshold) if threshold else None,
        share=share,
    )


def plan_updates(config: TrainConfig, model: RetinaNet, batches: TrainingBatches, scale: float) -> UpdatePlan:
    """The learning rate of each step of the run, times a scale, and what builds its optimizer.

    Args:
        config: All settings.
        model: The network.
        batches: The training batches.
        scale: Factor on all rates.

    Returns:
        Both.
    """
    steps = batches.steps_per_epoch
    total_steps = steps * config.epochs
    schedule = build_schedule(config.optimizer, batch_size=config.batch_size, total_steps=total_steps, scale=scale)
    return schedule, functools.partial(_new_optimizer, config, model, schedule, steps)


def _new_optimizer(
    config: TrainConfig, model: RetinaNet, schedule: WarmupSchedule, steps_per_epoch: int
) -> keras.optimizers.Optimizer:
    """An optimizer for the variables that are trainable now.

    Each replica has an equal part of the gradient (`model.split_step`), and clips at such a part of the norm.
    """
    rates = VariableRates(rate_factors(model, config.optimizer), steps_per_epoch)
    own = dataclasses.replace(config.optimizer, clip_norm=config.optimizer.clip_norm / num_replicas(model))
    skips = config.on_nan == "skip"
    return build_optimizer(own, model, schedule, config.mixed_precision, rates, skips_non_finite=skips)
