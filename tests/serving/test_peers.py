"""The state of processes as others see it."""

from __future__ import annotations

import os
from pathlib import Path

from keras_retinanet.serving.peers import Peers


def test_alone() -> None:
    peers = Peers()
    peers.start_listening()
    peers.set_ready()
    assert (peers.is_any_ready(), peers.is_any_loading()) == (False, False)


def test_others_count_while_they_live(tmp_path: Path) -> None:
    peers, parent = Peers(tmp_path), os.getppid()
    peers.start_listening()
    assert (peers.is_any_ready(), peers.is_any_loading()) == (False, False), "it is not a peer of itself"
    (tmp_path / "999999999.ready").touch()
    assert not peers.is_any_ready(), "there is no such process"
    (tmp_path / f"{parent}.loading").touch()
    assert peers.is_any_loading()
    (tmp_path / f"{parent}.loading").rename(tmp_path / f"{parent}.ready")
    assert (peers.is_any_ready(), peers.is_any_loading()) == (True, False)
    peers.forget(parent)
    assert not peers.is_any_ready()
    peers.set_ready()
    assert sorted(path.suffix for path in tmp_path.glob(f"{os.getpid()}.*")) == [".ready"]
