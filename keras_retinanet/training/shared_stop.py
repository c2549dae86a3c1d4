"""A stop, by a signal or early, that all processes of a run make after the same step."""

from __future__ import annotations

import json

import keras

from keras_retinanet.training.callbacks import Logs
from keras_retinanet.training.processes import Processes
from keras_retinanet.training.signals import StopRequest


class SharedStop(StopRequest):
    """The request to stop of several processes: a signal to one of them stops all, after the same step.

    Process 0 decides. It publishes after a step that the run ends after the next one; no process can finish that step
    without process 0, so each of them has read it by then.

    Args:
        processes: Those of the run. All of them make their requests in the same order.
    """

    def __init__(self, processes: Processes) -> None:
        super().__init__()
        self._processes = processes
        key = processes.next_key()  # of this run: what an earlier one was asked means nothing here
        self._asked_key, self._stop_key = f"{key}/asked", f"{key}/stop"
        self._step = 0
        self._at: int | None = None
        self._signal: int | None = None
        self._agreed: int | None = None
        if processes.is_first:
            processes.client.key_value_set_bytes(self._stop_key, b"null", allow_overwrite=True)

    @property
    def stopped_by(self) -> int | None:
        """The signal at which all processes stop here."""
        return self._agreed

    def pass_on(self) -> None:
        """Tells process 0 of a signal."""
        if self.number is not None and not self._processes.is_first:
            self._processes.client.key_value_set(
                f"{self._asked_key}/{self._processes.index}", str(self.number), allow_overwrite=True
            )

    def agree_in_epoch(self) -> None:
        """Learns between two steps whether the run ends after this one."""
        self._step += 1
        client = self._processes.client
        if self._processes.is_first:
            if self._at is None and (number := self._asked()) is not None:
                self._at = self._step + 1
                client.key_value_set_bytes(
                    self._stop_key, json.dumps([self._at, number]).encode(), allow_overwrite=True
                )
                self._signal = number
        else:
            self.pass_on()
            if (decided := json.loads(client.key_value_try_get_bytes(self._stop_key))) is not None:
                self._at, self._signal = decided
        if self._at == self._step:
            self._agreed = self._signal

    def agree_at_epoch_end(self) -> None:
        """Learns at the end of an epoch whether the run ends here."""
        self.pass_on()
        number = self._processes.broadcast(lambda: self._asked() if self._signal is None else self._signal)
        self._agreed = number if self._agreed is None else self._agreed

    def _asked(self) -> int | None:
        """The signal that came to any process, in process 0."""
        if self.number is not None:
            return self.number
        others = self._processes.client.key_value_dir_get(self._asked_key)
        return int(others[0][1]) if others else None


class FollowFirst(keras.callbacks.Callback):
    """Ends the run in all processes where process 0 has decided to at the end of an epoch; listed last.

    Args:
        processes: Those of the run.
    """

    def __init__(self, processes: Processes) -> None:
        super().__init__()
        self._processes = processes

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Takes over the decision."""
        del epoch, logs
        self.model.stop_training = bool(self._processes.broadcast(lambda: bool(self.model.stop_training)))
