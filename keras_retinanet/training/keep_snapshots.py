"""Writes `last.keras`: after every epoch, every few minutes or steps inside one, and where the run is asked to stop."""

from __future__ import annotations

import time
from collections.abc import Callable

import keras

from keras_retinanet.config.durations import SaveInterval
from keras_retinanet.optimizers.averaging import averaged
from keras_retinanet.snapshots.run_folder import Progress, Run
from keras_retinanet.snapshots.snapshot_files import save_last
from keras_retinanet.training.callbacks import Logs
from keras_retinanet.training.devices import on_one_device
from keras_retinanet.training.model_state import (
    has_finite_weights,
    random_states,
    read_trackers,
    synchronise,
    write_trackers,
)
from keras_retinanet.training.signals import StopRequest


class KeepSnapshot(keras.callbacks.Callback):
    """Writes `last.keras` after every epoch, at an interval inside epochs, and between two steps if asked to stop.

    Args:
        run: The folder.
        progress: Kept up to date here.
        request: Whether to stop.
        interval: Time or steps between two snapshots inside an epoch. Defaults to none.
        keep: Snapshots to keep. Defaults to 1.
        clock: Seconds so far. Defaults to a clock that never goes back.
        is_writer: Whether this process writes the files. Defaults to `True`.

    Attributes:
        first_step: Steps of the epoch that were done before `fit` began; set by the one who calls `fit`.
        is_in_step: Whether a step has begun and not ended.
    """

    def __init__(
        self,
        run: Run,
        progress: Progress,
        request: StopRequest,
        interval: SaveInterval | None = None,
        *,
        keep: int = 1,
        clock: Callable[[], float] = time.monotonic,
        is_writer: bool = True,
    ) -> None:
        super().__init__()
        self.run = run
        self.progress = progress
        self.request = request
        self.interval = interval or SaveInterval()
        self.keep = keep
        self.clock = clock
        self.is_writer = is_writer
        self.first_step = 0
        self.is_in_step = False
        self._at = (progress.epoch, progress.step)
        self._saved_at = clock()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Continues the mean losses of an epoch that was stopped in its middle."""
        del logs
        self._at = (epoch, self.first_step)
        if self.first_step and self.progress.step == self.first_step:
            write_trackers(self.model, self.progress.trackers)

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Notes that a step begins."""
        del batch, logs
        self.is_in_step = True

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Saves where it is due, and stops where asked to; the last step of an epoch is left to `on_epoch_end`."""
        del logs
        self.is_in_step = False
        self._at = (self._at[0], self.first_step + batch + 1)
        self.request.agree_in_epoch()
        if batch + 1 >= self.params["steps"] or self.model.stop_training:
            return
        is_asked = self.request.is_made
        if is_asked or self._is_due(self.first_step + batch + 1):
            self.model.stop_training = is_asked
            if has_finite_weights(self.model):
                self.progress.step = self.first_step + batch + 1
                self.progress.trackers = read_trackers(self.model)
                self.save()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Saves the complete epoch, whose measurement is pending."""
        if self.model.stop_training:
            return
        self.progress.epoch, self.progress.step, self.progress.figures = epoch + 1, 0, dict(logs or {})
        self.progress.trackers = []
        self.save()
        self.request.agree_at_epoch_end()
        self.model.stop_training = self.request.is_made

    def stand_still(self) -> None:
        """Sets the progress to the last step that is done, so that the next `fit` continues after it."""
        self.progress.epoch, self.progress.step = self._at
        self.progress.trackers = read_trackers(self.model)

    def save(self) -> None:
        """Writes `last.keras` and `state.json` as the run stands."""
        if not self.is_writer:
            return
        synchronise(self.model)
        self.progress.random = [state.numpy().tolist() for state in random_states(self.model)]
        # Keras creates an optimizer while saving, whose variable would be compared over all processes.
        with on_one_device(), averaged(self.model) as self.progress.averaged:
            save_last(self.model, self.run, self.progress, self.keep)
        self.run.write_state(self.progress)
        self._saved_at = self.clock()

    def _is_due(self, step: int) -> bool:
        if self.interval.steps is not None:
            return step % self.interval.steps == 0
        return self.interval.seconds is not None and self.clock() - self._saved_at >= self.interval.seconds
