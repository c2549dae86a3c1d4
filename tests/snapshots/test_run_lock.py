"""One process per run."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest

from keras_retinanet.snapshots.run_lock import locked


def test_a_run_in_progress_is_refused_until_it_ends(tmp_path: Path) -> None:
    with locked(tmp_path):
        with pytest.raises(ValueError, match="another process trains this run now"), locked(tmp_path):
            pass
        assert list(tmp_path.iterdir()) == []
    with locked(tmp_path):
        pass


def test_disks_without_locks_are_used_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", refuse)
    reached = []
    with locked(tmp_path), locked(tmp_path):
        reached.append(True)
    assert reached == [True]


def test_a_folder_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="gone: the folder of the run is gone"), locked(tmp_path / "gone"):
        pass
