"""A task is opened once per process, and its results are written whole or not at all."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from keras_retinanet.shards.image_shards import Shard
from keras_retinanet.shards.task import Arrays, Task, do_shard, open_once

OPENED: list[str] = []
SHARD = Shard(4, "x", 0, 1, "", "ff")


@dataclass(frozen=True)
class Square(Task):
    """Squares the number of a shard."""

    name: str

    def open(self) -> Callable[[Shard], Arrays]:
        OPENED.append(self.name)
        return lambda shard: {"square": np.array([shard.number**2])}


def test_threads_open_a_task_once_and_another_task_replaces_it() -> None:
    OPENED.clear()
    threads = [threading.Thread(target=open_once, args=(Square("a"),)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert OPENED == ["a"]
    open_once(Square("b"))
    assert OPENED == ["a", "b"]


def test_a_shard_is_done_once(tmp_path: Path) -> None:
    assert do_shard(Square("c"), str(tmp_path), SHARD) == "000004-ff.npz"
    path = tmp_path / "000004-ff.npz"
    with np.load(path) as file:
        assert file["square"].tolist() == [16]
    path.write_bytes(b"as another worker wrote it")
    do_shard(Square("c"), str(tmp_path), SHARD)
    assert path.read_bytes() == b"as another worker wrote it"


def test_a_full_disk_leaves_no_file(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="limits of file sizes are POSIX")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
    try:
        with pytest.raises(OSError, match="cannot be written: File too large"):
            do_shard(Square("d"), str(tmp_path), SHARD)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []
