"""Runs a prepared training: callbacks, `fit`, and resuming at the exact step."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

import keras

from keras_retinanet.config import TrainConfig
from keras_retinanet.config.durations import parse_interval
from keras_retinanet.data.errors import from_tensorflow
from keras_retinanet.data.pipeline import TrainingBatches
from keras_retinanet.model.retinanet import RetinaNet
from keras_retinanet.optimizers.schedules import WarmupSchedule
from keras_retinanet.snapshots.atomic_files import remove_parts
from keras_retinanet.snapshots.run_folder import Progress, Run
from keras_retinanet.snapshots.run_lock import locked
from keras_retinanet.training.callbacks import LogLearningRate, PrintLines, RecordEpoch, WarnOnce
from keras_retinanet.training.devices import Devices
from keras_retinanet.training.fit_memory import smaller_parts
from keras_retinanet.training.freezing import carry_state, is_waiting, unfreeze
from keras_retinanet.training.keep_snapshots import KeepSnapshot
from keras_retinanet.training.loggers import NUM_PICTURES, Pictures, TrackEpochs, open_trackers
from keras_retinanet.training.measure import Measured, describe_monitor, measuring, metric_settings
from keras_retinanet.training.memory import TOO_SMALL, OutOfMemoryError, is_out_of_memory
from keras_retinanet.training.monitor import Monitor, StopEarly
from keras_retinanet.training.non_finite import NonFiniteGuard, NonFiniteLossError
from keras_retinanet.training.optimizer_state import restore_last
from keras_retinanet.training.pictures import draw_examples, draw_fed, draw_found
from keras_retinanet.training.run_data import RunData
from keras_retinanet.training.run_report import KeepBestDetections, report_run
from keras_retinanet.training.run_result import RunResult, read_result
from keras_retinanet.training.shared_stop import FollowFirst, SharedStop
from keras_retinanet.training.signals import StopRequest
from keras_retinanet.training.updates import UpdatePlan

Log = Callable[[str], object]


@contextmanager
def readable_data_errors() -> Iterator[None]:
    """Raises a broken image that TensorFlow met in the pipeline as the `DataError` that names its file.

    Yields:
        Nothing.

    Raises:
        DataError: In place of TensorFlow's error.
    """
    try:
        yield
    except Exception as error:
        broken = from_tensorflow(error)
        if broken is None:
            raise
        raise broken from error


@dataclass
class Training:
    """Everything that `fit` needs.

    Attributes:
        config: All settings.
        run: The folder.
        progress: The progress of the run.
        model: The compiled model.
        batches: The training batches.
        data: The training and validation images.
        plan: The learning rate of each step, and what builds an optimizer for the variables that are trainable when it
            is called; its argument is the factor on all rates.
        monitor: The number that ranks epochs.
        log: Receives one line per message.
        devices: Those that train together.
    """

    config: TrainConfig
    run: Run
    progress: Progress
    model: RetinaNet
    batches: TrainingBatches
    data: RunData
    plan: Callable[[float], UpdatePlan]
    monitor: Monitor
    log: Log
    devices: Devices = field(default_factory=Devices)

    @property
    def schedule(self) -> WarmupSchedule:
        """The learning rate of each step."""
        return self.plan(self.progress.rate_scale)[0]

    def fit(self) -> RunResult:
        """Trains to the end, or until a signal or a loss that is not finite.

        Returns:
            What the run has come to.

        Raises:
            NonFiniteLossError: If the loss or the weights are no longer finite.
            WriteError: A file of the run cannot be written.
            RunInUseError: Another process trains this run.
            OutOfMemoryError: Not even one image fits into memory.
        """
        self.model.stop_training, self.model.filled_rows = False, self._filled_rows()
        measured, config = Measured(), self.config
        processes = self.devices.processes
        request = StopRequest() if processes.count == 1 else SharedStop(processes)
        with locked(self.run.folder) if processes.is_first else nullcontext(), request:
            self._clean_up()
            guard = NonFiniteGuard(
                self.data.samples, self.progress, policy=config.on_nan, limit=config.nan_limit, log=self.log
            )
            interval = None if config.save_every is None else parse_interval(config.save_every, "--save-every")
            keep = KeepSnapshot(
                self.run, self.progress, request, interval, keep=config.keep, is_writer=processes.is_first
            )
            ranking = self.monitor.column, self.monitor.mode
            best = KeepBestDetections(self.run, *ranking, latest=lambda: measured.found)
            after = self._measuring(measured, request)
            after += [RecordEpoch(self.run, *ranking), best] if processes.is_first else []
            early = StopEarly(self.run, *ranking, patience=config.patience, log=self.log)
            duplicates = WarnOnce(self.data.near_duplicates, config.evaluate_every, self.log)
            rate = LogLearningRate(lambda step: self.schedule(step))
            with readable_data_errors(), self._loggers(measured) as loggers:
                last = [*loggers, duplicates, early] if processes.is_first else []
                last += [FollowFirst(processes)] if processes.count > 1 else []
                callbacks = [guard, rate, keep, *after, *last]
                self._finish_epoch(after)
                self._save_first(keep)
                self.model.stop_training |= processes.broadcast(early.is_due)
                self._fit_rest(guard, keep, callbacks)
            if guard.failure is not None:
                raise NonFiniteLossError(self._explain(guard.failure))
            if self.model.stop_training and not processes.broadcast(early.is_due):
                self._warn_about_images()
                return self._result(request.stopped_by, None)
            result = self._finish(measured, best)
        return replace(result, late_signal=request.number)

    def _filled_rows(self) -> int | None:
        """The rows of each process' part of a batch."""
        share = self.devices.share
        return None if share.count == 1 else share.size(self.config.batch_size)

    def _finish(self, measured: Measured, best: KeepBestDetections) -> RunResult:
        """Draws and reports a complete run."""
        self._warn_about_images()
        if not self.devices.processes.is_first:
            return self._result(None, None)
        if self.data.val_samples and measured.found:
            model, samples, bad_images = self.model, self.data.val_samples, self.data.bad_images
            draw_examples(
                samples, measured.found, model.class_names, model.resize_config, self.run.examples, bad_images
            )
        settings = metric_settings(self.model)
        return self._result(None, report_run(self.run, self.config, self.data, best, settings, self.log))

    def _warn_about_images(self) -> None:
        for counted in (self.data.bad_images, self.data.cut_off):
            if counted is not None and (summary := counted.summary()) is not None:
                self.log(f"warning: {summary}")

    def _measuring(self, measured: Measured, request: StopRequest) -> list[keras.callbacks.Callback]:
        """The callback that measures, where there are validation images."""
        found = measuring(self.config, self.model, self.data, self.monitor, measured, request, self.devices)
        if found and (line := describe_monitor(self.monitor, self.config.metric)) is not None:
            self.log(line)
        return found

    def _finish_epoch(self, callbacks: Sequence[keras.callbacks.Callback]) -> None:
        """Measures and records the last epoch of a run that was stopped between its training and its record."""
        epoch = self.progress.epoch
        recorded = self.devices.processes.broadcast(lambda: [int(row["epoch"]) for row in self.run.rows()])
        if epoch and epoch not in recorded:
            logs = dict(self.progress.figures)
            for callback in callbacks:
                callback.set_model(self.model)
                callback.on_epoch_end(epoch - 1, logs)

    @contextmanager
    def _loggers(self, measured: Measured) -> Iterator[list[keras.callbacks.Callback]]:
        """Callbacks that print, and that feed TensorBoard and others."""
        loggers: list[keras.callbacks.Callback] = []
        if not sys.stdout.isatty():
            loggers.append(PrintLines(self.config.epochs, log=self.log))
        own, trackers = open_trackers(self.config, self.run) if self.devices.processes.is_first else ([], [])
        if not trackers:
            yield loggers
            return
        tracking = TrackEpochs(trackers, lambda: measured.classes, lambda epoch: self._draw_epoch(epoch, measured))
        try:
            yield [*loggers, *own, tracking]
        finally:
            tracking.close()

    def _draw_epoch(self, epoch: int, measured: Measured) -> Pictures:
        """Images as they were fed in an epoch, and validation images with what was found."""
        model, batch_size = self.model, self.config.batch_size
        batches = self.batches.dataset(epoch).take(-(-NUM_PICTURES // batch_size))
        pictures = {"fed": draw_fed(batches, model.class_names, NUM_PICTURES)}
        if self.data.val_samples and measured.found:
            samples, bad_images = self.data.val_samples[:NUM_PICTURES], self.data.bad_images
            pictures["found"] = draw_found(samples, measured.found, model.class_names, model.resize_config, bad_images)
        return pictures

    def _fit_rest(
        self, guard: NonFiniteGuard, keep: KeepSnapshot, callbacks: Sequence[keras.callbacks.Callback]
    ) -> None:
        """The rest of an epoch that was stopped in its middle, then all whole epochs that remain."""
        progress, epochs = self.progress, self.config.epochs
        while progress.epoch < epochs and not self.model.stop_training:
            epoch, step = progress.epoch, progress.step
            guard.first_step = keep.first_step = step
            if is_waiting(self.model, self.config, epoch):
                self._unfreeze()
            whole = self.config.unfreeze_at if epoch < self.config.unfreeze_at else epochs
            try:
                with self.devices.fitting():
                    self.model.fit(
                        self.batches.dataset(epoch, first_step=step),
                        initial_epoch=epoch,
                        epochs=epoch + 1 if step else min(whole, epochs),
                        steps_per_epoch=self.batches.steps_per_epoch - step,
                        callbacks=list(callbacks),
                        shuffle=False,
                        verbose=1 if sys.stdout.isatty() and self.devices.processes.is_first else 0,
                    )
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                if not self._divide_further(keep):
                    raise OutOfMemoryError(TOO_SMALL) from error
            if guard.must_restore:
                self._restore(guard)

    def _divide_further(self, keep: KeepSnapshot) -> bool:
        """After a step that did not fit into memory: the same step in more parts. False if that is not possible.

        The state is that before the step: no variable changes before all gradients are complete.
        """
        config = smaller_parts(self.config, self.devices)
        if config is None or not keep.is_in_step:
            return False
        self.config = config
        self.run.write_config(config)
        keep.stand_still()
        with self.devices.building():
            self.model.micro_batches = config.accumulate
            self.model.compile(self.model.optimizer)
        self.log(f"warning: memory was used up; steps are computed in {config.accumulate} parts from here on")
        return True

    def _clean_up(self) -> None:
        """Removes what a killed process had begun to write into the folder."""
        if self.devices.processes.is_first and (parts := remove_parts(self.run.folder)):
            self.log(f"removed what a process that was killed had begun to write: {', '.join(parts)}")

    def _save_first(self, keep: KeepSnapshot) -> None:
        """Saves the state before the first step, where it may be needed before the first epoch is complete."""
        is_needed = self.config.save_every or self.config.on_nan != "stop"
        if keep.is_writer and is_needed and not self.run.last.exists():
            keep.set_model(self.model)
            keep.save()

    def _restore(self, guard: NonFiniteGuard) -> None:
        """Goes back to the last snapshot, with half the learning rate."""
        guard.must_restore = False
        self.progress.rate_scale /= 2
        with self.devices.building():
            restore_last(self.model, self.run, self.progress, self.config, self.plan(self.progress.rate_scale)[1])
        self.model.stop_training = False

    def _unfreeze(self) -> None:
        """Makes the backbone trainable, and continues with the state of the optimizer."""
        former = self.model.optimizer
        unfreeze(self.model, self.config)
        with self.devices.building():
            optimizer = self.plan(self.progress.rate_scale)[1]()
            carry_state(former, optimizer, self.model)
            self.model.compile(optimizer)
        self.log(f"the backbone is trained from epoch {self.progress.epoch + 1} on")

    def _explain(self, failure: str) -> str:
        kept = f"{self.run.last} is that of before" if self.run.last.exists() else "no epoch was complete yet"
        return f"{failure} Training stopped; {kept}. A lower --learning-rate or --clip-norm often helps."

    def _result(self, stopped_by: int | None, report: Path | None) -> RunResult:
        processes = self.devices.processes
        return read_result(self.run, self.progress, self.monitor, processes, stopped_by=stopped_by, report=report)
