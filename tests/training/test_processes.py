"""What processes tell each other, through a store in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import pytest

from keras_retinanet.training import processes
from keras_retinanet.training.launchers import ProcessSettings
from keras_retinanet.training.processes import ALONE, Processes, join_processes

InProcesses = Callable[[int, Callable[[Processes], Any]], list[Any]]

SETTINGS = ProcessSettings("node1:6006", 2, 0, "SLURM")


def test_one_process_has_nobody_to_ask() -> None:
    assert ALONE.is_first
    assert ALONE.broadcast(lambda: 3) == 3
    assert ALONE.gather(b"a") == [b"a"]
    ALONE.require_equal({"weights": "1"})


def test_the_first_process_computes_and_all_have_the_value(in_processes: InProcesses) -> None:
    asked = []

    def work(own: Processes) -> list[object]:
        def make() -> dict[str, float]:
            asked.append(own.index)
            return {"AP": 0.5}

        return [own.broadcast(make), own.broadcast(lambda: own.index)]

    assert in_processes(3, work) == [[{"AP": 0.5}, 0]] * 3
    assert asked == [0]


def test_values_in_parts_come_together_in_the_first_process(
    monkeypatch: pytest.MonkeyPatch, in_processes: InProcesses
) -> None:
    monkeypatch.setattr(processes, "CHUNK", 2)
    found = in_processes(3, lambda own: (own.gather(b"abcde" * own.index), sorted(own.client.values)))
    assert found[0][0] == [b"", b"abcde", b"abcdeabcde"]
    assert [own for own, _ in found[1:]] == [[b"abcde"], [b"abcdeabcde"]]


def test_processes_with_other_images_are_named(in_processes: InProcesses) -> None:
    def work(own: Processes) -> str:
        try:
            own.require_equal({"weights": "1", "boxes": str(own.index // 2)})
        except ValueError as error:
            return str(error)
        return ""

    first, second, third = in_processes(3, work)
    assert (first, second) == ("", "")
    assert third.startswith("process 2 has other boxes than process 0")


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="JAX trains in several processes")
def test_other_backends_say_why_they_train_in_one_process() -> None:
    assert join_processes(None) is ALONE
    with pytest.raises(ValueError, match=r"2 processes \(SLURM\) with KERAS_BACKEND=.*KERAS_BACKEND=jax"):
        join_processes(SETTINGS)
