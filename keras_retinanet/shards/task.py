"""What is done with each shard: opened once per process, and its results written aside and renamed."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_retinanet.shards.image_shards import Shard
from keras_retinanet.snapshots.atomic_files import flush_to_disk, write_whole

Arrays = Mapping[str, Any]
"""Results of a shard: NumPy arrays by name."""


class Task(ABC):
    """What is done with each shard.

    It travels to the workers as a pickle, so it holds settings only, and is equal to a task of equal settings.
    """

    @abstractmethod
    def open(self) -> Callable[[Shard], Arrays]:
        """Loads what a worker needs for all of its shards, such as a model.

        Returns:
            The function of a shard; it may be called in several threads.
        """


_lock = threading.Lock()
_opened: list[tuple[Task, Callable[[Shard], Arrays]]] = []


def open_once(task: Task) -> Callable[[Shard], Arrays]:
    """Opens a task, or returns what this process has opened: Beam sets up several workers in the threads of a process.

    Args:
        task: The task.

    Returns:
        As `Task.open`.
    """
    with _lock:
        if not _opened or _opened[0][0] != task:
            _opened[:] = []
            _opened.append((task, task.open()))
        return _opened[0][1]


def do_shard(task: Task, folder: str, shard: Shard) -> str:
    """Does a shard and writes its file, unless another worker has.

    Args:
        task: What is done.
        folder: Folder of the job, which workers see under the same path.
        shard: The shard.

    Returns:
        Name of the file.

    Raises:
        WriteError: The file cannot be written.
    """
    path = Path(folder) / shard.file_name
    if not path.exists():
        arrays = open_once(task)(shard)
        write_whole(path, lambda temporary: _save(temporary, arrays))
    return path.name


def load_arrays(path: Path, names: Sequence[str]) -> dict[str, Any]:
    """Reads results of a shard.

    Args:
        path: File of the shard.
        names: Names of the arrays to read.

    Returns:
        The arrays by name.

    Raises:
        ValueError: The file is damaged.
    """
    try:
        with path.open("rb") as content, np.load(content) as arrays:
            return {name: arrays[name] for name in names}
    except Exception as error:  # NumPy and zipfile raise a dozen kinds on damaged files
        raise ValueError(f"{path} is damaged ({error}); remove it and run again.") from None


def _save(path: Path, arrays: Arrays) -> None:
    np.savez(path, **arrays)
    flush_to_disk(path)
