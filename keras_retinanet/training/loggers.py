"""Sends the figures and pictures of a run to TensorBoard, Weights & Biases and MLflow.

TensorBoard's figures come from Keras' own callback. The callbacks of Weights & Biases and MLflow need the TensorFlow
backend, and MLflow's fails at a name such as `val_AP maxDets=500`: one callback of ours calls their public functions.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np

from keras_retinanet.config import TrainConfig
from keras_retinanet.config.tree import flattened
from keras_retinanet.snapshots.run_folder import Run
from keras_retinanet.training.callbacks import Logs

NUM_PICTURES = 8
"""Pictures of each kind in an epoch."""

Pictures = Mapping[str, Sequence[Any]]
"""`"fed"` and `"found"` → images `(H, W, 3)` uint8."""


class Tracker(Protocol):
    """A place that keeps what happens in a run."""

    def log(self, epoch: int, figures: Mapping[str, float], classes: Mapping[str, float], pictures: Pictures) -> None:
        """Keeps an epoch.

        Args:
            epoch: From 1.
            figures: Losses, learning rate and metrics.
            classes: Numbers of single classes, such as `"AP/cat"`.
            pictures: What was fed and found.
        """

    def close(self) -> None:
        """Ends the run there."""


class TensorBoardTracker:
    """Classes and pictures next to the figures of Keras' callback, in a folder of their own.

    Args:
        folder: The folder of the run's logs.
        summary: `keras.callbacks.TensorBoard.summary`.
    """

    def __init__(self, folder: Path, summary: Any) -> None:
        self._summary, self._writer = summary, summary.create_file_writer(str(folder / "details"))

    def log(self, epoch: int, figures: Mapping[str, float], classes: Mapping[str, float], pictures: Pictures) -> None:
        """See `Tracker`; epochs count from 0, as Keras' callback counts."""
        del figures
        with self._writer.as_default():
            for name, value in classes.items():
                self._summary.scalar(name, value, step=epoch - 1)
            for name, images in pictures.items():
                for k, image in enumerate(images):
                    self._summary.image(f"{name}/{k + 1}", np.asarray(image)[None], step=epoch - 1)
        self._writer.flush()

    def close(self) -> None:
        """See `Tracker`."""
        self._writer.close()


class WandbTracker:
    """A run of Weights & Biases with the name of the run's folder; a resumed run continues it.

    Args:
        project: Name of the project.
        run: The run.
        settings: All settings of the run by name.
    """

    def __init__(self, project: str, run: Run, settings: Mapping[str, Any]) -> None:
        self._wandb = importlib.import_module("wandb")
        name, folder = run.folder.name, str(run.folder.absolute())
        self._run = self._wandb.init(
            project=project, name=name, id=name, dir=folder, resume="allow", config=dict(settings)
        )
        self._run.define_metric("*", step_metric="epoch")

    def log(self, epoch: int, figures: Mapping[str, float], classes: Mapping[str, float], pictures: Pictures) -> None:
        """See `Tracker`."""
        shown = {name: [self._wandb.Image(image) for image in images] for name, images in pictures.items()}
        self._run.log({"epoch": epoch, **figures, **classes, **shown})

    def close(self) -> None:
        """See `Tracker`."""
        self._run.finish()


class MlflowTracker:
    """A run of MLflow with the name of the run's folder; a resumed run continues it.

    Args:
        experiment: Name of the experiment.
        run: The run.
        settings: All settings of the run by name.
    """

    def __init__(self, experiment: str, run: Run, settings: Mapping[str, Any]) -> None:
        self._mlflow = mlflow = importlib.import_module("mlflow")
        mlflow.set_experiment(experiment)
        note = run.folder / "mlflow_run.txt"
        former = note.read_text(encoding="utf-8") if note.exists() else None
        started = mlflow.start_run(run_id=former, run_name=None if former else run.folder.name)
        if former is None:
            note.write_text(started.info.run_id, encoding="utf-8")
            mlflow.log_params({name: str(value)[:500] for name, value in settings.items()})

    def log(self, epoch: int, figures: Mapping[str, float], classes: Mapping[str, float], pictures: Pictures) -> None:
        """See `Tracker`; characters that MLflow refuses become `_`."""
        numbers = {re.sub(r"[^\w\-. /]", "_", name): value for name, value in {**figures, **classes}.items()}
        self._mlflow.log_metrics(numbers, step=epoch)
        for name, images in pictures.items():
            for k, image in enumerate(images):
                self._mlflow.log_image(np.asarray(image), artifact_file=f"{name}/epoch_{epoch:03}_{k + 1}.png")

    def close(self) -> None:
        """See `Tracker`."""
        self._mlflow.end_run()


class TrackEpochs(keras.callbacks.Callback):
    """Gives each complete epoch to the trackers.

    Args:
        trackers: They.
        classes: Numbers of single classes that were measured last.
        pictures: The pictures of an epoch, which counts from 0.
    """

    def __init__(
        self,
        trackers: Sequence[Tracker],
        classes: Callable[[], Mapping[str, float]],
        pictures: Callable[[int], Pictures],
    ) -> None:
        super().__init__()
        self.trackers, self.classes, self.pictures = trackers, classes, pictures

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Gives the epoch to all of them."""
        if self.model.stop_training:
            return
        figures = {name: float(value) for name, value in (logs or {}).items()}
        classes, pictures = self.classes(), self.pictures(epoch)
        for tracker in self.trackers:
            tracker.log(epoch + 1, figures, classes, pictures)

    def close(self) -> None:
        """Ends the run in all of them."""
        for tracker in self.trackers:
            tracker.close()


def open_trackers(config: TrainConfig, run: Run) -> tuple[list[keras.callbacks.Callback], list[Tracker]]:
    """Opens what the settings ask for.

    Args:
        config: All settings.
        run: The run.

    Returns:
        Callbacks of Keras, and trackers.
    """
    settings = flattened(config)
    callbacks: list[keras.callbacks.Callback] = []
    trackers: list[Tracker] = []
    if config.tensorboard_dir:
        folder = Path(config.tensorboard_dir) / run.folder.name
        callbacks.append(keras.callbacks.TensorBoard(str(folder), write_graph=False))
        trackers.append(TensorBoardTracker(folder, callbacks[-1].summary))
    if config.wandb:
        trackers.append(WandbTracker(config.wandb, run, settings))
    if config.mlflow:
        trackers.append(MlflowTracker(config.mlflow, run, settings))
    return callbacks, trackers
