"""Snapshots after epochs, inside them at an interval, and where a run is asked to stop, on a model of one weight."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_retinanet.config.durations import SaveInterval
from keras_retinanet.snapshots.run_folder import Progress, Run, read_progress
from keras_retinanet.training.keep_snapshots import KeepSnapshot
from keras_retinanet.training.model_state import random_states, read_trackers
from keras_retinanet.training.signals import StopRequest


def test_a_complete_epoch_is_saved_and_a_broken_one_is_not(attached: Any, model: keras.Model, tmp_path: Path) -> None:
    progress = Progress(seed=7)
    keep = attached(KeepSnapshot(Run(tmp_path), progress, StopRequest()), model)
    keep.on_train_batch_end(0, {"loss": 2.0})
    assert not (tmp_path / "last.keras").exists()
    keep.on_epoch_end(0, {"loss": 2.0})
    assert read_progress(tmp_path / "last.keras") == Progress(epoch=1, seed=7, figures={"loss": 2.0})
    model.stop_training = True
    keep.on_epoch_end(1, {"loss": 1.0})
    assert read_progress(tmp_path / "last.keras").epoch == 1


def test_a_wish_to_stop_saves_between_two_steps(attached: Any, model: keras.Model, tmp_path: Path) -> None:
    request = StopRequest()
    keep = attached(KeepSnapshot(Run(tmp_path), Progress(epoch=4), request), model, steps=2)
    keep.first_step = 5  # the first five of seven steps were done before
    request.number = 15
    keep.on_train_batch_end(0, {"loss": 2.0})
    assert model.stop_training
    assert (read_progress(tmp_path / "last.keras").epoch, read_progress(tmp_path / "last.keras").step) == (4, 6)


def test_a_wish_to_stop_never_saves_weights_that_are_not_finite(
    attached: Any, model: keras.Model, tmp_path: Path
) -> None:
    request = StopRequest()
    keep = attached(KeepSnapshot(Run(tmp_path), Progress(), request), model)
    request.number = 15
    model.trainable_weights[0].assign([[float("inf")]])
    keep.on_train_batch_end(0, {"loss": 2.0})
    assert model.stop_training
    assert not (tmp_path / "last.keras").exists()


def test_a_wish_at_the_last_step_waits_for_the_end_of_the_epoch(
    attached: Any, model: keras.Model, tmp_path: Path
) -> None:
    request = StopRequest()
    keep = attached(KeepSnapshot(Run(tmp_path), Progress(), request), model, steps=2)
    request.number = 15
    keep.on_train_batch_end(1, {"loss": 2.0})
    assert not model.stop_training
    keep.on_epoch_end(0, {"loss": 2.0})
    assert model.stop_training
    assert (read_progress(tmp_path / "last.keras").epoch, read_progress(tmp_path / "last.keras").step) == (1, 0)


def test_random_states_are_those_of_the_dropout_layers() -> None:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1), keras.layers.Dropout(0.5, seed=3)])
    (state,) = random_states(model)
    before = state.numpy().tolist()
    model(np.ones((1, 2)), training=True)
    assert state.numpy().tolist() != before


def steps_saved(model: keras.Model, folder: Path, keep: KeepSnapshot, steps: int) -> list[int]:
    """Steps of an epoch after which `last.keras` says so."""
    found = []
    for step in range(steps):
        keep.on_train_batch_end(step, {"loss": 1.0})
        if (folder / "last.keras").exists() and read_progress(folder / "last.keras").step == step + 1:
            found.append(step + 1)
    return found


def test_snapshots_inside_an_epoch_come_after_so_many_steps(attached: Any, model: keras.Model, tmp_path: Path) -> None:
    """The last step of an epoch has the snapshot of the epoch."""
    keep = attached(KeepSnapshot(Run(tmp_path), Progress(), StopRequest(), SaveInterval(steps=2)), model, steps=6)
    assert steps_saved(model, tmp_path, keep, 6) == [2, 4]
    assert not model.stop_training


def test_snapshots_inside_an_epoch_come_after_so_much_time(attached: Any, model: keras.Model, tmp_path: Path) -> None:
    """At 10 s a step and 25 s between snapshots; saving takes 10 s."""
    times = iter(range(0, 1000, 10))
    keep = KeepSnapshot(
        Run(tmp_path), Progress(), StopRequest(), SaveInterval(seconds=25), clock=lambda: float(next(times))
    )
    assert steps_saved(model, tmp_path, attached(keep, model, steps=9), 9) == [3, 6]


def test_mean_losses_continue_in_the_middle_of_an_epoch(attached: Any, model: keras.Model, tmp_path: Path) -> None:
    x = np.array([[1.0], [2.0], [3.0]], np.float32)
    progress = Progress()
    attached(keep := KeepSnapshot(Run(tmp_path), progress, StopRequest(), SaveInterval(steps=1)), model)
    model.train_on_batch(x, 2 * x)
    before = read_trackers(model)
    assert before[1] > 0
    keep.on_train_batch_end(0, {"loss": 1.0})
    assert read_progress(tmp_path / "last.keras").trackers == before
    model.reset_metrics()
    keep.on_epoch_begin(0)
    assert read_trackers(model)[1] == 0  # this `fit` began at the first step
    keep.first_step = 1
    keep.on_epoch_begin(0)
    assert read_trackers(model) == before
