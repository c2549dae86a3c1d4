"""A model, its optimizer and the position in the run as a snapshot has them."""

from __future__ import annotations

from collections.abc import Callable

import keras

from keras_retinanet.config import TrainConfig
from keras_retinanet.inference import load_model
from keras_retinanet.model.retinanet import RetinaNet
from keras_retinanet.optimizers.averaging import swap_averages
from keras_retinanet.snapshots.run_folder import Progress, Run, read_progress
from keras_retinanet.training.freezing import carry_state
from keras_retinanet.training.model_state import random_states

RESTORED = ("epoch", "step", "figures", "random", "averaged", "trackers")
"""Fields of the progress that a restored snapshot sets; failures and the rate are those of the run."""


def compile_with_state(
    model: RetinaNet,
    optimizer: keras.optimizers.Optimizer,
    former: keras.optimizers.Optimizer | None,
    *,
    is_averaged: bool,
) -> None:
    """Compiles with a new optimizer, which takes over the state of the one that came with a snapshot.

    The saved optimizer cannot be reused: Keras does not save its weight-decay exclusions.

    Args:
        model: With the weights of the snapshot.
        optimizer: The new one, built.
        former: The one of the snapshot; `None` if there is none.
        is_averaged: Whether the weights of the snapshot are averages.
    """
    if former is not None and len(former.variables) != len(optimizer.variables):
        carry_state(former, optimizer, model)  # only one of them skips steps that are not finite
    elif former is not None:  # `set_weights` of Keras' LossScaleOptimizer leaves out the state of the inner optimizer
        for variable, saved in zip(optimizer.variables, former.variables, strict=True):
            variable.assign(saved.value)
    if is_averaged:
        swap_averages(model.trainable_variables, optimizer)
    model.compile(optimizer)


def restore_last(
    model: RetinaNet,
    run: Run,
    progress: Progress,
    config: TrainConfig,
    new_optimizer: Callable[[], keras.optimizers.Optimizer],
) -> None:
    """Gives a model in training the state of `last.keras`.

    Args:
        model: The model; what is frozen follows the snapshot.
        run: The folder.
        progress: Set to the position of the snapshot.
        config: All settings.
        new_optimizer: Builds an optimizer for the variables that are trainable when it is called.

    Raises:
        ValueError: `last.keras` is not a snapshot of a run.
    """
    before, saved = read_progress(run.last), load_model(run.last)
    for variable, source in zip(model.weights, saved.weights, strict=True):
        variable.assign(source.value)
    if before.epoch < config.unfreeze_at:
        model.backbone.trainable = False
    for name in RESTORED:
        setattr(progress, name, getattr(before, name))
    for variable, state in zip(random_states(model), before.random, strict=True):
        variable.assign(state)
    compile_with_state(model, new_optimizer(), saved.optimizer, is_averaged=before.averaged)
