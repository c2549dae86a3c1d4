"""Several processes that answer on one port."""

from __future__ import annotations

import logging
import multiprocessing
import os
import shutil
import signal
import socket
import tempfile
import threading
from collections.abc import Callable
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from keras_retinanet.serving.metrics import FOLDER
from keras_retinanet.serving.peers import Peers

LOG = logging.getLogger("keras_retinanet.serving")
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_MANY = 5  # ends of processes that never became ready, after which the server ends


class Processes:
    """Runs a function in several new processes that share a listening socket, until a signal.

    A process that ends by itself is replaced. The server ends if a first process reports an error, or if too many
    processes end before they are ready. Connections wait in the queue of the socket meanwhile: none is lost with a
    process, apart from those it has accepted.

    Args:
        count: Number of processes.
        function: Importable; gets the socket, a folder for `Peers`, and `arguments`; returns the exit status.
        arguments: Its other arguments, which must be picklable.
    """

    def __init__(self, count: int, function: Callable[..., int], *arguments: Any) -> None:
        self._count, self._function, self._arguments = count, function, arguments
        self._spawn = multiprocessing.get_context("spawn")
        self._running: list[Any] = []
        self._stopping = threading.Event()
        self._failures = 0

    def run(self, listening: socket.socket) -> int:
        """Starts the processes and waits for a signal, after which they finish the accepted requests.

        Args:
            listening: The bound socket.

        Returns:
            Exit status: 0 after a signal, otherwise that of the process that failed.
        """
        folder = Path(tempfile.mkdtemp(prefix="retinanet-serve-"))
        former = {number: signal.signal(number, self._stop) for number in _SIGNALS}
        os.environ[FOLDER] = str(folder)  # read by prometheus_client in the new processes
        try:
            return self._supervise(listening, folder)
        finally:
            self._end_all()
            del os.environ[FOLDER]
            for number, handler in former.items():
                signal.signal(number, handler)
            shutil.rmtree(folder, ignore_errors=True)

    def _supervise(self, listening: socket.socket, folder: Path) -> int:
        while not self._stopping.is_set():
            while len(self._running) < self._count:
                words = (self._function, listening, folder, *self._arguments)
                process = self._spawn.Process(target=_work, args=words)
                process.start()
                self._running.append(process)
            wait([process.sentinel for process in self._running], timeout=0.5)
            for process in [process for process in self._running if process.exitcode is not None]:
                self._running.remove(process)
                if self._stopping.is_set():
                    continue
                was_ready = (folder / f"{process.pid}.ready").exists()
                Peers(folder).forget(process.pid)
                self._failures += not was_ready
                if not was_ready and (process.exitcode > 0 or self._failures >= _MANY):
                    return max(1, process.exitcode)
                LOG.error("process %d ended with status %d and is replaced", process.pid, process.exitcode)
        return 0

    def _stop(self, *_: Any) -> None:
        self._stopping.set()

    def _end_all(self) -> None:
        for process in self._running:
            process.terminate()
        for process in self._running:
            process.join()


def _work(function: Callable[..., int], *arguments: Any) -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=_follow, args=(parent,), daemon=True).start()
    raise SystemExit(function(*arguments))


def _follow(parent: Any) -> None:
    """Ends this process like a signal if its parent has been killed."""
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
