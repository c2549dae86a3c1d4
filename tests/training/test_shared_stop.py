"""Processes that stop after the same step."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from typing import Any

import keras
import pytest

from keras_retinanet.training.processes import Processes
from keras_retinanet.training.shared_stop import FollowFirst, SharedStop

InProcesses = Callable[[int, Callable[[Processes], Any]], list[Any]]


@pytest.mark.parametrize("asked", [0, 1])
def test_a_signal_to_one_process_stops_all_after_the_same_step(in_processes: InProcesses, asked: int) -> None:
    """All finish a step together, as gradients make them do; the signal comes in step 2 of 5."""
    barrier = threading.Barrier(2)

    def work(own: Processes) -> tuple[int, int | None]:
        barrier.wait()
        if own.is_first:
            request = SharedStop(own)
            barrier.wait()
        else:
            barrier.wait()
            request = SharedStop(own)
        for step in range(1, 6):
            if step == 2 and own.index == asked:
                request.number = signal.SIGTERM
            barrier.wait()
            request.agree_in_epoch()
            if request.is_made:
                break
        return step, request.stopped_by

    first, second = in_processes(2, work)
    assert first == second
    assert first[0] in (3, 4)
    assert first[1] == signal.SIGTERM


def test_a_signal_between_epochs_stops_all_there(in_processes: InProcesses) -> None:
    def work(own: Processes) -> list[int | None]:
        request = SharedStop(own)
        request.agree_at_epoch_end()
        before = request.stopped_by
        request.number = signal.SIGINT if own.is_first else None
        request.agree_at_epoch_end()
        return [before, request.stopped_by]

    assert in_processes(2, work) == [[None, signal.SIGINT]] * 2


def test_a_signal_that_came_to_an_earlier_run_does_not_stop_the_next(in_processes: InProcesses) -> None:
    """A program may train twice in the same processes."""

    def work(own: Processes) -> list[int | None]:
        stopped = []
        for number in (signal.SIGTERM, None):
            request = SharedStop(own)
            own.broadcast(lambda: None)
            request.number = None if own.is_first else number
            request.pass_on()
            own.gather(b"")  # process 0 looks afterwards
            request.agree_at_epoch_end()
            stopped.append(request.stopped_by)
        return stopped

    assert in_processes(2, work) == [[signal.SIGTERM, None]] * 2


def test_all_follow_the_first_where_it_ends_early(model: keras.Model, store: Any) -> None:
    model.stop_training = True
    first = FollowFirst(Processes(0, 2, store))
    first.set_model(model)
    first.on_epoch_end(0)
    model.stop_training = False
    second = FollowFirst(Processes(1, 2, store))
    second.set_model(model)
    second.on_epoch_end(0)
    assert model.stop_training
