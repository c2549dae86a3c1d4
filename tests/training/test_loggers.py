"""Trackers by stand-ins of their packages, which the tests do not install."""

from __future__ import annotations

import importlib.util
import re
import sys
import types
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from keras_retinanet.config import TrainConfig
from keras_retinanet.config.tree import changed
from keras_retinanet.snapshots.run_folder import Run
from keras_retinanet.training import loggers

PICTURES = {"fed": [np.full((4, 6, 3), 7, np.uint8)], "found": [np.zeros((2, 2, 3), np.uint8)] * 2}
FIGURES = {"loss": 1.5, "val_AP maxDets=500": 0.25}
CLASSES = {"AP/white cat": 0.5, "AP/Fußgänger?": 0.0}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.create(str(tmp_path / "runs"), "test")


def stand_in(name: str, monkeypatch: pytest.MonkeyPatch) -> tuple[types.ModuleType, list[Any]]:
    """An empty module of that name, and what its functions note."""
    if importlib.util.find_spec(name) is not None:
        pytest.skip(f"{name} is installed: a stand-in would hide it")
    module, notes = types.ModuleType(name), []
    monkeypatch.setitem(sys.modules, name, module)
    return module, notes


def test_weights_and_biases(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    module, notes = stand_in("wandb", monkeypatch)

    def init(**options: Any) -> Any:
        notes.append(options)
        return types.SimpleNamespace(
            define_metric=lambda *names, **more: notes.append((names, more)),
            log=notes.append,
            finish=lambda: notes.append("finished"),
        )

    vars(module).update(init=init, Image=lambda array: array.shape)
    config = changed(TrainConfig(), {"wandb": "cats", "epochs": 3})
    callbacks, (tracker,) = loggers.open_trackers(config, run)
    assert callbacks == []
    tracker.log(2, FIGURES, CLASSES, PICTURES)
    tracker.close()
    options = notes[0]
    assert (options["project"], options["resume"], options["config"]["epochs"]) == ("cats", "allow", 3)
    assert options["name"] == options["id"] == run.folder.name
    assert options["config"]["optimizer.optimizer"] == config.optimizer.optimizer
    assert notes[1:] == [
        (("*",), {"step_metric": "epoch"}),
        {"epoch": 2, **FIGURES, **CLASSES, "fed": [(4, 6, 3)], "found": [(2, 2, 3)] * 2},
        "finished",
    ]


def test_mlflow(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A resumed run continues the first one; names have only characters that MLflow takes."""
    module, notes = stand_in("mlflow", monkeypatch)

    def start_run(**options: Any) -> Any:
        notes.append(options)
        return types.SimpleNamespace(info=types.SimpleNamespace(run_id="abc"))

    def log_metrics(numbers: dict[str, float], step: int) -> None:
        assert all(re.fullmatch(r"[\w\-. /]+", name) for name in numbers)
        notes.append((numbers, step))

    vars(module).update(
        set_experiment=notes.append,
        start_run=start_run,
        log_params=lambda params: notes.append(max(map(len, params.values()))),
        log_metrics=log_metrics,
        log_image=lambda array, artifact_file: notes.append((array.shape, artifact_file)),
        end_run=lambda: notes.append("ended"),
    )
    config = changed(TrainConfig(), {"mlflow": "cats"})
    _, (tracker,) = loggers.open_trackers(config, run)
    tracker.log(2, FIGURES, CLASSES, PICTURES)
    tracker.close()
    assert notes[:2] == ["cats", {"run_id": None, "run_name": run.folder.name}]
    assert notes[2] <= 500
    numbers = {"loss": 1.5, "val_AP maxDets_500": 0.25, "AP/white cat": 0.5, "AP/Fußgänger_": 0.0}
    assert notes[3:] == [
        (numbers, 2),
        ((4, 6, 3), "fed/epoch_002_1.png"), ((2, 2, 3), "found/epoch_002_1.png"), ((2, 2, 3), "found/epoch_002_2.png"),
        "ended",
    ]  # fmt: skip
    notes.clear()
    loggers.open_trackers(config, run)
    assert notes == ["cats", {"run_id": "abc", "run_name": None}]


class Summary:
    """Notes what TensorFlow's `tf.summary` would write."""

    def __init__(self) -> None:
        self.notes: list[Any] = []

    def create_file_writer(self, folder: str) -> Any:
        self.notes.append(folder)
        return self

    def as_default(self) -> Any:
        return self

    def __enter__(self) -> None: ...

    def __exit__(self, *error: object) -> None: ...

    def scalar(self, name: str, value: float, step: int) -> None:
        self.notes.append((name, value, step))

    def image(self, name: str, images: Any, step: int) -> None:
        self.notes.append((name, images.shape, step))

    def flush(self) -> None:
        self.notes.append("flushed")

    def close(self) -> None:
        self.notes.append("closed")


def test_tensorboard_has_classes_and_pictures(tmp_path: Path) -> None:
    summary = Summary()
    tracker = loggers.TensorBoardTracker(tmp_path, summary)
    tracker.log(2, FIGURES, CLASSES, PICTURES)
    tracker.close()
    assert summary.notes == [
        str(tmp_path / "details"),
        ("AP/white cat", 0.5, 1), ("AP/Fußgänger?", 0.0, 1),
        ("fed/1", (1, 4, 6, 3), 1), ("found/1", (1, 2, 2, 3), 1), ("found/2", (1, 2, 2, 3), 1),
        "flushed", "closed",
    ]  # fmt: skip


class Notes:
    """A tracker that keeps what it gets."""

    def __init__(self) -> None:
        self.epochs: list[Any] = []

    def log(self, *epoch: Any) -> None:
        self.epochs.append(epoch)

    def close(self) -> None:
        self.epochs.append("closed")


def test_every_complete_epoch_is_tracked_once_by_all() -> None:
    trackers, drawn = [Notes(), Notes()], []

    def draw(epoch: int) -> loggers.Pictures:
        drawn.append(epoch)
        return PICTURES

    callback = loggers.TrackEpochs(trackers, lambda: CLASSES, draw)
    callback.set_model(keras.Sequential())
    callback.model.stop_training = False
    callback.on_epoch_end(4, FIGURES)
    callback.model.stop_training = True  # the epoch was interrupted
    callback.on_epoch_end(5, FIGURES)
    callback.close()
    assert drawn == [4]
    assert [tracker.epochs for tracker in trackers] == [[(5, FIGURES, CLASSES, PICTURES), "closed"]] * 2


def test_nothing_is_opened_unless_asked_for(run: Run) -> None:
    assert loggers.open_trackers(TrainConfig(), run) == ([], [])
