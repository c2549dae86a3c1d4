"""Optimizers with a rate factor for each variable, and with averaged weights: exponential, or of the last epochs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
from keras import ops

from keras_retinanet.framework_internals import RatesAndAverages
from keras_retinanet.optimizers.muon import ConvolutionMuon
from keras_retinanet.schema import Tensor


def ema_momentum(updates: Tensor, decay: float) -> Tensor:
    """Share of the former average that an exponential average keeps.

    It rises with the updates, so that the random weights of the start do not stay in the average: after t updates the
    average looks back over about t / 9 of them, until `decay` limits it.

    Args:
        updates: `()` float32. Updates so far, this one included.
        decay: Its limit, 0 to 1.

    Returns:
        `()` float32: `min(decay, t / (9 + t))`, and 0 at the first update.

    Reference:
        `tf.train.ExponentialMovingAverage(num_updates=…)`: `min(decay, (1 + n) / (10 + n))` for n updates before this.
    """
    kept = ops.minimum(updates / (9.0 + updates), decay)
    return ops.where(updates > 1.5, kept, 0.0)


def swa_momentum(updates: Tensor, first: int, every: int) -> Tensor:
    """Share of the former average that the mean of the weights at the ends of epochs keeps.

    Args:
        updates: `()` float32. Updates so far, this one included.
        first: Updates before the epochs that are averaged; until then the average is the weights themselves.
        every: Updates of an epoch.

    Returns:
        `()` float32: 0 up to the end of the first of these epochs, (n - 1) / n at the end of the n-th, otherwise 1.

    Reference:
        Izmailov et al. 2018, Averaging Weights Leads to Wider Optima, algorithm 1; Zhang et al. 2020, SWA Object
        Detection.
    """
    done = updates - first
    number = ops.floor(done / every + 1e-4)
    is_end = ops.abs(done - number * every) < 0.5
    mean = ops.where(is_end, (number - 1.0) / ops.maximum(number, 1.0), 1.0)
    return ops.where(number < 0.5, 0.0, mean)


class WithAverages(RatesAndAverages):
    """Mixin: rate factors, and an exponential average or the mean of the last epochs.

    Args:
        *args: As the optimizer's.
        ema_decay: Decay of the exponential average; 0 for none. Defaults to 0.
        swa_first: Updates before the epochs that are averaged. Defaults to 0.
        swa_every: Updates of an epoch; 0 for no such average. Defaults to 0.
        **kwargs: As the optimizer's.
    """

    def __init__(
        self, *args: Any, ema_decay: float = 0.0, swa_first: int = 0, swa_every: int = 0, **kwargs: Any
    ) -> None:
        super().__init__(*args, **{**kwargs, "use_ema": bool(ema_decay or swa_every)})
        self.ema_decay, self.swa_first, self.swa_every = float(ema_decay), int(swa_first), int(swa_every)

    def averaging_momentum(self, updates: Tensor) -> Tensor:
        """See `ema_momentum` and `swa_momentum`."""
        if self.swa_every:
            return swa_momentum(updates, self.swa_first, self.swa_every)
        return ema_momentum(updates, self.ema_decay)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments.

        Returns:
            Argument name → value.
        """
        own = {"ema_decay": self.ema_decay, "swa_first": self.swa_first, "swa_every": self.swa_every}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package="keras_retinanet")
class AveragedSGD(WithAverages, keras.optimizers.SGD):
    """SGD with rate factors and averages."""


@keras.saving.register_keras_serializable(package="keras_retinanet")
class AveragedAdam(WithAverages, keras.optimizers.Adam):
    """Adam with rate factors and averages."""


@keras.saving.register_keras_serializable(package="keras_retinanet")
class AveragedAdamW(WithAverages, keras.optimizers.AdamW):
    """AdamW with rate factors and averages."""


@keras.saving.register_keras_serializable(package="keras_retinanet")
class AveragedMuon(WithAverages, ConvolutionMuon):
    """Muon with rate factors and averages."""


def averages_of(optimizer: keras.optimizers.Optimizer) -> list[keras.Variable]:
    """The averages that an optimizer keeps.

    Args:
        optimizer: Any optimizer, built.

    Returns:
        One variable per trainable variable, in its order; empty if it keeps none.
    """
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    return inner.averages if isinstance(inner, WithAverages) else []


def swap_averages(variables: Sequence[keras.Variable], optimizer: keras.optimizers.Optimizer) -> bool:
    """Exchanges the weights of a model with their averages; a second call undoes it exactly.

    Args:
        variables: The trainable variables that the optimizer was built for.
        optimizer: Their optimizer.

    Returns:
        Whether there are averages.
    """
    averages = averages_of(optimizer)
    for variable, average in zip(variables, averages, strict=True) if averages else ():
        value = ops.copy(variable.value)
        variable.assign(average.value)
        average.assign(value)
    return bool(averages)


@contextmanager
def averaged(model: keras.Model) -> Iterator[bool]:
    """Gives a model its averaged weights for the duration of a `with` block.

    Args:
        model: keras.Model. Compiled.

    Yields:
        Whether its optimizer keeps averages; without, the model is as it was.
    """
    has_averages = swap_averages(model.trainable_variables, model.optimizer)
    try:
        yield has_averages
    finally:
        swap_averages(model.trainable_variables, model.optimizer)
