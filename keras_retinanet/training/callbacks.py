"""What `fit` must do that Keras has no callback for: measure AP, record epochs, print lines.

They are listed in this order: `NonFiniteGuard` of `non_finite.py`, `LogLearningRate`, `KeepSnapshot` of
`keep_snapshots.py`, `EvaluateMetric`, `RecordEpoch`, `PrintLines`, and `StopEarly` of `monitor.py`. One that sees
`model.stop_training` at the end of an epoch knows that the epoch did not finish, and changes nothing. Keras gives the
hooks an index from 0, and the figures so far (`logs`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import keras
from keras import ops

from keras_retinanet.optimizers.averaging import averaged
from keras_retinanet.snapshots.atomic_files import copy_whole
from keras_retinanet.snapshots.run_folder import DIGITS, Run
from keras_retinanet.training.model_state import synchronise
from keras_retinanet.training.pictures import METRIC_PREFIX, draw_curves
from keras_retinanet.training.signals import StopRequest

Logs = dict[str, float]


class LogLearningRate(keras.callbacks.Callback):
    """Adds the learning rate of an epoch's last step to its figures.

    Args:
        schedule: Step → rate.
    """

    def __init__(self, schedule: Callable[[int], Any]) -> None:
        super().__init__()
        self.schedule = schedule

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Sets `logs["learning_rate"]` to the rate of the last step."""
        del epoch
        if logs is not None:
            done = int(self.model.optimizer.iterations.numpy())
            logs["learning_rate"] = float(ops.convert_to_numpy(self.schedule(max(done - 1, 0))))


class EvaluateMetric(keras.callbacks.Callback):
    """Evaluates the model on the validation images and adds the results to `logs` as `val_AP` and so on.

    Args:
        measure: Takes a function to call after each batch, returns name → value (`"AP"`, `"AP50"` …).
        every: Epochs between two evaluations.
        epochs: Epochs of the run; the last is always evaluated.
        request: An evaluation is abandoned if a stop is requested.
    """

    def __init__(
        self,
        measure: Callable[[Callable[[int], None]], Mapping[str, float]],
        *,
        every: int,
        epochs: int,
        request: StopRequest,
    ) -> None:
        super().__init__()
        self.measure = measure
        self.every = every
        self.epochs = epochs
        self.request = request

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Measures, where it is this epoch's turn."""
        is_due = (epoch + 1) % self.every == 0 or epoch + 1 == self.epochs
        if self.model.stop_training or not is_due or logs is None:
            return
        synchronise(self.model)
        try:
            with averaged(self.model):
                figures = self.measure(self._check)
        except GivenUpError:
            self.request.agree_at_epoch_end()
            self.model.stop_training = True
        else:
            logs.update({f"{METRIC_PREFIX}{name}": float(value) for name, value in figures.items()})

    def _check(self, count: int) -> None:
        del count
        if self.request.is_asked_here:
            self.request.pass_on()  # before the others learn that the evaluation is given up
            raise GivenUpError


class GivenUpError(Exception):
    """The evaluation was interrupted."""


class RecordEpoch(keras.callbacks.Callback):
    """Writes `metrics.csv` and `curves.png`, and `best.keras` if the monitored number is the best so far.

    The row is written last: an epoch without a row is evaluated again on resuming.

    Args:
        run: The folder, whose `last.keras` is that of this epoch.
        monitor: Name in `logs` of the number that ranks epochs. Defaults to `"val_AP"`.
        mode: `"max"` if higher is better, else `"min"`. Defaults to `"max"`.
    """

    def __init__(self, run: Run, monitor: str = "val_AP", mode: Literal["max", "min"] = "max") -> None:
        super().__init__()
        self.run, self.monitor, self.mode = run, monitor, mode

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Records a complete and measured epoch."""
        if self.model.stop_training:
            return
        figures = dict(logs or {})
        best = self.run.best_metric(self.monitor, self.mode, before=epoch + 1)
        if self.monitor in figures:
            value = round(figures[self.monitor], DIGITS)
            if best is None or (value > best[1] if self.mode == "max" else value < best[1]):
                copy_whole(self.run.last, self.run.best)
        draw_curves(self.run.write_row(epoch + 1, figures), self.run.curves)


class PrintLines(keras.callbacks.Callback):
    """Prints one line per epoch, and one every `seconds` inside a long epoch.

    Args:
        epochs: Epochs of the run.
        seconds: Time between two lines inside an epoch. Defaults to 60.
        log: Where lines go. Defaults to `print`.
    """

    def __init__(self, epochs: int, seconds: float = 60.0, log: Callable[[str], object] = print) -> None:
        super().__init__()
        self.epochs = epochs
        self.seconds = seconds
        self.log = log
        self._began = self._spoke = 0.0

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Starts the clock."""
        del logs
        self._epoch = epoch + 1
        self._began = self._spoke = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Says where a long epoch is."""
        now = time.monotonic()
        if now - self._spoke >= self.seconds:
            self._spoke = now
            self._say(f"step {batch + 1}/{self.params['steps']}", logs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Says how the epoch went."""
        del epoch
        if not self.model.stop_training:
            self._say(f"{self.params['steps']} steps", logs)

    def _say(self, what: str, logs: Logs | None) -> None:
        loss_first = sorted((logs or {}).items(), key=lambda item: item[0] != "loss")
        figures = "  ".join(f"{name} {value:.4g}" for name, value in loss_first)
        seconds = time.monotonic() - self._began
        self.log(f"epoch {self._epoch}/{self.epochs}  {what}  {seconds:.0f} s  {figures}")


class WarnOnce(keras.callbacks.Callback):
    """Logs warnings that are known once every image was loaded: after the first epoch that is evaluated, or at the end.

    Args:
        find: Returns the warnings.
        every: Epochs between two evaluations.
        log: Receives one line per warning.
    """

    def __init__(self, find: Callable[[], Sequence[str]], every: int, log: Callable[[str], object]) -> None:
        super().__init__()
        self.find, self.every, self.log = find, every, log
        self._is_done = False

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Logs them if this epoch was evaluated."""
        del logs
        if (epoch + 1) % self.every == 0:
            self._warn()

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Logs them if no epoch was evaluated."""
        del logs
        self._warn()

    def _warn(self) -> None:
        if not self._is_done:
            self._is_done = True
            for warning in self.find():
                self.log(f"warning: {warning}")
