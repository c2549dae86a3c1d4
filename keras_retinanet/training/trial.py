"""Some steps that leave no trace: measured for `--time`, or with a rising learning rate for `--find-lr`."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager

import keras
import numpy as np
from keras import ops

from keras_retinanet.config import TrainConfig
from keras_retinanet.config.durations import parse_duration
from keras_retinanet.config.tree import changed, flattened
from keras_retinanet.data.pipeline import TrainingBatches
from keras_retinanet.model.retinanet import RetinaNet
from keras_retinanet.training.model_state import synchronise
from keras_retinanet.training.recipe import LAST_EPOCHS, scale_last_epochs

WARM_UP = 4
"""Steps that are not measured: compiling, and filling the input pipeline."""

MEASURED_STEPS, MEASURED_SECONDS = 24, 20.0
"""Steps that are measured, unless they take longer."""

LONGEST = 4.0
"""Steps that take more than this times the median are not counted: they compile for a further shape of the batches."""

Clock = Callable[[], float]
"""Seconds so far."""

EVALUATION_SHARE = 0.5
"""Cost of detecting in an image, as a share of training on it: the forward pass, boxes and metrics."""


@contextmanager
def restored(model: RetinaNet) -> Iterator[None]:
    """Gives a model its weights and its optimizer's state back after a `with` block.

    Args:
        model: Compiled.

    Yields:
        Nothing.
    """
    optimizer = model.optimizer
    kept = [(variable, ops.copy(variable.value)) for variable in (*model.variables, *optimizer.variables)]
    try:
        yield
    finally:
        synchronise(model)
        if model.optimizer is not optimizer:
            model.compile(optimizer)
        for variable, value in kept:
            variable.assign(value)
        model.stop_training = False


class _StepClock(keras.callbacks.Callback):
    """Takes the time after each step, and ends `fit` when enough was seen."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock
        self.times: list[float] = []

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Takes the time."""
        del batch, logs
        self.times.append(self.clock())
        measured = len(self.times) - WARM_UP
        if measured > 1 and self.times[-1] - self.times[WARM_UP] > MEASURED_SECONDS:
            self.model.stop_training = True


def measure_step(model: RetinaNet, batches: TrainingBatches, clock: Clock = time.perf_counter) -> tuple[float, int]:
    """Measures training steps, input pipeline included; the model is as before.

    Args:
        model: Compiled.
        batches: The run's batches.
        clock: Seconds so far. Defaults to wall time; `time.process_time` is CPU time.

    Returns:
        Mean seconds of a step, and of how many: without the first ones and those that compile.
    """
    steps = _StepClock(clock)
    with restored(model):
        count = WARM_UP + MEASURED_STEPS + 1
        model.fit(batches.dataset(0), steps_per_epoch=count, callbacks=[steps], verbose=0, shuffle=False)
    return usual_step(np.diff(steps.times[WARM_UP:]).tolist())


def usual_step(seconds: Sequence[float]) -> tuple[float, int]:
    """Mean of steps that do not compile for a further shape of the batches.

    Args:
        seconds: Those of each step, at least one.

    Returns:
        The mean of those of at most `LONGEST` times the median, and how many they are.
    """
    usual = [value for value in seconds if value <= LONGEST * np.median(seconds)]
    return float(np.mean(usual)), len(usual)


def fit_epochs(budget: float, step: float, *, steps: int, batch_size: int, val_images: int, every: int) -> int:
    """Epochs that fit into a time.

    Args:
        budget: Seconds that are left.
        step: Seconds of a step.
        steps: Steps of an epoch.
        batch_size: Images of a step.
        val_images: Images of an evaluation; 0 if nothing is evaluated.
        every: Epochs between two evaluations.

    Returns:
        The largest number, at least 1. The last epoch is always evaluated.
    """
    evaluation = EVALUATION_SHARE * step * val_images / batch_size
    epochs = int((budget - evaluation) / (steps * step + evaluation / every)) + every
    while epochs > 1 and epochs * steps * step + -(-epochs // every) * evaluation > budget:
        epochs -= 1
    return epochs


def fit_to_time(
    config: TrainConfig,
    model: RetinaNet,
    batches: TrainingBatches,
    val_images: int,
    chosen: Collection[str],
    since: tuple[Clock, float],
) -> tuple[TrainConfig, str]:
    """Chooses the number of epochs that the run's time allows.

    Args:
        config: The settings, with a time.
        model: Compiled; unchanged.
        batches: The run's batches; they learn when to stop combining images.
        val_images: Images of an evaluation; 0 if nothing is evaluated.
        chosen: Dotted names of the settings that were set.
        since: A clock, and what it showed at the start.

    Returns:
        The settings, and a line that says what was measured.
    """
    clock, started = since
    step, measured = measure_step(model, batches, clock)
    left = parse_duration(config.time or "") - (clock() - started)
    epochs = fit_epochs(
        left, step, steps=batches.steps_per_epoch, batch_size=config.batch_size, val_images=val_images,
        every=config.evaluate_every,
    )  # fmt: skip
    fitted = scale_last_epochs(changed(config, {"epochs": epochs}), config.epochs, chosen)
    batches.close_epoch = epochs - fitted.data.close_mosaic if fitted.data.close_mosaic else None
    before, after = flattened(config), flattened(fitted)
    others = [f"{name.rpartition('.')[2]} {after[name]}" for name in LAST_EPOCHS if after[name] != before[name]]
    planned = ", ".join([f"{config.epochs} were planned", *others])
    return fitted, f"time {config.time}: {epochs} epochs ({planned}), at {step:.3g} s a step over {measured} steps"
