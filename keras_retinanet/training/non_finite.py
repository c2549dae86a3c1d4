"""A loss that is not finite: the run stops, skips the batch, or goes back to the last snapshot at half the rate."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import keras
import numpy as np

from keras_retinanet.config import NonFinitePolicy
from keras_retinanet.schema import Sample
from keras_retinanet.snapshots.run_folder import Progress
from keras_retinanet.training.callbacks import Logs
from keras_retinanet.training.model_state import (
    has_finite_state,
    has_finite_weights,
    read_trackers,
    synchronise,
    write_trackers,
)

MAX_NAMED_BOXES = 3
"""Boxes of an image that a message names."""


class NonFiniteLossError(RuntimeError):
    """The loss or the weights became NaN or infinite; the message names the images of the batch and their boxes."""


class NonFiniteGuard(keras.callbacks.Callback):
    """Looks at the loss of every batch and at the weights of every epoch, and decides what follows where they fail.

    With the policy `"skip"` the optimizer leaves out updates that are not finite (`build_optimizer`); this callback
    keeps such a batch out of the mean losses. Where the failed batch has reached running statistics, it restores.

    Args:
        samples: The training images, to which `image_index` of a batch refers.
        progress: Counts the failures.
        policy: `"stop"`, `"skip"` or `"restore"`. Defaults to `"stop"`.
        limit: Failures after which the run stops all the same. Defaults to 5.
        log: Receives one line per failure that does not end the run. Defaults to `print`.

    Attributes:
        failure: What ended the run; `None` while nothing did.
        must_restore: Whether `fit` returned because the last snapshot is to be restored.
        first_step: Steps of the epoch that were done before `fit` began; set by the one who calls `fit`.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        progress: Progress,
        *,
        policy: NonFinitePolicy = "stop",
        limit: int = 5,
        log: Callable[[str], object] = print,
    ) -> None:
        super().__init__()
        self.samples, self.progress, self.policy, self.limit, self.log = samples, progress, policy, limit, log
        self.failure: str | None = None
        self.must_restore = False
        self.first_step = 0
        self._trackers: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Sets the scale that skipped updates have halved back to 1."""
        del epoch, logs
        optimizer = self.model.optimizer
        if self.policy == "skip" and getattr(optimizer, "initial_scale", None) == 1:
            optimizer.dynamic_scale.assign(1.0)

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Remembers the mean losses before the batch."""
        del batch, logs
        if self.policy == "skip":
            self._trackers = read_trackers(self.model)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Looks at the loss."""
        values = logs or {}
        if not all(math.isfinite(value) for name, value in values.items() if name.endswith("loss")):
            step = self.first_step + batch + 1
            self._decide(f"The loss of step {step} is not finite ({values.get('loss')}).", can_skip=True)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Looks at the weights: the loss of the last batch says nothing about the update that followed it."""
        del logs
        if not self.model.stop_training and not has_finite_weights(self.model):
            self._decide(f"Some weights are not finite after epoch {epoch + 1}.", can_skip=False)

    def _decide(self, reason: str, *, can_skip: bool) -> None:
        synchronise(self.model)
        found = reason + self._describe_batch()
        self.progress.failures += 1
        count = self.progress.failures
        if self.policy == "stop" or count > self.limit:
            self.failure = found if self.policy == "stop" else f"{found} It is failure {count} of the run."
            self.model.stop_training = True
            return
        self.model.nan_batch_indices.assign(np.full(self.model.nan_batch_indices.shape, -1, np.int32))
        if self.policy == "skip" and can_skip and has_finite_state(self.model):
            write_trackers(self.model, self._trackers)
            self.log(f"warning: {found} The batch was skipped ({count} of at most {self.limit}).")
            return
        self.must_restore = self.model.stop_training = True
        self.log(f"warning: {found} The last snapshot is restored, at half the rate ({count} of at most {self.limit}).")

    def _describe_batch(self) -> str:
        """Images of the failed batch, with their first boxes."""
        indices = [int(index) for index in self.model.nan_batch_indices.numpy() if index >= 0]
        images = [_describe_image(self.samples[index]) for index in indices if index < len(self.samples)]
        return f" Images of the batch: {', '.join(images)}." if images else ""


def _describe_image(sample: Sample) -> str:
    boxes = np.asarray(sample["boxes"], float).reshape(-1, 4)
    first = [" ".join(f"{value:g}" for value in box) for box in boxes[:MAX_NAMED_BOXES]]
    more = ["…"] if len(boxes) > MAX_NAMED_BOXES else []
    named = f"boxes {'; '.join(first + more)}" if len(boxes) else "no boxes"
    return f"{sample['image']} ({named})"
