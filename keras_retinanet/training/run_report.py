"""The report at the end of a run: the detections of its best epoch, its curves and its settings."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import keras

from keras_retinanet.config import TrainConfig
from keras_retinanet.evaluation import METRICS, MetricSettings
from keras_retinanet.evaluation.metric import count_all_boxes
from keras_retinanet.report import Subject, describe_versions, with_analysis, write_report
from keras_retinanet.schema import Detections
from keras_retinanet.snapshots.run_folder import Run
from keras_retinanet.training.callbacks import Logs
from keras_retinanet.training.run_data import RunData

NO_REPORT = "none"
Latest = Callable[[], Sequence[Detections]]


class KeepBestDetections(keras.callbacks.Callback):
    """Keeps the detections of the best epoch; comes after `RecordEpoch`.

    Args:
        run: The folder.
        monitor: Column of the number that ranks epochs.
        mode: `"max"` if higher is better, else `"min"`.
        latest: Returns the detections of the epoch measured last.

    Attributes:
        epoch: The epoch of the detections, from 1; 0 if none was measured.
        detections: They.
    """

    def __init__(self, run: Run, monitor: str, mode: Literal["max", "min"], latest: Latest) -> None:
        super().__init__()
        self.run, self.monitor, self.mode, self.latest = run, monitor, mode, latest
        self.epoch = 0
        self.detections: Sequence[Detections] = ()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Keeps them if this epoch is the best, or the first that this process measured."""
        if self.model.stop_training or self.monitor not in (logs or {}):
            return
        best = self.run.best_metric(self.monitor, self.mode)
        if not self.epoch or best is None or best[0] == epoch + 1:
            self.epoch, self.detections = epoch + 1, self.latest()


def report_run(
    run: Run,
    config: TrainConfig,
    data: RunData,
    kept: KeepBestDetections,
    settings: MetricSettings,
    log: Callable[[str], object],
) -> Path | None:
    """Writes the report of a run.

    Args:
        run: The folder.
        config: All settings.
        data: The training and validation images.
        kept: The detections of the best epoch.
        settings: Settings of the metric.
        log: Receives a line if the file cannot be written.

    Returns:
        The file; `None` if none is wanted, or it cannot be written.
    """
    if config.report == NO_REPORT:
        return None
    path = run.report if config.report is None else Path(config.report)
    if not kept.epoch and data.val_samples is not None and path.exists():
        return path  # nothing was measured since
    try:
        write_report(_describe_run(run, config, data, kept, settings), path)
    except OSError as error:
        log(f"warning: the report cannot be written: {error}")
        return None
    return path


def _describe_run(
    run: Run, config: TrainConfig, data: RunData, kept: KeepBestDetections, settings: MetricSettings
) -> Subject:
    names, metric = data.class_names, METRICS[config.metric]
    subject = Subject(
        title=run.folder.name,
        class_names=names,
        training_boxes=count_all_boxes(data.samples, len(names)),
        rows=run.rows(),
        best_epoch=run.best_epoch(),
        about={
            "run": str(run.folder),
            "data": data.description,
            "settings": run.config.read_text(encoding="utf-8"),
            "written": time.strftime("%Y-%m-%d %H:%M"),
            "versions": describe_versions(),
        },
    )
    if not kept.epoch or data.val_samples is None:
        return subject
    measured = dataclasses.replace(
        subject,
        title=f"{run.folder.name}, epoch {kept.epoch}",
        samples=data.val_samples,
        detections=kept.detections,
        result=metric(data.val_samples, kept.detections, names, settings),
        main=metric.monitor_for(data.val_samples, settings),
    )
    return with_analysis(measured, data.thumbnails[1].brightness(data.val_samples))
