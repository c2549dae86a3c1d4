"""Learning-rate range test: the rate rises from step to step, and the loss tells how far it may (`--find-lr`)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
from keras import ops

from keras_retinanet.optimizers.build import build_optimizer
from keras_retinanet.schema import Tensor
from keras_retinanet.snapshots.atomic_files import write_whole
from keras_retinanet.training.fit import Training
from keras_retinanet.training.trial import restored

LOWEST, HIGHEST = 1e-6, 1.0
SMOOTHING = 0.9
"""Share of the former value in the smoothed loss."""

DIVERGED = 3.0
"""The test ends once the smoothed loss is this many times its minimum."""

MARGIN = 10.0
"""The proposed rate is the one of the smallest loss, divided by this."""


@keras.saving.register_keras_serializable(package="keras_retinanet")
class RisingRate(keras.optimizers.schedules.LearningRateSchedule):
    """Rates from `LOWEST` to `HIGHEST` in equal factors.

    Args:
        total_steps: Steps of the test.
    """

    def __init__(self, total_steps: int) -> None:
        super().__init__()
        self.total_steps = total_steps

    def __call__(self, step: Tensor) -> Tensor:
        """`()` float32: the rate of a step."""
        share = ops.cast(step, "float32") / max(self.total_steps - 1, 1)
        return LOWEST * ops.exp(math.log(HIGHEST / LOWEST) * share)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments.

        Returns:
            Argument name → value.
        """
        return {"total_steps": self.total_steps}


@dataclass(frozen=True)
class FoundRate:
    """Result of a range test.

    Attributes:
        rates: Learning rate of each step.
        losses: Loss of each step.
        smoothed: The smoothed loss of each step.
        proposed: The rate to train with.
    """

    rates: Sequence[float]
    losses: Sequence[float]
    smoothed: Sequence[float]
    proposed: float


class _CollectLoss(keras.callbacks.Callback):
    """Collects the loss of each step, which Keras reports as the mean so far."""

    def __init__(self) -> None:
        super().__init__()
        self.losses: list[float] = []
        self._mean = 0.0

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Takes the loss, and ends the test if it has diverged."""
        mean = float((logs or {})["loss"])
        self.losses.append(mean * (batch + 1) - self._mean * batch)
        self._mean = mean
        smoothed = smooth(self.losses)
        if not math.isfinite(mean) or smoothed[-1] > DIVERGED * min(smoothed):
            self.model.stop_training = True


def find_learning_rate(training: Training, steps: int = 100) -> FoundRate:
    """Trains some steps with a rising rate; the model is as before.

    Args:
        training: A prepared run.
        steps: Steps of the test. Defaults to 100.

    Returns:
        What was found.

    Raises:
        ValueError: The loss was not finite from the start, so nothing can be proposed.

    Reference:
        Smith 2017, Cyclical Learning Rates for Training Neural Networks, §3.3; the smallest loss divided by 10 as in
        fastai's `lr_find`.
    """
    model, config, collected = training.model, training.config, _CollectLoss()
    schedule = RisingRate(steps)
    with restored(model):
        model.compile(build_optimizer(config.optimizer, model, schedule, config.mixed_precision))
        batches = training.batches.dataset(0)
        model.fit(batches, steps_per_epoch=steps, callbacks=[collected], verbose=0, shuffle=False)
    losses = [loss for loss in collected.losses if math.isfinite(loss)]
    if len(losses) < 3:
        raise ValueError("--find-lr: the loss is not finite from the first steps on, so no rate can be proposed.")
    rates = [float(schedule(step)) for step in range(len(losses))]
    return FoundRate(rates, losses, smooth(losses), propose(rates, losses))


def smooth(losses: Sequence[float]) -> list[float]:
    """Exponentially smoothed losses, without the bias of the start.

    Args:
        losses: Loss of each step.

    Returns:
        As many values.
    """
    mean, smoothed = 0.0, []
    for number, loss in enumerate(losses, 1):
        mean = SMOOTHING * mean + (1 - SMOOTHING) * loss
        smoothed.append(mean / (1 - SMOOTHING**number))
    return smoothed


def propose(rates: Sequence[float], losses: Sequence[float]) -> float:
    """A tenth of the rate at which the smoothed loss is smallest.

    Args:
        rates: Learning rate of each step.
        losses: Loss of each step.

    Returns:
        The rate, rounded to two digits.
    """
    smoothed = smooth(losses)
    return float(f"{rates[smoothed.index(min(smoothed))] / MARGIN:.2g}")


def draw_range_test(found: FoundRate, path: Path) -> None:
    """Plots the losses over the rates.

    Args:
        found: Result of the test.
        path: The PNG file.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # slow to import, and only needed here
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.5, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.plot(found.rates, found.losses, color="0.75", label="loss")
    axes.plot(found.rates, found.smoothed, label="smoothed")
    axes.axvline(found.proposed, color="tab:green", linestyle="--", label=f"proposed: {found.proposed:g}")
    axes.set(xscale="log", xlabel="learning rate", ylabel="loss", ylim=(0, 2 * max(found.smoothed[:10])))
    axes.legend()
    write_whole(path, lambda temporary: figure.savefig(temporary, format="png", dpi=100))
