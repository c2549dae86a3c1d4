"""What follows a loss that is not finite, on a model of one weight; whole runs are in `test_prepare.py`."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from keras_retinanet.config import OptimizerConfig
from keras_retinanet.optimizers.build import build_optimizer
from keras_retinanet.optimizers.schedules import WarmupSchedule
from keras_retinanet.snapshots.run_folder import Progress
from keras_retinanet.training.model_state import has_finite_weights, read_trackers
from keras_retinanet.training.non_finite import NonFiniteGuard

BOXES = {"a.jpg": [[1, 2, 3.5, 4], [0, 0, 9, 9], [1, 1, 2, 2], [5, 5, 6, 6]], "b.jpg": [[0, 0, 4, 4]], "c.jpg": []}
SAMPLES = [{"image": name, "boxes": np.array(boxes, np.float32)} for name, boxes in BOXES.items()]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_and_names_the_images(attached: Any, model: keras.Model, value: float) -> None:
    guard = attached(NonFiniteGuard(SAMPLES, Progress()), model)
    guard.on_train_batch_end(0, {"loss": 1.0})
    assert not model.stop_training
    model.nan_batch_indices.assign(np.array([2, 0] + [-1] * 62))
    guard.on_train_batch_end(4, {"loss": value, "box_loss": 1.0})
    assert model.stop_training
    assert "step 5" in guard.failure
    assert "c.jpg (no boxes), a.jpg (boxes 1 2 3.5 4; 0 0 9 9; 1 1 2 2; …)" in guard.failure


def test_weights_that_are_not_finite_stop_the_run_at_the_end_of_the_epoch(attached: Any, model: keras.Model) -> None:
    guard = attached(NonFiniteGuard(SAMPLES, Progress()), model)
    guard.on_epoch_end(0, {"loss": 1.0})
    assert guard.failure is None
    model.trainable_weights[0].assign([[float("nan")]])
    assert not has_finite_weights(model)
    guard.on_epoch_end(1, {"loss": 1.0})
    assert "after epoch 2" in guard.failure
    assert model.stop_training


def test_a_skipped_batch_changes_neither_weights_nor_mean_losses(attached: Any, model: keras.Model) -> None:
    config = OptimizerConfig(learning_rate=0.5, clip_norm=0.0, momentum=0.0, weight_decay=0.0)
    model.compile(
        build_optimizer(config, model, WarmupSchedule(0.5, 9, decay="constant"), skips_non_finite=True), loss="mse"
    )
    lines: list[str] = []
    guard = attached(NonFiniteGuard(SAMPLES, Progress(), policy="skip", limit=2, log=lines.append), model)
    x, weights, losses = np.ones((2, 1), np.float32), [], []
    for step, target in enumerate([3.0, np.nan, 2.5, np.inf, np.nan]):
        guard.on_train_batch_begin(step)
        model.nan_batch_indices.assign(np.array([1] + [-1] * 63))
        logs = model.train_on_batch(x, np.full((2, 1), target, np.float32), return_dict=True)
        guard.on_train_batch_end(step, logs)
        weights.append(float(model.trainable_weights[0].numpy()[0, 0]))
        losses.append(read_trackers(model)[0] / read_trackers(model)[1] if step < 4 else None)
    assert weights == pytest.approx([3.0, 3.0, 2.5, 2.5, 2.5])  # w ← w - 0.5 · 2 (w - y)
    assert losses[:4] == pytest.approx([4.0, 4.0, 0.25, 0.25])  # `train_on_batch` begins a mean
    assert len(lines) == 2
    assert lines[0].startswith("warning: The loss of step 2 is not finite (nan). Images of the batch: b.jpg")
    assert lines[0].endswith("The batch was skipped (1 of at most 2).")
    assert (guard.must_restore, guard.progress.failures) == (False, 3)
    assert "It is failure 3 of the run" in guard.failure
    guard.on_epoch_begin(1)
    assert float(model.optimizer.dynamic_scale.numpy()) == 1


def test_skip_restores_where_running_statistics_are_lost(attached: Any, model: keras.Model) -> None:
    """The update was left out, but a weight that no gradient reaches is not finite."""
    guard = attached(NonFiniteGuard(SAMPLES, Progress(), policy="skip", log=lambda line: None), model)
    model.trainable_weights[0].assign([[float("nan")]])
    guard.on_train_batch_end(0, {"loss": float("nan")})
    assert (guard.must_restore, model.stop_training, guard.failure) == (True, True, None)


def test_restore_gives_up_after_its_limit(attached: Any, model: keras.Model) -> None:
    lines: list[str] = []
    guard = attached(NonFiniteGuard(SAMPLES, Progress(failures=4), policy="restore", log=lines.append), model)
    guard.on_train_batch_end(0, {"loss": float("inf")})
    assert (guard.must_restore, guard.failure) == (True, None)
    assert lines[0].endswith("The last snapshot is restored, at half the rate (5 of at most 5).")
    guard.on_train_batch_end(0, {"loss": float("inf")})
    assert "It is failure 6 of the run" in guard.failure
