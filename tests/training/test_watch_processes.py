"""A lost process ends the others, with the way to resume."""

from __future__ import annotations

import os
import time
from typing import Any

import pytest

from keras_retinanet.training import watch_processes
from keras_retinanet.training.processes import ALONE, Processes
from keras_retinanet.training.watch_processes import LOST, LastWords, Watch, watched


@pytest.fixture(autouse=True)
def _is_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Signs of life every 20 ms."""
    monkeypatch.setattr(watch_processes, "EVERY", 0.02)


@pytest.fixture
def statuses(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Exit statuses with which the process would have ended."""
    found: list[int] = []

    def leave(status: int) -> None:
        found.append(status)
        raise SystemExit(status)

    monkeypatch.setattr(os, "_exit", leave)
    return found


@pytest.mark.parametrize("reason", ["silent", "failed"])
def test_a_lost_process_is_named_with_the_way_to_resume(
    store: Any, statuses: list[int], capsys: pytest.CaptureFixture[str], reason: str
) -> None:
    watch = Watch(Processes(0, 2, store), "retinanet-train", limit=0.2)
    watch.name_resume("retinanet-train --resume runs/a")
    store.key_value_set(f"{watch_processes.BEATS}/1", "7 node2")
    if reason == "failed":
        store.key_value_set(f"{watch_processes.ENDED}/1", "with status 2")
    with pytest.raises(SystemExit):
        watch.run()
    assert statuses == [LOST]
    lost = "process 1 (node2) is lost: no sign of life" if reason == "silent" else "process 1 ended: with status 2"
    error = capsys.readouterr().err
    assert lost in error
    assert "resume with any number of processes: retinanet-train --resume runs/a" in error


def test_processes_that_live_go_on_and_hear_of_a_failure(store: Any, statuses: list[int]) -> None:
    watches = [Watch(Processes(index, 2, store), "retinanet-train", limit=0.3) for index in range(2)]
    for watch in watches:
        watch.start()
    time.sleep(0.6)
    assert statuses == []
    watches[0].stop(0)
    watches[0].join(10)
    with pytest.raises(SystemExit):
        watches[1].stop(2)
    assert statuses == [2]
    assert [key.rpartition("/")[2] for key, _ in store.key_value_dir_get(watch_processes.ENDED)] == ["1"]


def test_last_words_are_printed_unless_withdrawn(capfd: pytest.CaptureFixture[str]) -> None:
    words = [LastWords(), LastWords()]
    for number, each in enumerate(words):
        each.set(f"resume {number}\n")
    words[0].withdraw()
    words[1]._process.communicate(timeout=20)  # as when this process ends
    assert capfd.readouterr().err == "resume 1\n"


def test_last_words_that_were_ended_first_are_no_error() -> None:
    words = LastWords()
    words._process.kill()
    words._process.wait()
    words.set("resume\n")
    words.withdraw()
    assert words._process.stdin is not None
    assert words._process.stdin.closed


def test_a_pause_of_the_own_thread_is_not_held_against_others(store: Any, statuses: list[int]) -> None:
    watch = Watch(Processes(0, 2, store), "retinanet-train", limit=0.2)

    class Over:
        """The second look comes late, and after the third all is over."""

        looks = 0

        def wait(self, seconds: float) -> bool:
            self.looks += 1
            store.key_value_set(f"{watch_processes.BEATS}/1", "7 node2", allow_overwrite=True)
            time.sleep(0.5 if self.looks == 2 else seconds)
            return self.looks > 3

        def is_set(self) -> bool:
            return False

    watch._is_over = Over()  # type: ignore[assignment]
    watch.run()
    watch._words.withdraw()
    assert statuses == []


def test_a_process_that_is_aborted_ends_the_others(
    store: Any, statuses: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit), watched(Processes(0, 2, store), "retinanet-train"):
        raise KeyboardInterrupt
    assert statuses == [130]
    assert capsys.readouterr().err == "retinanet-train: aborted; the snapshots on disk are complete.\n"
    assert [key for key, _ in store.key_value_dir_get(watch_processes.ENDED)] == [f"{watch_processes.ENDED}/0"]


def test_one_process_is_not_watched() -> None:
    with watched(ALONE, "retinanet-train") as watch:
        assert watch is None
