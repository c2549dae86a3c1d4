"""Each callback alone, on a model of one weight."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import pytest

from keras_retinanet.snapshots.run_folder import Run
from keras_retinanet.training.callbacks import (
    EvaluateMetric,
    LogLearningRate,
    PrintLines,
    RecordEpoch,
    WarnOnce,
)
from keras_retinanet.training.signals import StopRequest


def test_metrics_are_measured_every_so_often_and_after_the_last_epoch(attached: Any, model: keras.Model) -> None:
    measure = EvaluateMetric(lambda progress: {"AP": 0.5}, every=3, epochs=8, request=StopRequest())
    attached(measure, model)
    measured = []
    for epoch in range(8):
        logs: dict[str, float] = {}
        measure.on_epoch_end(epoch, logs)
        measured.append(logs)
    found = [epoch + 1 for epoch, logs in enumerate(measured) if logs]
    assert found == [3, 6, 8]
    assert measured[2] == {"val_AP": 0.5}


def test_a_measurement_is_given_up_on_request(attached: Any, model: keras.Model) -> None:
    request, logs, seen = StopRequest(), {}, []

    def measure(progress):  # type: ignore[no-untyped-def]
        for batch in range(5):
            seen.append(batch)
            request.number = 2 if batch == 1 else None
            progress(1)
        return {"AP": 1.0}

    attached(callback := EvaluateMetric(measure, every=1, epochs=1, request=request), model)
    callback.on_epoch_end(0, logs)
    assert seen == [0, 1]
    assert logs == {}
    assert model.stop_training


@pytest.mark.parametrize(
    ("monitoring", "best"), [((), "epoch 2"), (("val_count_error", "min"), "epoch 4"), (("val_mAP", "max"), None)]
)
def test_best_follows_the_monitored_number(
    attached: Any, model: keras.Model, tmp_path: Path, monitoring: tuple[str, ...], best: str | None
) -> None:
    run = Run(tmp_path)
    record = attached(RecordEpoch(run, *monitoring), model)
    for epoch, value in enumerate([0.25, 0.5, 0.5, 0.125, 0.125]):
        run.last.write_text(f"epoch {epoch + 1}")
        record.on_epoch_end(epoch, {"loss": 1.0, "val_AP": value, "val_count_error": 4 * value})
    assert (run.best.read_text() if run.best.exists() else None) == best
    assert [row["val_AP"] for row in run.rows()] == ["0.25", "0.5", "0.5", "0.125", "0.125"]
    assert run.curves.exists()


def test_an_epoch_that_did_not_finish_is_not_recorded(attached: Any, model: keras.Model, tmp_path: Path) -> None:
    model.stop_training = True
    record = attached(RecordEpoch(Run(tmp_path)), model)
    record.on_epoch_end(0, {"loss": 1.0, "val_AP": 1.0})
    assert list(tmp_path.iterdir()) == []


def test_the_learning_rate_is_that_of_the_last_step(attached: Any, model: keras.Model) -> None:
    log, logs = attached(LogLearningRate(lambda step: 10.0 + step), model), {}
    log.on_epoch_end(0, logs)
    assert logs == {"learning_rate": 10.0}
    model.optimizer.iterations.assign(5)
    log.on_epoch_end(1, logs)
    assert logs == {"learning_rate": 14.0}


def test_lines_come_once_an_epoch_and_every_so_often_inside(
    attached: Any, model: keras.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, lines = iter([0.0, 30.0, 70.0, 70.0, 90.0, 100.0]), []
    monkeypatch.setattr("keras_retinanet.training.callbacks.time.monotonic", lambda: next(clock))
    printer = attached(PrintLines(epochs=2, seconds=60, log=lines.append), model)
    printer.on_epoch_begin(0)
    printer.on_train_batch_end(0, {"loss": 9.0})
    printer.on_train_batch_end(1, {"box_loss": 1.0, "loss": 4.0})
    printer.on_train_batch_end(2, {"loss": 3.0})
    printer.on_epoch_end(0, {"loss": 3.0})
    assert lines == ["epoch 1/2  step 2/3  70 s  loss 4  box_loss 1", "epoch 1/2  3 steps  100 s  loss 3"]


@pytest.mark.parametrize(("every", "logged_after"), [(1, 1), (2, 2), (5, 3)])
def test_warnings_are_logged_once_after_the_first_evaluation_or_at_the_end(every: int, logged_after: int) -> None:
    lines: list[str] = []
    warn = WarnOnce(lambda: ["a ~ b"], every, lines.append)
    counts = []
    for epoch in range(3):
        warn.on_epoch_end(epoch)
        counts.append(len(lines))
    warn.on_train_end()
    assert counts == [int(epoch + 1 >= logged_after and every <= 3) for epoch in range(3)]
    assert lines == ["warning: a ~ b"]
